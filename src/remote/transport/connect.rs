//! Connections to a server or a proxy: address, socket, tunnel and TLS.

use std::future::Future;
use std::io;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::proxy::ProxyUrl;
use super::{Endpoint, Loss, tcp};
use crate::remote::diagnostics;
use crate::server_url::ServerUrl;

/// Byte stream, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects to the server, through a tunnel of its proxy if it has one.
///
/// # Errors
/// A [`Loss`] with the reason.
pub(super) async fn tunnel(
    endpoint: &Endpoint,
    deadline: &Deadline<'_>,
) -> Result<Box<dyn Stream>, Loss> {
    let stream = match endpoint.proxies.to(&endpoint.url) {
        Some(proxy) => {
            let mut stream = connect_tcp(proxy.address(), deadline).await?;
            let tunnel = proxy.tunnel(&mut stream, &endpoint.url);
            deadline.within("the answer of the proxy before", tunnel).await??;
            stream
        }
        None => connect_tcp(&endpoint.url, deadline).await?,
    };
    if endpoint.url.is_secure() {
        Ok(Box::new(start_tls(endpoint, deadline, stream).await?))
    } else {
        Ok(Box::new(stream))
    }
}

/// Connects to a proxy that forwards requests to the server.
///
/// # Errors
/// A [`Loss`] with the reason.
pub(super) async fn forward(
    proxy: &ProxyUrl,
    deadline: &Deadline<'_>,
) -> Result<Box<dyn Stream>, Loss> {
    Ok(Box::new(connect_tcp(proxy.address(), deadline).await?))
}

/// Connects to a server, or to a proxy.
async fn connect_tcp(url: &ServerUrl, deadline: &Deadline<'_>) -> Result<TcpStream, Loss> {
    let (host, port) = url.host_and_port();
    let addresses = deadline.within("finding the address of", tcp::resolve(&host, port));
    let addresses =
        addresses.await?.map_err(|error| Loss::new(diagnostics::unresolved(&error, url)))?;
    let stream = deadline.within("connecting to", tcp::connect(addresses)).await?;
    stream.map_err(|error| Loss::new(diagnostics::failure(&error, url)))
}

async fn start_tls(
    endpoint: &Endpoint,
    deadline: &Deadline<'_>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Loss> {
    let (host, _) = endpoint.url.host_and_port();
    let Ok(name) = ServerName::try_from(host) else {
        let host_port = diagnostics::host_port(&endpoint.url);
        let words =
            format!("no certificate can be for {host_port}: use another name of the server");
        return Err(Loss::new(words));
    };
    let connecting = TlsConnector::from(endpoint.tls.clone()).connect(name, stream);
    let stream = deadline.within("the TLS handshake with", connecting).await?;
    stream.map_err(|error| Loss::new(handshake_failure(&error, endpoint)))
}

/// Describes a failed handshake. A server without TLS often closes the connection without a
/// response.
fn handshake_failure(error: &io::Error, endpoint: &Endpoint) -> String {
    let words = diagnostics::failure(error, &endpoint.url);
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            format!("{words} in the middle of the TLS handshake: does it speak TLS at that port?")
        }
        _ => words,
    }
}

/// Deadline of all steps of connecting.
pub(super) struct Deadline<'a> {
    endpoint: &'a Endpoint,
    at: Instant,
}

impl<'a> Deadline<'a> {
    /// Starts the endpoint's connect timeout now.
    pub(super) fn start(endpoint: &'a Endpoint) -> Self {
        // A day, because a longer timeout could overflow the clock.
        let within = endpoint.connect_timeout.min(Duration::from_secs(24 * 60 * 60));
        Self { endpoint, at: Instant::now() + within }
    }

    /// Waits for a step until the deadline. `step` describes it as [`diagnostics::late`] does.
    pub(super) async fn within<T>(
        &self,
        step: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, Loss> {
        timeout_at(self.at, work).await.map_err(|_| {
            let words = diagnostics::late(step, self.endpoint.connect_timeout, &self.endpoint.url);
            Loss::new(words)
        })
    }
}
