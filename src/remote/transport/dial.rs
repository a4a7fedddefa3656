//! Opens a transport over what the server speaks.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::ws::Failed;
use super::{Endpoint, Loss, Transport, TransportKind, http, ws};

/// Opens a transport to the server.
///
/// # Errors
/// Why there is none.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Transport, Loss> {
    carry(endpoint).await.map_err(|loss| match endpoint.proxies.to(&endpoint.url) {
        Some(proxy) => Loss { words: format!("{} (by the proxy {proxy})", loss.words), ..loss },
        None => loss,
    })
}

async fn carry(endpoint: &Endpoint) -> Result<Transport, Loss> {
    if endpoint.kind == TransportKind::Http {
        return http::open(endpoint).await;
    }
    match ws::open(endpoint).await {
        Ok(transport) => Ok(transport),
        Err(Failed::NoWebSocket(loss)) if endpoint.kind == TransportKind::Auto => {
            let transport = http::open(endpoint).await?;
            log::info!("{} is spoken to over HTTP: {}", endpoint.url, loss.words);
            Ok(transport)
        }
        Err(Failed::NoWebSocket(loss) | Failed::Lost(loss)) => Err(loss),
    }
}

/// Ends once a server that had no WebSocket has one: another version of it, or a proxy that lets
/// it pass. It is looked for every so often.
pub(crate) async fn await_websocket(endpoint: &Endpoint, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if ws::open(endpoint).await.is_ok() {
            return;
        }
    }
}
