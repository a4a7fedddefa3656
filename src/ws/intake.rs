//! Input of a WebSocket: bytes in, frames and faults out.

use actix_codec::Decoder as _;
use actix_http::ws::{Codec, Frame, ProtocolError};
use actix_web::web::BytesMut;

use super::frame_header::{Fault, frame_length};

/// Decodes a client's frames. It holds one incomplete frame at most.
pub(super) struct Intake {
    input: BytesMut,
    codec: Codec,
    longest: usize,
    /// True after a fault: all further input is dropped.
    is_deaf: bool,
}

impl Intake {
    /// Creates an intake of frames of at most that many bytes.
    pub(super) fn new(longest: usize) -> Self {
        let codec = Codec::new().max_size(longest);
        Self { input: BytesMut::new(), codec, longest, is_deaf: false }
    }

    /// Returns the bytes of the incomplete frame.
    pub(super) fn held(&self) -> usize {
        self.input.len()
    }

    /// Takes bytes of the client. [`Intake::next`] then returns their frames, until it returns
    /// `None`.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if !self.is_deaf {
            self.input.extend_from_slice(bytes);
        }
    }

    /// Returns the next whole frame. After a fault there is none.
    ///
    /// # Errors
    /// The first fault; or an error of one frame, after which others follow.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Misread> {
        match frame_length(&self.input, self.longest) {
            Ok(Some(length)) if length <= self.input.len() => {
                self.codec.decode(&mut self.input).map_err(Misread::Frame)
            }
            Ok(_) => {
                if self.input.is_empty() {
                    // An idle connection holds no memory.
                    self.input = BytesMut::new();
                }
                Ok(None)
            }
            Err(fault) => {
                (self.input, self.is_deaf) = (BytesMut::new(), true);
                Err(Misread::Fault(fault))
            }
        }
    }
}

/// Reason why input is no frame.
#[derive(Debug)]
pub(super) enum Misread {
    /// The input is not made of frames.
    Fault(Fault),
    /// The frame is out of place.
    Frame(ProtocolError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            short @ 0..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
            long => {
                bytes.push(0x80 | 126);
                bytes.extend(u16::try_from(long).unwrap().to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(payload);
        bytes
    }

    /// Returns the number of whole frames in the chunks, and the first fault.
    fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (usize, Option<Fault>) {
        let (mut intake, mut frames, mut found) = (Intake::new(1000), 0, None);
        for chunk in chunks {
            intake.put(chunk);
            loop {
                match intake.next() {
                    Ok(Some(_)) => frames += 1,
                    Ok(None) => break,
                    Err(Misread::Fault(fault)) => assert_eq!(found.replace(fault), None, "twice"),
                    Err(Misread::Frame(error)) => panic!("{error}"),
                }
            }
            assert!(intake.held() < 1000 + 14);
        }
        assert!(found.is_none() || intake.held() == 0);
        (frames, found)
    }

    #[test]
    fn intake_returns_whole_frames_for_any_chunk_size() {
        let bytes = [frame(0x81, b"text"), frame(0x01, &[7; 126]), frame(0x80, &[7; 1000])];
        let bytes = bytes.concat();
        for size in [1, 2, 3, 7, 200, bytes.len()] {
            assert_eq!(read(bytes.chunks(size)), (3, None), "in {size}s");
        }
    }

    #[test]
    fn intake_drops_input_from_the_first_invalid_frame_on() {
        use Fault::{Malformed, TooLong};
        let good = frame(0x81, b"good");
        for (bad, expected) in [
            (frame(0x81, &[0; 1001]), TooLong),
            (vec![0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], TooLong),
            (frame(0xc1, b""), Malformed("reserved bits are set")),
            (frame(0x83, b""), Malformed("unknown opcode")),
            (vec![0x81, 0x00], Malformed("clients' frames must be masked")),
            (frame(0x09, b""), Malformed("a control frame must be whole, and at most 125 bytes")),
            (
                frame(0x89, &[0; 126]),
                Malformed("a control frame must be whole, and at most 125 bytes"),
            ),
            (
                vec![0x81, 0xfe, 0, 125, 0, 0, 0, 0],
                Malformed("a length must be encoded in as few bytes as possible"),
            ),
        ] {
            let input = [good.clone(), bad.clone(), good.clone(), good.clone()].concat();
            for size in [1, input.len()] {
                assert_eq!(read(input.chunks(size)), (1, Some(expected)), "{bad:?} in {size}s");
            }
        }
    }

    #[test]
    fn intake_without_an_incomplete_frame_holds_no_memory() {
        let mut intake = Intake::new(1000);
        intake.put(&frame(0x81, b"text").repeat(10));
        while let Ok(Some(_)) = intake.next() {}
        assert_eq!(intake.input.capacity(), 0);
    }
}
