//! Scripted behavior of a bad server on an open WebSocket.

use std::io::BufReader;
use std::sync::Arc;

use serde_json::Value;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::{Shared, Stream, polite};

type Answerer = Arc<dyn Fn(&Value) -> Vec<Message> + Send + Sync>;

/// The next thing to do.
#[derive(Clone)]
pub(crate) enum Step {
    /// Reads a frame.
    Expect,
    /// Reads a frame, and answers it.
    Once(Answerer),
    /// Answers each frame, until the client closes.
    Answer(Answerer),
    SendText(String),
    SendBinary(Vec<u8>),
    /// Says why it closes, and waits until the client has.
    Close(u16),
    /// Neither reads nor writes any more, and answers no ping.
    Hang,
}

impl Step {
    /// Reads the first frame and welcomes it. What follows finds the client online.
    pub(crate) fn online() -> Self {
        Self::once(polite())
    }

    pub(crate) fn once(answer: impl Fn(&Value) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self::Once(Arc::new(move |frame| answer(frame).into_iter().map(Message::text).collect()))
    }

    pub(crate) fn answer(answer: impl Fn(&Value) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self::answer_with(move |frame| answer(frame).into_iter().map(Message::text).collect())
    }

    /// Answers each frame with messages of any kind.
    pub(crate) fn answer_with(
        answer: impl Fn(&Value) -> Vec<Message> + Send + Sync + 'static,
    ) -> Self {
        Self::Answer(Arc::new(answer))
    }

    /// Sends a frame.
    pub(crate) fn send(frame: &Value) -> Self {
        Self::SendText(frame.to_string())
    }

    /// Reads on and says nothing but pongs.
    pub(crate) fn ignore() -> Self {
        Self::answer(|_| Vec::new())
    }
}

/// Completes the handshake and takes the steps; `None` when the client is gone.
pub(super) fn run<S: Stream>(
    shared: &Shared,
    stream: &mut BufReader<S>,
    key: &str,
    script: &[Step],
) -> Option<()> {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {key}\r\n\r\n"
    );
    stream.get_mut().write_all(head.as_bytes()).ok()?;
    let early = stream.buffer().to_vec();
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let below = stream.get_mut();
    let mut socket = WebSocket::from_partially_read(below, early, Role::Server, Some(config));
    for step in script {
        match step {
            Step::Expect => drop(read(shared, &mut socket)?),
            Step::Once(answer) => {
                let frame = read(shared, &mut socket)?;
                answer(&frame).into_iter().try_for_each(|message| socket.send(message).ok())?;
            }
            Step::Answer(answer) => loop {
                let frame = read(shared, &mut socket)?;
                answer(&frame).into_iter().try_for_each(|message| socket.send(message).ok())?;
            },
            Step::SendText(text) => socket.send(Message::text(text.clone())).ok()?,
            Step::SendBinary(bytes) => socket.send(Message::binary(bytes.clone())).ok()?,
            Step::Close(code) => {
                let code = CloseCode::from(*code);
                socket.close(Some(CloseFrame { code, reason: "as told".into() })).ok()?;
                while read(shared, &mut socket).is_some() {}
                return None;
            }
            Step::Hang => shared.hang(),
        }
    }
    Some(())
}

/// The next frame of JSON; `None` when the client has closed.
fn read<S: Stream>(shared: &Shared, socket: &mut WebSocket<S>) -> Option<Value> {
    loop {
        if let Message::Text(text) = socket.read().ok()? {
            let frame: Value = serde_json::from_str(&text).ok()?;
            shared.frame(frame.clone());
            return Some(frame);
        }
    }
}
