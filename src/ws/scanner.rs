//! Checks of the headers of a client's frames, before the framework decodes them.

use actix_web::web::BytesMut;

/// Fault of rejected input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A frame exceeds the size limit.
    TooLong,
    /// It is not a client's WebSocket frame.
    Malformed(&'static str),
}

/// Finds the frame boundaries and checks the frame headers (RFC 6455, section 5.2), so that
/// decoding never fails.
pub(super) struct Scanner {
    longest: usize,
    /// Bytes of an incomplete header.
    head: Vec<u8>,
    /// Payload bytes that are still to come of the current frame.
    payload: usize,
}

impl Scanner {
    /// Creates a scanner for frames of at most that many bytes.
    pub(super) fn new(longest: usize) -> Self {
        Self { longest, head: Vec::new(), payload: 0 }
    }

    /// Passes on whole headers and the payloads that follow them.
    ///
    /// # Errors
    /// The first fault.
    pub(super) fn scan(&mut self, mut chunk: &[u8], frames: &mut BytesMut) -> Result<(), Fault> {
        while let Some((first, rest)) = chunk.split_first() {
            if self.payload > 0 {
                let (payload, next) = chunk.split_at(self.payload.min(chunk.len()));
                frames.extend_from_slice(payload);
                self.payload -= payload.len();
                chunk = next;
                continue;
            }
            self.head.push(*first);
            chunk = rest;
            if let Some(payload) = self.check_head()? {
                frames.extend_from_slice(&self.head);
                self.head.clear();
                self.payload = payload;
            }
        }
        Ok(())
    }

    /// Returns the length of the payload, if the header is complete.
    fn check_head(&self) -> Result<Option<usize>, Fault> {
        use Fault::{Malformed, TooLong};
        let [first, second, extended @ ..] = &self.head[..] else { return Ok(None) };
        let (is_last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        let is_control = opcode & 0x08 != 0;
        if reserved != 0 {
            return Err(Malformed("reserved bits are set"));
        }
        if !matches!(opcode, 0..=2 | 8..=10) {
            return Err(Malformed("unknown opcode"));
        }
        if second & 0x80 == 0 {
            return Err(Malformed("clients' frames must be masked"));
        }
        let (wide, length) = match second & 0x7f {
            126 => (2, None),
            127 => (8, None),
            short => (0, Some(usize::from(short))),
        };
        if is_control && (!is_last || length.is_none()) {
            return Err(Malformed("a control frame must be whole, and at most 125 bytes"));
        }
        let Some(extended) = extended.get(..wide) else { return Ok(None) };
        let length = length.unwrap_or_else(|| {
            let number = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            usize::try_from(extended.iter().fold(0, number)).unwrap_or(usize::MAX)
        });
        if length > self.longest {
            return Err(TooLong);
        }
        let minimal = header_length(length);
        if wide + 6 != minimal {
            return Err(Malformed("a length must be encoded in as few bytes as possible"));
        }
        Ok((self.head.len() == minimal).then_some(length))
    }
}

/// Returns the length of a client's frame header: two bytes, an extended length, the mask.
pub(super) fn header_length(payload: usize) -> usize {
    match payload {
        0..126 => 6,
        126..0x1_0000 => 8,
        _ => 14,
    }
}
