//! Counts the frames of a WebSocket in the bytes of one direction.

/// End of the handshake.
const BLANK_LINE: &[u8] = b"\r\n\r\n";

/// Position in the stream.
#[derive(Default)]
pub(crate) struct Frames {
    /// True after the handshake.
    is_open: bool,
    /// The last bytes of the handshake, then the beginning of a head.
    begun: Vec<u8>,
    /// Bytes of the payload that are to come.
    left: u64,
}

impl Frames {
    /// Takes bytes: how many frames began in them, and how long their payloads are.
    pub(crate) fn take(&mut self, mut bytes: &[u8]) -> (u64, u64) {
        let (mut frames, mut payload) = (0, 0);
        while !bytes.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(bytes.len() as u64);
                (self.left, bytes) = (self.left - passed, &bytes[passed as usize..]);
                continue;
            }
            self.begun.push(bytes[0]);
            bytes = &bytes[1..];
            if !self.is_open {
                self.is_open = self.begun.ends_with(BLANK_LINE);
                // No more than the blank line has to be seen together.
                if self.is_open || self.begun.len() > 4 * 1024 {
                    self.begun.drain(..self.begun.len() - if self.is_open { 0 } else { 3 });
                }
            } else if let Some(length) = self.length() {
                (frames, payload, self.left) = (frames + 1, payload + length, length);
                self.begun.clear();
            }
        }
        (frames, payload)
    }

    /// The payload's length once the head is whole.
    fn length(&self) -> Option<u64> {
        let second = *self.begun.get(1)?;
        let (extended, mask) = match (second & 0x7f, second >> 7) {
            (126, mask) => (2, mask),
            (127, mask) => (8, mask),
            (_, mask) => (0, mask),
        };
        let whole = 2 + extended + 4 * usize::from(mask);
        if self.begun.len() < whole {
            return None;
        }
        let bytes = self.begun[2..2 + extended].iter();
        let long = bytes.fold(0, |length, byte| length << 8 | u64::from(*byte));
        Some(if extended == 0 { u64::from(second & 0x7f) } else { long })
    }
}
