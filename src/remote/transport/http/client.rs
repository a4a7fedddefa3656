//! HTTP client with pooled connections to one server.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use reqwest::header::{HeaderMap, HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use reqwest::{Body, Response, StatusCode};
use tokio_tungstenite::tungstenite::http::{Request, Uri};
use tower_service::Service;

use super::super::connect::{self, Deadline};
use super::super::{Endpoint, Loss};
use super::exchange_error::{ExchangeError, NoConnection};
use super::stream::HttpStream;
use crate::server_url::ServerUrl;

/// Upper bound of idle connections in the pool.
const IDLE_CONNECTIONS: usize = 4;

/// Longest head of a response, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;

/// Sends requests to one server. Clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    pool: legacy::Client<Connector, String>,
    url: ServerUrl,
    /// Value of `Proxy-Authorization` for the proxy that forwards the requests.
    proxy_authorization: Option<HeaderValue>,
}

/// Opens connections for the pool.
#[derive(Debug, Clone)]
struct Connector(Endpoint);

impl HttpClient {
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(LONGEST_HEAD)
            .build(Connector(endpoint.clone()));
        let proxy = endpoint.proxies.to(&endpoint.url).filter(|_| !endpoint.url.is_secure());
        let proxy_authorization =
            proxy.and_then(|proxy| HeaderValue::try_from(proxy.authorization()?).ok());
        Self { pool, url: endpoint.url.clone(), proxy_authorization }
    }

    /// Sends a request and reads its response. Stops reading a body that exceeds `most` bytes.
    ///
    /// # Errors
    /// An [`ExchangeError`] without a whole response.
    pub(crate) async fn exchange(
        &self,
        mut request: Request<String>,
        most: usize,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), ExchangeError> {
        let headers = request.headers_mut();
        let agent = HeaderValue::from_static(concat!("lanragectl/", env!("CARGO_PKG_VERSION")));
        headers.insert(USER_AGENT, agent);
        if let Some(authorization) = self.proxy_authorization.clone() {
            headers.insert(PROXY_AUTHORIZATION, authorization);
        }
        let response = self.pool.request(request).await;
        let response =
            response.map_err(|error| ExchangeError::before_response(&error, &self.url))?;
        let mut response = Response::from(response.map(Body::wrap));
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while body.len() <= most {
            let chunk = response.chunk().await;
            match chunk.map_err(|error| ExchangeError::in_body(&error, &self.url))? {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
        Ok((status, headers, body))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<HttpStream>;
    type Error = NoConnection;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoConnection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoConnection>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self(endpoint) = self.clone();
        Box::pin(async move { open(&endpoint).await.map(TokioIo::new).map_err(NoConnection) })
    }
}

/// Connects to the server, or for `http://` to a proxy that forwards requests.
async fn open(endpoint: &Endpoint) -> Result<HttpStream, Loss> {
    let deadline = Deadline::start(endpoint);
    match endpoint.proxies.to(&endpoint.url) {
        Some(proxy) if !endpoint.url.is_secure() => {
            Ok(HttpStream::new(connect::forward(proxy, &deadline).await?, true))
        }
        _ => Ok(HttpStream::new(connect::tunnel(endpoint, &deadline).await?, false)),
    }
}
