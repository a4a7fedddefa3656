//! Valid messages decode, encode to the same JSON again, and fit the committed schemas.

use lanrage_ipc::envelope::{
    Incoming, event_body, event_head, notification_line, reply_line, request_line,
};
use lanrage_ipc::message::ServerLine;
use lanrage_ipc::{Reply, Request, RpcError, ServerMessage};
use serde_json::Value;

use super::{Vector, check_all, schemas};

#[test]
fn valid_messages_decode_and_encode_to_the_same() {
    check_all("valid", |vector| {
        let encoded = recode(vector, &vector.text())?;
        let encoded: Value = serde_json::from_str(&encoded).map_err(|error| error.to_string())?;
        let expected = vector.encoded.as_ref().or(vector.line.as_ref());
        if Some(&encoded) == expected { Ok(()) } else { Err(format!("became {encoded}")) }
    });
}

#[test]
fn valid_messages_fit_the_committed_schemas() {
    let schemas = schemas::Schemas::committed();
    check_all("valid", |vector| {
        let line = vector.line.as_ref().ok_or("has no line")?;
        if vector.newer { Ok(()) } else { schemas.check(line, vector.answers.as_deref()) }
    });
}

/// The line that comes out when the one that came in was understood.
fn recode(vector: &Vector, text: &str) -> Result<String, String> {
    match &vector.line {
        Some(line) if line.get("method").is_none() => recode_reply(vector, text),
        Some(line) if schemas::is_notification(line) || vector.newer => {
            recode_notification(vector, text)
        }
        _ => recode_request(text),
    }
}

fn recode_request(text: &str) -> Result<String, String> {
    let incoming = Incoming::parse(text).map_err(|refused| refused.error.to_string())?;
    let request = Request::decode(&incoming.method, incoming.params).map_err(|e| e.to_string())?;
    let params = request.encode_params().map_err(|error| error.to_string())?;
    let method = request.info().name;
    let line = match &incoming.id {
        Some(id) => request_line(id, method, &params),
        None => notification_line(method, &params),
    };
    line.map_err(|error| error.to_string())
}

fn recode_reply(vector: &Vector, text: &str) -> Result<String, String> {
    let Ok(ServerLine::Reply { id, outcome }) = ServerLine::parse(text) else {
        return Err("is no reply".to_owned());
    };
    let outcome = match (outcome, &vector.answers) {
        (Ok(result), Some(method)) => {
            Ok(Reply::decode(method, result).map_err(|error| error.to_string())?)
        }
        (Err(error), None) => {
            let error: RpcError = serde_json::from_str(error).map_err(|error| error.to_string())?;
            if error.code != error.data.code.number() {
                return Err("number and code are not a pair".to_owned());
            }
            Err(error)
        }
        _ => return Err("a result needs answers, an error has none".to_owned()),
    };
    reply_line(id.as_ref(), &outcome).map_err(|error| error.to_string())
}

fn recode_notification(vector: &Vector, text: &str) -> Result<String, String> {
    let Ok(ServerLine::Notification { method, params }) = ServerLine::parse(text) else {
        return Err("is no notification".to_owned());
    };
    let message = ServerMessage::decode(&method, params).map_err(|error| error.to_string())?;
    let is_passed_over = vector.newer && vector.encoded.is_none();
    if is_passed_over != matches!(message, ServerMessage::Unknown(_)) {
        return Err(format!("newer is {}, but it is {message:?}", vector.newer));
    }
    let line = match message {
        ServerMessage::Event(event) => {
            event_body(&event.event).map(|body| event_head(&event.subscription, event.seq) + &body)
        }
        ServerMessage::Reset(reset) => notification_line(&method, &reset),
        ServerMessage::Goaway(goaway) => notification_line(&method, &goaway),
        ServerMessage::Unknown(unknown) => notification_line(&method, &unknown.params),
    };
    line.map_err(|error| error.to_string())
}
