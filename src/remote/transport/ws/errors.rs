//! Conversion of WebSocket errors to messages for the user.

use jiff::Timestamp;
use reqwest::StatusCode;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::WsOpenError;
use crate::remote::diagnostics;
use crate::remote::diagnostics::HttpError;
use crate::remote::transport::Loss;
use crate::server_url::ServerUrl;

/// Statuses with which servers without a WebSocket answer the upgrade.
const NO_WEBSOCKET: [StatusCode; 6] = [
    StatusCode::BAD_REQUEST,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::UPGRADE_REQUIRED,
    StatusCode::NOT_IMPLEMENTED,
];

/// Close code for a connection whose peers another connection has taken over.
const DISPLACED: u16 = 4001;

/// Converts an error of the opening handshake.
pub(super) fn upgrade_error(error: Error, url: &ServerUrl, now: Timestamp) -> WsOpenError {
    let host_port = diagnostics::host_port(url);
    let words = match error {
        Error::Http(response) => {
            return upgrade_refused(response.status(), response.headers(), url, now);
        }
        // WebSocket needs HTTP/1.1.
        Error::Protocol(ProtocolError::WrongHttpVersion) => {
            let words = format!("{host_port} speaks HTTP/1.0, which has no WebSocket");
            return WsOpenError::NoWebSocket(Loss::new(words));
        }
        Error::Protocol(ProtocolError::HandshakeIncomplete) => HttpError::NoResponse.message(url),
        Error::Protocol(ProtocolError::HttparseError(_))
        | Error::HttpFormat(_)
        | Error::Utf8(_)
        | Error::Capacity(_)
        | Error::AttackAttempt => HttpError::NotHttp.message(url),
        Error::Protocol(error) => format!(
            "{host_port} does not open the WebSocket as it should: a proxy on the way may not let it pass ({})",
            diagnostics::shown(&error.to_string()),
        ),
        error => diagnostics::failure(&error, url),
    };
    WsOpenError::Lost(Loss::new(words))
}

/// Converts a response that refuses the upgrade.
fn upgrade_refused(
    status: StatusCode,
    headers: &reqwest::header::HeaderMap,
    url: &ServerUrl,
    now: Timestamp,
) -> WsOpenError {
    let mut loss = diagnostics::refusal(status, headers, url, now, false);
    if NO_WEBSOCKET.contains(&status) {
        loss.words = format!(
            "there is no WebSocket of a control server at {} ({status}): check the server's URL, or whether a proxy lets WebSockets pass",
            diagnostics::shown(url.websocket().as_str()),
        );
        return WsOpenError::NoWebSocket(loss);
    }
    WsOpenError::Lost(loss)
}

/// Converts an error of an open WebSocket.
pub(super) fn stream_loss(error: &Error, url: &ServerUrl) -> Loss {
    let host_port = diagnostics::host_port(url);
    Loss::new(match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            format!("the connection to {host_port} ended without a farewell")
        }
        Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            format!("{host_port} sent a message of {size} bytes; {max_size} at most are taken")
        }
        Error::Utf8(_) => format!("{host_port} sent a text that is not UTF-8"),
        Error::Protocol(error) => {
            format!(
                "{host_port} broke the rules of WebSocket: {}",
                diagnostics::shown(&error.to_string()),
            )
        }
        error => diagnostics::failure(error, url),
    })
}

/// Converts the server's close frame.
pub(super) fn close_loss(frame: Option<&CloseFrame>, url: &ServerUrl) -> Loss {
    let host_port = diagnostics::host_port(url);
    let Some(frame) = frame else {
        return Loss::new(format!("{host_port} closed the connection"));
    };
    let code = u16::from(frame.code);
    let meaning = match code {
        1000 => ": normal",
        1001 => ": it goes away",
        1002 => ": a violation of the protocol",
        1008 => ": a violation of its policy",
        1009 => ": a message was too large",
        1011 => ": an internal error",
        1012 => ": it restarts",
        1013 => ": try again later",
        _ => "",
    };
    let reason = match frame.reason.as_str() {
        "" => String::new(),
        reason => format!(", “{}”", diagnostics::shown(reason)),
    };
    let words = format!("{host_port} closed the connection ({code}{meaning}{reason})");
    match code {
        DISPLACED => Loss::displaced(&words),
        _ => Loss::new(words),
    }
}
