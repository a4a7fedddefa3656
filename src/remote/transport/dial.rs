//! Choice of the transport that the server supports.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::ws::WsOpenError;
use super::{Endpoint, Loss, Transport, TransportKind, http, ws};

/// Opens a transport to the server.
///
/// # Errors
/// A [`Loss`] with the reason, and the proxy if there is one.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Transport, Loss> {
    open_of_kind(endpoint).await.map_err(|loss| match endpoint.proxies.to(&endpoint.url) {
        Some(proxy) => Loss { words: format!("{} (by the proxy {proxy})", loss.words), ..loss },
        None => loss,
    })
}

async fn open_of_kind(endpoint: &Endpoint) -> Result<Transport, Loss> {
    if endpoint.kind == TransportKind::Http {
        return http::open(endpoint).await;
    }
    match ws::open(endpoint).await {
        Ok(transport) => Ok(transport),
        Err(WsOpenError::NoWebSocket(loss)) if endpoint.kind == TransportKind::Auto => {
            let transport = http::open(endpoint).await?;
            log::info!("{} is spoken to over HTTP: {}", endpoint.url, loss.words);
            Ok(transport)
        }
        Err(WsOpenError::NoWebSocket(loss) | WsOpenError::Lost(loss)) => Err(loss),
    }
}

/// Waits until a WebSocket to the server opens, by an attempt in each interval. A new version of
/// the server or its proxy may support it.
pub(crate) async fn await_websocket(endpoint: &Endpoint, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        if ws::open(endpoint).await.is_ok() {
            return;
        }
    }
}
