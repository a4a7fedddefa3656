//! A WebSocket client that counts frames and looks only at how they begin.

use std::net::{IpAddr, SocketAddr, TcpStream};

use anyhow::{Context as _, bail};
use serde_json::json;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use super::http::{connect, connect_from};

/// Of a frame, or a few: there are thousands of clients.
const BUFFER: usize = 4 * 1024;

pub(crate) struct Ws(WebSocket<TcpStream>);

impl Ws {
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        Self::over(connect(address)?, address)
    }

    /// From an address of this machine.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> anyhow::Result<Self> {
        Self::over(connect_from(source, address)?, address)
    }

    fn over(stream: TcpStream, address: SocketAddr) -> anyhow::Result<Self> {
        let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(0);
        let url = format!("ws://{address}/ws");
        let (socket, _) = tungstenite::client::client_with_config(url, stream, Some(config))
            .context("no handshake")?;
        Ok(Self(socket))
    }

    /// Says that it speaks for a peer, and knows what LANrage's clients do not.
    pub(crate) fn greet(&mut self, peer_id: &str) -> anyhow::Result<()> {
        let hello = json!({
            "type": "hello", "version": "1", "client": "bench", "caps": ["lanragectl"],
            "peer_id": peer_id,
        });
        self.send(&hello.to_string())
    }

    /// Says again that it speaks for a peer, and shows the token.
    pub(crate) fn return_as(&mut self, peer_id: &str, token: &str) -> anyhow::Result<()> {
        let hello = json!({
            "type": "hello", "version": "1", "client": "bench", "caps": ["lanragectl"],
            "peer_id": peer_id, "token": token,
        });
        self.send(&hello.to_string())
    }

    /// Reads the welcome. Returns the token in it.
    pub(crate) fn welcomed(&mut self) -> anyhow::Result<String> {
        let text = self.0.read()?.into_text()?;
        let welcome: serde_json::Value = serde_json::from_str(&text)?;
        Ok(welcome["token"].as_str().with_context(|| text.to_string())?.to_owned())
    }

    pub(crate) fn send(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.0.send(Message::text(text))?)
    }

    /// Reads until so many frames came that begin like this. Returns the length of the last.
    pub(crate) fn hear(&mut self, count: usize, begin: &str) -> anyhow::Result<usize> {
        let (mut heard, mut length) = (0, 0);
        while heard < count {
            match self.0.read().with_context(|| format!("heard {heard} of {count} {begin:?}"))? {
                Message::Text(text) if text.starts_with(begin) => {
                    (heard, length) = (heard + 1, text.len());
                }
                Message::Text(text) if text.starts_with(r#"{"type":"error""#) => bail!("{text}"),
                Message::Close(reason) => bail!("closed: {reason:?}"),
                _ => {}
            }
        }
        Ok(length)
    }

    /// Waits until the server closes, and closes too.
    pub(crate) fn answer_close(&mut self) -> anyhow::Result<()> {
        while !matches!(self.0.read()?, Message::Close(_)) {}
        // The server may be the first to end the connection.
        self.0.flush().ok();
        Ok(())
    }
}
