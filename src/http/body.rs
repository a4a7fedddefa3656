//! Request bodies, bounded in length and time.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{self, Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use futures_util::StreamExt as _;
use lanrage_ipc::http::not_json;
use lanrage_ipc::lanrage::input::Mistake;
use lanrage_ipc::unicode::strip_bom;

use super::problem::Problem;
use super::state::{HttpSettings, HttpState};

/// Unread body: a refused request's body is not read.
pub(super) struct Body {
    payload: Payload,
    /// `Content-Length`, as the client announced it.
    length: Option<usize>,
    is_json: bool,
    is_encoded: bool,
    settings: Arc<HttpSettings>,
}

impl Body {
    /// Reads the body as JSON.
    ///
    /// # Errors
    /// 408 and 413 at a bound, 415 for a compressed body, 422 with all mistakes in it.
    pub(super) async fn read<T>(
        self,
        parse: impl FnOnce(&[u8]) -> Result<T, Vec<Mistake>>,
    ) -> Result<T, Problem> {
        if self.is_encoded {
            return Err(Problem::encoded());
        }
        let is_json = self.is_json;
        let patience = self.settings.http.request_timeout;
        let bytes = tokio::time::timeout(patience, self.bytes());
        let bytes = bytes.await.map_err(|_| Problem::too_slow())??;
        let bytes = strip_bom(&bytes);
        let parsed = if is_json { parse(bytes) } else { Err(not_json(bytes)) };
        parsed.map_err(Problem::invalid)
    }

    async fn bytes(mut self) -> Result<Bytes, Problem> {
        let limit = self.settings.http.body_bytes;
        if self.length.is_some_and(|length| length > limit) {
            return Err(Problem::too_large(limit));
        }
        let mut bytes = BytesMut::new();
        while let Some(chunk) = self.payload.next().await {
            let chunk = chunk.map_err(|_| Problem::unreadable())?;
            if bytes.len() + chunk.len() > limit {
                return Err(Problem::too_large(limit));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }
}

impl FromRequest for Body {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let Some(state) = request.app_data::<web::Data<HttpState>>() else {
            return ready(Err(Problem::internal("a request has no HTTP state")));
        };
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        ready(Ok(Self {
            payload: payload.take(),
            length,
            is_json: is_json(request),
            is_encoded: is_encoded(request),
            settings: state.settings(),
        }))
    }
}

/// True if the content coding is not `identity`.
fn is_encoded(request: &HttpRequest) -> bool {
    let mut codings = request.headers().get_all(header::CONTENT_ENCODING);
    let is_identity = |coding: &[u8]| {
        let coding = coding.trim_ascii();
        coding.is_empty() || coding.eq_ignore_ascii_case(b"identity")
    };
    !codings.all(|codings| codings.as_bytes().split(|&byte| byte == b',').all(is_identity))
}

/// True if the content type is JSON or missing.
fn is_json(request: &HttpRequest) -> bool {
    let media_type = request.content_type();
    let subtype = match media_type.split_once('/') {
        Some((kind, subtype)) if kind.eq_ignore_ascii_case("application") => {
            subtype.to_ascii_lowercase()
        }
        _ => return media_type.is_empty(),
    };
    subtype == "json" || subtype.ends_with("+json")
}
