//! Answers over HTTP, good ones and such as a hostile server sends.

use std::io::Write;
use std::sync::Arc;

use serde_json::Value;

use super::{Request, Shared};

/// Bytes of a piece of an endless body.
const PIECE: usize = 64 * 1024;

/// Bytes of a long body: more than any client reads.
const LONG: usize = 3 << 20;

/// More header lines than any client reads.
const MANY: usize = 20_000;

/// Answers requests.
pub(crate) type Responder = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

/// A body, and the way in which it comes.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Text(String),
    /// Pieces until the client hangs up.
    Endless,
    /// Its beginning, and then nothing.
    Stalled,
    /// Its beginning, and then the end of the connection.
    Cut,
}

/// A way to answer that no JSON of a control server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trick {
    Long,
    Endless,
    Stalled,
    Cut,
    Deep,
    ManyHeaders,
    /// The right body as a web page.
    WrongKind,
    Redirect(String),
    NoJson,
    Empty,
    Status(u16),
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("Content-Type", "application/json".to_owned())];
        Self { status, headers, body: Body::Text(body.to_string()) }
    }

    fn text(body: String) -> Self {
        Self { body: Body::Text(body), ..Self::json(200, &Value::Null) }
    }

    /// The same with a header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A trick in place of this answer.
    pub(crate) fn tricked(self, trick: &Trick) -> Self {
        match trick {
            Trick::Long => Self::text(format!("{{\"party\":\"{}\"}}", "x".repeat(LONG))),
            Trick::Endless => Self { body: Body::Endless, ..self },
            Trick::Stalled => Self { body: Body::Stalled, ..self },
            Trick::Cut => Self { body: Body::Cut, ..self },
            Trick::Deep => Self::text(deep()),
            Trick::ManyHeaders => {
                let headers = (0..MANY).map(|_| ("X-Much", "x".repeat(60)));
                Self { headers: headers.collect(), ..self }
            }
            Trick::WrongKind => {
                let headers = vec![("Content-Type", "text/html".to_owned())];
                Self { headers, ..self }
            }
            Trick::Redirect(url) => {
                Self::json(307, &Value::Null).with("Location", format!("{url}/auth/register"))
            }
            Trick::NoJson => Self::text("{".to_owned()),
            Trick::Empty => Self::text(String::new()),
            Trick::Status(status) => Self { status: *status, ..self },
        }
    }

    /// Sends it; `None` when the connection is no more.
    pub(super) fn send(&self, shared: &Shared, stream: &mut impl Write) -> Option<()> {
        match &self.body {
            Body::Text(body) => {
                let text = super::response(self.status, &self.headers, body);
                stream.write_all(text.as_bytes()).ok()
            }
            Body::Endless => {
                let head = self.head("Transfer-Encoding: chunked");
                stream.write_all(head.as_bytes()).ok()?;
                let piece = format!("{PIECE:x}\r\n{}\r\n", " ".repeat(PIECE));
                loop {
                    stream.write_all(piece.as_bytes()).ok()?;
                }
            }
            Body::Stalled | Body::Cut => {
                let head = self.head("Content-Length: 1000");
                stream.write_all(head.as_bytes()).ok()?;
                stream.write_all(b"{\"party\":").ok()?;
                if matches!(self.body, Body::Stalled) {
                    shared.hang();
                }
                None
            }
        }
    }

    fn head(&self, framing: &str) -> String {
        format!(
            "HTTP/1.1 {} Whatever\r\nContent-Type: application/json\r\n{framing}\r\n\r\n",
            self.status
        )
    }
}

/// Nested lists, far deeper than any parser follows.
pub(super) fn deep() -> String {
    format!("{{\"party\":{}1{}}}", "[".repeat(5000), "]".repeat(5000))
}
