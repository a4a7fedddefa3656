//! Bodies for the refusals that the HTTP library writes by itself.
//!
//! The library answers a malformed, too large or too slow request head before any service sees it.
//! Such an answer has no body, and there is no hook to add one. LANrage's client breaks on it. So
//! each accepted connection is wrapped: the wrapper replaces the answer by one with a body. All
//! other bytes pass unchanged.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::upgrade::{Release, Upgraded};

/// Upper bound of the length of a bare answer, in bytes; it has three short headers.
const LONGEST_HEAD: usize = 256;

/// Connection whose bare refusals get a body.
#[derive(Debug)]
pub(super) struct ErrorBodies<IO> {
    io: IO,
    replacement: Option<Replacement>,
}

/// Answer that replaces a bare one.
#[derive(Debug)]
struct Replacement {
    /// Length of the replaced answer.
    replaced: usize,
    bytes: Vec<u8>,
    written: usize,
}

impl Replacement {
    /// Builds the replacement, with the status and date of the bare answer.
    fn of(refusal: &[u8]) -> Self {
        let head = String::from_utf8_lossy(refusal);
        let (status, headers) = head.split_once("\r\n").unwrap_or((&head, ""));
        let date = headers.lines().find(|line| line.starts_with("date:"));
        let date = date.map(|date| format!("{date}\r\n")).unwrap_or_default();
        let detail = match status.get(9..12) {
            Some("408") => "The request's head took too long",
            Some("431") => "The request's head is too large",
            Some("400") => "The request line or a header can't be read",
            _ => "Internal Server Error",
        };
        let body = format!("{{\"detail\":\"{detail}\"}}");
        let length = body.len();
        // This is the last answer on its connection, even if the library does not say so.
        let answer = format!(
            "{status}\r\ncontent-length: {length}\r\nconnection: close\r\n\
             content-type: application/json\r\nx-content-type-options: nosniff\r\n\
             cache-control: no-store\r\n{date}\r\n{body}"
        );
        Self { replaced: refusal.len(), bytes: answer.into_bytes(), written: 0 }
    }
}

/// Returns the start of a bare refusal at the end of the bytes, if there is one. Answers of
/// services have other headers, and those to a `HEAD` the length of a body.
fn refusal(bytes: &[u8]) -> Option<usize> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(LONGEST_HEAD);
    let at = from + bytes[from..].windows(5).rposition(|window| window == b"HTTP/")?;
    let head = std::str::from_utf8(&bytes[at..]).ok()?;
    let is_refused = matches!(head.get(8..13), Some(" 400 " | " 408 " | " 431 " | " 500 "));
    let is_header = |line: &str| {
        line == "content-length: 0" || line == "connection: close" || line.starts_with("date: ")
    };
    let headers = head.strip_suffix("\r\n\r\n")?.split("\r\n").skip(1);
    (is_refused && headers.clone().count() > 0 && headers.clone().all(is_header)).then_some(at)
}

impl<IO> ErrorBodies<IO> {
    /// Wraps a connection.
    pub(super) fn new(io: IO) -> Self {
        Self { io, replacement: None }
    }

    /// Returns the wrapped connection.
    pub(super) fn get_ref(&self) -> &IO {
        &self.io
    }
}

impl<IO: Release> Release for ErrorBodies<IO> {
    fn release(self) -> Upgraded {
        self.io.release()
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for ErrorBodies<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, buffer)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for ErrorBodies<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { io, replacement } = self.get_mut();
        let answer = match replacement {
            Some(answer) => answer,
            None => match refusal(buffer) {
                None => return Pin::new(io).poll_write(context, buffer),
                Some(0) => replacement.insert(Replacement::of(buffer)),
                // Bytes before the refusal are written first.
                Some(at) => return Pin::new(io).poll_write(context, &buffer[..at]),
            },
        };
        while answer.written < answer.bytes.len() {
            let left = &answer.bytes[answer.written..];
            match ready!(Pin::new(&mut *io).poll_write(context, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => answer.written += count,
            }
        }
        let replaced = answer.replaced;
        *replacement = None;
        Poll::Ready(Ok(replaced))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    const BARE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\
        date: Sun, 29 Nov 2026 20:22:20 GMT\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

    /// Connection that takes that many bytes at a time, and none at 0.
    #[derive(Default)]
    struct Pipe {
        takes: VecDeque<usize>,
        taken: Vec<u8>,
    }

    impl AsyncWrite for Pipe {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = self.takes.pop_front().unwrap_or(usize::MAX).min(buffer.len());
            self.taken.extend_from_slice(&buffer[..count]);
            if count == 0 { Poll::Pending } else { Poll::Ready(Ok(count)) }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Returns the bytes that pass, if the connection takes that many at a time.
    fn through(bytes: &[u8], takes: &[usize]) -> String {
        let pipe = Pipe { takes: takes.iter().copied().collect(), taken: Vec::new() };
        let mut wrapped = ErrorBodies::new(pipe);
        let mut context = Context::from_waker(Waker::noop());
        let mut rest = bytes;
        while !rest.is_empty() {
            if let Poll::Ready(count) = Pin::new(&mut wrapped).poll_write(&mut context, rest) {
                rest = &rest[count.expect("written")..];
            }
        }
        String::from_utf8(wrapped.get_ref().taken.clone()).expect("text")
    }

    #[test]
    fn bare_error_response_gets_a_json_body_for_any_write_size() {
        for status in
            ["400 Bad Request", "408 Request Timeout", "431 Request Header Fields Too Large"]
        {
            let bare = BARE.replace("400 Bad Request", status);
            let answer = through(bare.as_bytes(), &[]);
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{head}");
            assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
            assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
            assert!(head.ends_with("\r\ndate: Sun, 29 Nov 2026 20:22:20 GMT"), "{head}");
            assert!(
                body.starts_with("{\"detail\":\"The request") && body.ends_with("\"}"),
                "{body}"
            );
            let both = format!("{OK}{bare}");
            for takes in [&[][..], &[0], &[1, 0, 3], &[40, 0, 1, 0, 1], &[OK.len(), 1, 1, 0, 7]] {
                assert_eq!(through(both.as_bytes(), takes), format!("{OK}{answer}"), "{takes:?}");
            }
        }
    }

    #[test]
    fn error_bodies_pass_other_bytes_unchanged() {
        for other in [
            OK,
            "HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\nlocation: /\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 22\r\ndate: x\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx-content-type-options: nosniff\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ndate: x\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "\r\n\r\n",
            &format!("{BARE}x"),
        ] {
            for takes in [&[][..], &[1, 0, 2]] {
                assert_eq!(through(other.as_bytes(), takes), other);
            }
        }
    }
}
