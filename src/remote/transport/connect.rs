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

/// A connection, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects to the server; a proxy on the way tunnels the connection.
///
/// # Errors
/// The reason that there is no connection.
pub(super) async fn tunnel(
    endpoint: &Endpoint,
    deadline: &Deadline<'_>,
) -> Result<Box<dyn Stream>, Loss> {
    let stream = match endpoint.proxies.to(&endpoint.url) {
        Some(proxy) => {
            let mut stream = reach(proxy.place(), deadline).await?;
            let tunnel = proxy.tunnel(&mut stream, &endpoint.url);
            deadline.hold("the answer of the proxy before", tunnel).await??;
            stream
        }
        None => reach(&endpoint.url, deadline).await?,
    };
    if endpoint.url.is_secure() {
        Ok(Box::new(secure(endpoint, deadline, stream).await?))
    } else {
        Ok(Box::new(stream))
    }
}

/// Connects to a proxy that forwards requests to the server.
///
/// # Errors
/// The reason that there is no connection.
pub(super) async fn forward(
    proxy: &ProxyUrl,
    deadline: &Deadline<'_>,
) -> Result<Box<dyn Stream>, Loss> {
    Ok(Box::new(reach(proxy.place(), deadline).await?))
}

/// Connects to a server, or to a proxy.
async fn reach(url: &ServerUrl, deadline: &Deadline<'_>) -> Result<TcpStream, Loss> {
    let (host, port) = url.host_and_port();
    let addresses = deadline.hold("finding the address of", tcp::resolve(&host, port));
    let addresses =
        addresses.await?.map_err(|error| Loss::new(diagnostics::unresolved(&error, url)))?;
    let stream = deadline.hold("connecting to", tcp::connect(addresses)).await?;
    stream.map_err(|error| Loss::new(diagnostics::failure(&error, url)))
}

async fn secure(
    endpoint: &Endpoint,
    deadline: &Deadline<'_>,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Loss> {
    let (host, _) = endpoint.url.host_and_port();
    let Ok(name) = ServerName::try_from(host) else {
        let place = diagnostics::place(&endpoint.url);
        let words = format!("no certificate can be for {place}: use another name of the server");
        return Err(Loss::new(words));
    };
    let connecting = TlsConnector::from(endpoint.tls.clone()).connect(name, stream);
    let stream = deadline.hold("the TLS handshake with", connecting).await?;
    stream.map_err(|error| Loss::new(broken_handshake(&error, endpoint)))
}

/// A server without TLS often ends the connection rather than answer something.
fn broken_handshake(error: &io::Error, endpoint: &Endpoint) -> String {
    let words = diagnostics::failure(error, &endpoint.url);
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            format!("{words} in the middle of the TLS handshake: does it speak TLS at that port?")
        }
        _ => words,
    }
}

/// Until when all steps of connecting have to be done.
pub(super) struct Deadline<'a> {
    endpoint: &'a Endpoint,
    at: Instant,
}

impl<'a> Deadline<'a> {
    /// Starts now.
    pub(super) fn of(endpoint: &'a Endpoint) -> Self {
        // A time beyond all clocks is as good as this one.
        let within = endpoint.connect_timeout.min(Duration::from_secs(24 * 60 * 60));
        Self { endpoint, at: Instant::now() + within }
    }

    /// Waits for what is `named` so, as [`diagnostics::late`] wants it.
    pub(super) async fn hold<T>(
        &self,
        named: &str,
        step: impl Future<Output = T>,
    ) -> Result<T, Loss> {
        timeout_at(self.at, step).await.map_err(|_| {
            let words = diagnostics::late(named, self.endpoint.connect_timeout, &self.endpoint.url);
            Loss::new(words)
        })
    }
}
