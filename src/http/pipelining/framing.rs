//! Boundaries of HTTP requests in a stream of bytes.

/// Bytes of a line that are inspected.
const LINE: usize = 256;

/// Finds the ends of requests.
#[derive(Debug, Default)]
pub(super) struct Framing {
    state: State,
    /// Start of the current line.
    line: Vec<u8>,
}

#[derive(Debug, Clone, Copy, Default)]
enum State {
    /// Before a request, or in its first line.
    #[default]
    Start,
    Headers {
        length: u64,
        is_chunked: bool,
    },
    /// In a body with that many bytes left.
    Sized(u64),
    ChunkSize,
    /// In a chunk with that many bytes left, including its end.
    Chunk(u64),
    Trailers,
    /// Not HTTP: the library refuses it and closes the connection.
    Lost,
}

impl Framing {
    /// True between two requests.
    pub(super) fn is_at_start(&self) -> bool {
        matches!(self.state, State::Start) && self.line.is_empty()
    }

    /// Takes bytes up to the end of a request. Returns their number, and true if that was reached.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.state {
                State::Lost => return (bytes.len(), false),
                State::Sized(left) | State::Chunk(left) => {
                    let rest = (bytes.len() - at) as u64;
                    let taken = rest.min(*left);
                    *left -= taken;
                    at += usize::try_from(taken).unwrap_or(usize::MAX);
                    match self.state {
                        State::Sized(0) => {
                            self.state = State::Start;
                            return (at, true);
                        }
                        State::Chunk(0) => self.state = State::ChunkSize,
                        _ => {}
                    }
                }
                _ => {
                    let byte = bytes[at];
                    at += 1;
                    if byte != b'\n' {
                        if self.line.len() < LINE {
                            self.line.push(byte);
                        }
                    } else if self.end_line() {
                        return (at, true);
                    }
                }
            }
        }
        (at, false)
    }

    /// Takes a line. Returns `true` if the request ends with it.
    fn end_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii();
        self.state = match (self.state, line) {
            (State::Start, []) => State::Start,
            (State::Start, _) => State::Headers { length: 0, is_chunked: false },
            (State::Headers { is_chunked: true, .. }, []) => State::ChunkSize,
            (State::Headers { length: 0, .. } | State::Trailers, []) => {
                self.state = State::Start;
                return true;
            }
            (State::Headers { length, .. }, []) => State::Sized(length),
            (State::Headers { length, is_chunked }, header) => {
                let length = value(header, "content-length:").map_or(length, decimal);
                let is_chunked =
                    is_chunked || value(header, "transfer-encoding:").is_some_and(ends_chunked);
                State::Headers { length, is_chunked }
            }
            (State::ChunkSize, size) => match chunk_size(size) {
                Some(0) => State::Trailers,
                Some(size) => State::Chunk(size.saturating_add(2)),
                None => State::Lost,
            },
            (other, _) => other,
        };
        false
    }
}

/// Returns the value of a header of that name.
fn value<'a>(header: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (start, value) = header.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name.as_bytes()).then_some(value.trim_ascii())
}

/// The library refuses invalid numbers.
fn decimal(value: &[u8]) -> u64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn ends_chunked(value: &[u8]) -> bool {
    value.len() >= 7 && value[value.len() - 7..].eq_ignore_ascii_case(b"chunked")
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn framing_ends_a_request_with_its_body() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n";
        let requests = [
            GET.to_owned(),
            format!("\r\n\r\n{GET}"),
            "GET / HTTP/1.0\nHost: x\n\n".to_owned(),
            "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n\r\n\r\n".to_owned(),
            "POST / HTTP/1.1\r\ncontent-length:0\r\n\r\n".to_owned(),
            format!("{chunked}4;x=y\r\n\r\n\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n"),
            format!("{chunked}0\r\nTrailer: x\r\n\r\n"),
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(10_000)),
        ];
        for request in &requests {
            for at_once in [1, 3, 1 << 16] {
                let (mut framing, all) = (Framing::default(), format!("{request}{GET}"));
                let mut taken = 0;
                loop {
                    let end = all.len().min(taken + at_once);
                    let (count, is_complete) = framing.advance(&all.as_bytes()[taken..end]);
                    taken += count;
                    if is_complete {
                        break;
                    }
                    assert!(count > 0, "{request:.60}");
                }
                assert_eq!(taken, request.len(), "{request:.60} by {at_once}");
            }
        }
    }
}
