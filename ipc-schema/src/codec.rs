//! Splits a stream of bytes into lines of bounded length. It does no I/O.

use crate::unicode::strip_bom;

/// Error of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The line exceeds the limit; nothing after it can be read either.
    #[error("the line is longer than {limit} bytes")]
    TooLong {
        /// Limit in bytes, without the line break.
        limit: usize,
    },
    /// The line is not UTF-8; the next line can be read.
    #[error("the line is not UTF-8")]
    NotUtf8,
}

/// Decoder from bytes to lines. It buffers at most the limit plus the last pushed chunk.
#[derive(Debug)]
pub struct LineDecoder {
    bytes: Vec<u8>,
    /// Start of the first line that was not returned yet.
    start: usize,
    /// Offset up to which no line break was found.
    scanned: usize,
    limit: usize,
}

impl LineDecoder {
    /// Returns a decoder for lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, scanned: 0, limit }
    }

    /// Appends bytes that were read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next line, without its line break and a leading byte order mark. Returns `None`
    /// until more bytes are pushed. Empty lines are skipped.
    ///
    /// # Errors
    /// [`LineError`]; after `TooLong` the stream is unusable.
    pub fn next_line(&mut self) -> Option<Result<&str, LineError>> {
        loop {
            let Some(offset) = memchr(b'\n', &self.bytes[self.scanned..]) else {
                self.scanned = self.bytes.len();
                // A carriage return may be the first half of the line break.
                let text = strip_bom(&self.bytes[self.start..]);
                let too_long = text.strip_suffix(b"\r").unwrap_or(text).len() > self.limit;
                self.release();
                return too_long.then_some(Err(LineError::TooLong { limit: self.limit }));
            };
            let (from, end) = (self.start, self.scanned + offset);
            self.start = end + 1;
            self.scanned = self.start;
            let line = strip_bom(&self.bytes[from..end]);
            let from = end - line.len();
            let to = if line.last() == Some(&b'\r') { end - 1 } else { end };
            if to - from > self.limit {
                return Some(Err(LineError::TooLong { limit: self.limit }));
            }
            if from < to {
                let line = std::str::from_utf8(&self.bytes[from..to]);
                return Some(line.map_err(|_| LineError::NotUtf8));
            }
        }
    }

    /// Ends a partial line at the end of the stream.
    pub fn finish(&mut self) {
        if self.is_partial() {
            self.push(b"\n");
        }
    }

    /// True while a line has begun but not ended.
    pub fn is_partial(&self) -> bool {
        self.start < self.bytes.len()
    }

    /// Frees the memory of a long line once all lines were returned.
    fn release(&mut self) {
        const KEPT: usize = 16 * 1024;
        if self.start == self.bytes.len() && self.bytes.capacity() > KEPT {
            *self = Self::new(self.limit);
        }
    }
}

fn memchr(needle: u8, haystack: &[u8]) -> Option<usize> {
    haystack.iter().position(|&byte| byte == needle)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drain(decoder: &mut LineDecoder) -> Vec<Result<String, LineError>> {
        let mut lines = Vec::new();
        while let Some(line) = decoder.next_line() {
            let stop = matches!(line, Err(LineError::TooLong { .. }));
            lines.push(line.map(str::to_owned));
            if stop {
                break;
            }
        }
        lines
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
        let mut decoder = LineDecoder::new(4);
        decoder.push(b"abcd\r\n\n\nabcd\nabcde");
        assert_eq!(drain(&mut decoder)[..2], [Ok("abcd".into()), Ok("abcd".into())]);
        assert_eq!(drain(&mut decoder), [Err(LineError::TooLong { limit: 4 })]);
        let mut decoder = LineDecoder::new(4);
        decoder.push(b"abcde\n");
        assert_eq!(drain(&mut decoder), [Err(LineError::TooLong { limit: 4 })]);
    }

    #[test]
    fn a_line_that_is_not_utf8_does_not_spoil_the_next() {
        let mut decoder = LineDecoder::new(9);
        decoder.push(b"\xff\xfe\nok\nhalf");
        assert_eq!(drain(&mut decoder), [Err(LineError::NotUtf8), Ok("ok".into())]);
        assert!(decoder.is_partial());
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_line() {
        let mut decoder = LineDecoder::new(4);
        decoder.push("\u{feff}abcd\r\n\u{feff}\nabcd\n\u{feff}abcd".as_bytes());
        assert_eq!(drain(&mut decoder), [Ok("abcd".into()), Ok("abcd".into())]);
        decoder.push(b"e");
        assert_eq!(drain(&mut decoder), [Err(LineError::TooLong { limit: 4 })]);
    }

    #[test]
    fn the_end_of_the_stream_ends_the_last_line() {
        let mut decoder = LineDecoder::new(4);
        decoder.finish();
        assert_eq!(drain(&mut decoder), []);
        decoder.push(b"ab\ncd");
        assert_eq!(drain(&mut decoder), [Ok("ab".into())]);
        decoder.finish();
        assert_eq!(drain(&mut decoder), [Ok("cd".into())]);
        assert!(!decoder.is_partial());
    }

    #[test]
    fn a_line_end_may_come_in_two_halves() {
        let mut decoder = LineDecoder::new(4);
        decoder.push(b"abcd\r");
        assert_eq!(drain(&mut decoder), []);
        decoder.push(b"\n");
        assert_eq!(drain(&mut decoder), [Ok("abcd".into())]);
        decoder.push(b"abcd\r\r");
        assert_eq!(drain(&mut decoder), [Err(LineError::TooLong { limit: 4 })]);
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_does_not_matter(
            lines in prop::collection::vec("[a-z]{1,20}", 0..20),
            end in prop::sample::select(vec!["\n", "\r\n"]),
            cuts in prop::collection::vec(1_usize..30, 1..50),
        ) {
            let text: String = lines.iter().map(|line| format!("{line}{end}")).collect();
            let mut decoder = LineDecoder::new(20);
            let (mut rest, mut seen) = (text.as_bytes(), Vec::new());
            for cut in cuts.iter().cycle().take_while(|_| !lines.is_empty()) {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.push(now);
                seen.extend(drain(&mut decoder).into_iter().flatten());
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(seen, lines);
            prop_assert!(!decoder.is_partial());
        }
    }
}
