//! HTTP/1.0 requests without a body.
//!
//! The HTTP library refuses a `POST` of HTTP/1.0 without a length. Proxies that speak HTTP/1.0 with
//! a server send one if the client sends neither body nor length. So each accepted connection is
//! wrapped: the wrapper adds the length 0 to the first request of its connection. Proxies open a
//! connection for each request. All other bytes pass unchanged.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::upgrade::{Release, Upgraded};

/// Upper bound of the inspected head, in bytes.
const LONGEST_HEAD: usize = 16 << 10;

const LENGTH: &[u8] = b"Content-Length: 0\r\n";

/// Connection whose first request gets a length.
#[derive(Debug)]
pub(super) struct OldPosts<IO> {
    io: IO,
    /// Bytes of the first head; `None` after it was passed on.
    head: Option<RequestHead>,
}

#[derive(Debug, Default)]
struct RequestHead {
    bytes: Vec<u8>,
    is_complete: bool,
    passed: usize,
}

impl RequestHead {
    /// Takes bytes, or the end of the input if there are none.
    fn take(&mut self, bytes: &[u8]) {
        // Earlier bytes may hold the beginning of the end.
        let from = self.bytes.len().saturating_sub(3);
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes[from..].windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.map(|end| from + end).filter(|&end| end <= LONGEST_HEAD);
        if let Some(end) = end
            && lacks_length(&self.bytes[..end])
        {
            self.bytes.splice(end + 2..end + 2, LENGTH.iter().copied());
        }
        self.is_complete = bytes.is_empty()
            || end.is_some()
            || self.bytes.len() > LONGEST_HEAD
            || !may_lack_length(&self.bytes);
    }
}

/// True while the bytes may begin a `POST` of HTTP/1.0.
fn may_lack_length(bytes: &[u8]) -> bool {
    let (line, is_whole) = match bytes.iter().position(|&byte| byte == b'\r') {
        Some(end) => (&bytes[..end], true),
        None => (bytes, false),
    };
    let begins = line.len().min(5);
    line[..begins] == b"POST "[..begins] && (!is_whole || line.ends_with(b" HTTP/1.0"))
}

/// True for a complete head of a `POST` of HTTP/1.0 without a length.
fn lacks_length(head: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(head) else { return false };
    let names = text.split("\r\n").skip(1).filter_map(|line| line.split(':').next());
    let tells = |name: &str| {
        ["content-length", "transfer-encoding"]
            .iter()
            .any(|it| name.trim().eq_ignore_ascii_case(it))
    };
    may_lack_length(head) && !names.into_iter().any(tells)
}

impl<IO> OldPosts<IO> {
    /// Wraps a connection.
    pub(super) fn new(io: IO) -> Self {
        Self { io, head: Some(RequestHead::default()) }
    }

    /// Returns the wrapped connection.
    pub(super) fn get_ref(&self) -> &IO {
        &self.io
    }
}

impl<IO: Release> Release for OldPosts<IO> {
    fn release(self) -> Upgraded {
        let mut upgraded = self.io.release();
        let held = self.head.iter().flat_map(|head| &head.bytes[head.passed..]).copied();
        upgraded.read.splice(0..0, held);
        upgraded
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for OldPosts<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, head: first } = self.get_mut();
        let Some(head) = first else { return Pin::new(io).poll_read(context, buffer) };
        while !head.is_complete {
            let mut bytes = [0; 1 << 10];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut *io).poll_read(context, &mut read))?;
            head.take(read.filled());
        }
        let left = &head.bytes[head.passed..];
        let count = left.len().min(buffer.remaining());
        buffer.put_slice(&left[..count]);
        head.passed += count;
        if head.passed == head.bytes.len() {
            *first = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for OldPosts<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, buffer)
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Returns the bytes that pass, if that many arrive at a time.
    async fn through(sent: &str, at_once: usize) -> String {
        let (mut far, near) = tokio::io::duplex(at_once);
        let sent = sent.to_owned();
        actix::spawn(async move {
            far.write_all(sent.as_bytes()).await.expect("sent");
        });
        let mut came = String::new();
        OldPosts::new(near).read_to_string(&mut came).await.expect("read");
        came
    }

    #[actix::test]
    async fn http_1_0_post_without_a_length_gets_content_length_zero() {
        let post = "POST /auth/register HTTP/1.0\r\nHost: x\r\n";
        for at_once in [1, 7, 1 << 12] {
            for rest in ["", "GET / HTTP/1.0\r\n\r\n"] {
                let came = through(&format!("{post}\r\n{rest}"), at_once).await;
                assert_eq!(came, format!("{post}Content-Length: 0\r\n\r\n{rest}"));
            }
        }
    }

    #[actix::test]
    async fn released_connection_has_the_bytes_that_were_not_passed() {
        let (mut far, near) = tokio::io::duplex(1 << 16);
        far.write_all(b"GET / HTTP/1.1\r\n\r\nframes").await.expect("sent");
        let mut wrapped = OldPosts::new(near);
        wrapped.read_exact(&mut [0; 18]).await.expect("read");
        assert_eq!(wrapped.release().read, b"frames");
    }

    #[actix::test]
    async fn old_posts_pass_other_bytes_unchanged() {
        let long = format!("POST / HTTP/1.0\r\nX: {}\r\n\r\n", "x".repeat(LONGEST_HEAD));
        for sent in [
            "",
            "PO",
            "POST / HTTP/1.0\r\nHost",
            "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
            "POST / HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.0\r\n\r\n",
            &long,
        ] {
            for at_once in [1, 7, 1 << 16] {
                assert_eq!(through(sent, at_once).await, sent);
            }
        }
    }
}
