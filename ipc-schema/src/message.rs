//! Lines of the daemon, classified and decoded for a client.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::envelope::Id;
use crate::event::{Event, EventParams, GoawayParams, ResetParams};

/// Line of the daemon whose contents are not decoded yet.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerLine<'a> {
    /// Reply to a request.
    Reply {
        /// Id of the request; `None` if the daemon could not decode it.
        id: Option<Id>,
        /// JSON text of its `result`, or of its `error`.
        outcome: Result<&'a str, &'a str>,
    },
    /// Notification.
    Notification {
        /// Method of the notification.
        method: String,
        /// JSON text of its `params`; `{}` if absent.
        params: &'a str,
    },
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    method: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl<'a> ServerLine<'a> {
    /// Parses one line.
    ///
    /// # Errors
    /// [`NotUnderstood`] for a line that is neither a reply nor a notification.
    pub fn parse(line: &'a str) -> Result<Self, NotUnderstood> {
        let fields: Fields =
            serde_json::from_str(line).map_err(|error| NotUnderstood(error.to_string()))?;
        let id = fields.id.and_then(|raw| Id::from_json(raw.get()));
        match (fields.method, fields.result, fields.error) {
            (Some(method), None, None) => {
                Ok(Self::Notification { method, params: fields.params.map_or("{}", RawValue::get) })
            }
            (None, Some(result), None) => Ok(Self::Reply { id, outcome: Ok(result.get()) }),
            (None, None, Some(error)) => Ok(Self::Reply { id, outcome: Err(error.get()) }),
            _ => Err(NotUnderstood("it has not one of method, result and error".to_owned())),
        }
    }
}

/// Error of a message that violates the protocol, with a human-readable reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUnderstood(pub String);

/// Notification of the daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage {
    /// The state changed.
    Event(EventParams),
    /// Events were dropped; replace the local state by the snapshot.
    Reset(ResetParams),
    /// The daemon is stopping.
    Goaway(GoawayParams),
    /// An unknown message. It may be ignored, but the `seq` of an event counts.
    Unknown(UnknownMessage),
}

/// Notification, or kind of event, that this crate does not know.
#[derive(Debug, Clone)]
pub struct UnknownMessage {
    /// Method of the notification.
    pub method: String,
    /// Subscription, if it has one.
    pub subscription: Option<String>,
    /// Number in the subscription, if it has one.
    pub seq: Option<u64>,
    /// Complete `params`.
    pub params: Box<RawValue>,
}

impl PartialEq for UnknownMessage {
    fn eq(&self, other: &Self) -> bool {
        self.method == other.method && self.params.get() == other.params.get()
    }
}

impl ServerMessage {
    /// Decodes a notification.
    ///
    /// # Errors
    /// [`NotUnderstood`] if its kind is known, but its fields do not match that kind.
    pub fn decode(method: &str, params: &str) -> Result<Self, NotUnderstood> {
        /// Fields that events of every kind have.
        #[derive(Deserialize, Default)]
        struct Any {
            subscription: Option<String>,
            seq: Option<u64>,
            kind: Option<String>,
        }

        let any: Any = serde_json::from_str(params).unwrap_or_default();
        let is_known = any.kind.is_some_and(|kind| Event::KINDS.contains(&kind.as_str()));
        match method {
            "event" if is_known => decode(method, params).map(Self::Event),
            "event.reset" => decode(method, params).map(Self::Reset),
            "goaway" => decode(method, params).map(Self::Goaway),
            _ => Ok(Self::Unknown(UnknownMessage {
                method: method.to_owned(),
                subscription: any.subscription,
                seq: any.seq,
                params: decode(method, params)?,
            })),
        }
    }
}

fn decode<T: DeserializeOwned>(method: &str, params: &str) -> Result<T, NotUnderstood> {
    serde_json::from_str(params).map_err(|error| NotUnderstood(format!("{method}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_and_notifications_are_told_apart() {
        let parse = ServerLine::parse;
        let id = |text| Id::from_json(text);
        assert_eq!(
            parse(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#),
            Ok(ServerLine::Reply { id: id("\"a\""), outcome: Ok("{}") })
        );
        assert_eq!(
            parse(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#),
            Ok(ServerLine::Reply { id: None, outcome: Err(r#"{"code":1}"#) })
        );
        assert_eq!(
            parse(r#"{"jsonrpc":"2.0","method":"later"}"#),
            Ok(ServerLine::Notification { method: "later".into(), params: "{}" })
        );
        for bad in ["", "1", "{}", r#"{"result":{},"error":{}}"#, r#"{"id":1}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_newer_is_unknown_and_what_is_misshapen_an_error() {
        let newer = r#"{"subscription":"s1","seq":7,"kind":"party.renamed","data":{"x":1}}"#;
        let Ok(ServerMessage::Unknown(unknown)) = ServerMessage::decode("event", newer) else {
            panic!("must be unknown");
        };
        assert_eq!((unknown.subscription.as_deref(), unknown.seq), (Some("s1"), Some(7)));
        assert_eq!(unknown.params.get(), newer);
        assert!(matches!(ServerMessage::decode("later", "[1]"), Ok(ServerMessage::Unknown(_))));

        let misshapen = newer.replace("party.renamed", "relay.removed");
        assert!(ServerMessage::decode("event", &misshapen).is_err());
        let known = misshapen.replace(r#"{"x":1}"#, r#"{"relay_id":"r","later":1}"#);
        assert!(matches!(ServerMessage::decode("event", &known), Ok(ServerMessage::Event(_))));
    }
}
