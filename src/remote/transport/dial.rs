//! Opens a wire over what the server speaks.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::ws::Failed;
use super::{Carrier, Loss, Target, Wire, http, ws};

/// Opens a wire to the server.
///
/// # Errors
/// Why there is none.
pub async fn open(target: &Target) -> Result<Wire, Loss> {
    carry(target).await.map_err(|loss| match target.proxies.to(&target.url) {
        Some(proxy) => Loss { words: format!("{} (by the proxy {proxy})", loss.words), ..loss },
        None => loss,
    })
}

async fn carry(target: &Target) -> Result<Wire, Loss> {
    if target.carrier == Carrier::Http {
        return http::open(target).await;
    }
    match ws::open(target).await {
        Ok(wire) => Ok(wire),
        Err(Failed::NoWebSocket(loss)) if target.carrier == Carrier::Auto => {
            let wire = http::open(target).await?;
            log::info!("{} is spoken to over HTTP: {}", target.url, loss.words);
            Ok(wire)
        }
        Err(Failed::NoWebSocket(loss) | Failed::Lost(loss)) => Err(loss),
    }
}

/// Ends once a server that had no WebSocket has one: another version of it, or a proxy that lets
/// it pass. It is looked for every so often.
pub async fn await_websocket(target: &Target, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        if ws::open(target).await.is_ok() {
            return;
        }
    }
}
