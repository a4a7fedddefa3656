//! HTTP, as LANrage's client speaks it.

mod clock_steps;
mod defects;
mod disk;
mod errors;
mod habits;
mod identity;
mod malformed;
mod new_values;
mod parties;
mod rates;
mod recorded;
mod registration;
mod relays;
mod repeats;
mod shapes;
mod times;
mod validation;

use serde_json::Value;

use crate::harness::{Daemon, Http, Setup, announced};

/// A server, and a client with a token for each peer.
fn server_with<const N: usize>(peers: [&str; N]) -> (Daemon, [Http; N]) {
    let server = Setup::server().start();
    let clients = peers.map(|peer| Http::registered(server.address(), peer));
    (server, clients)
}

/// Returns a peer in the format of clients, with some fields changed.
fn announced_with(id: &str, changes: Value) -> Value {
    with(announced(id), changes)
}

/// An object with some fields changed; those that become null are left out.
fn with(mut object: Value, changes: Value) -> Value {
    let fields = object.as_object_mut().expect("an object");
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    fields.extend(changes);
    fields.retain(|_, value| !value.is_null());
    object
}

/// True for a naive time in the format of Python's `isoformat`.
fn is_naive(time: &Value) -> bool {
    let text = time.as_str().unwrap_or_default();
    let (seconds, micros) = text.split_once('.').unwrap_or((text, "000000"));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let shape = seconds.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    shape.eq("0000-00-00T00:00:00".bytes()) && micros.len() == 6 && is_digits(micros)
}

/// True for a token: 256 bits in url-safe base64.
fn is_token(token: &Value) -> bool {
    let in_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    token.as_str().is_some_and(|text| text.len() == 43 && text.bytes().all(in_alphabet))
}
