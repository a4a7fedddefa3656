//! What LANrage's own server answered, where that was right: this one answers the same.
//!
//! Each row is a request, and the status and body that it got. Where the original answered 500,
//! or took what must not be taken, the row has what is right instead, and says so.

mod parties;
mod registration;
mod relays;
mod service;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{announced_with, is_naive, is_token};
use crate::harness::{Daemon, Http, Response, Setup};

/// What the request is, who asks (with a token, if they are registered), method and path, the body
/// (none if it is null; a string as it is), the status, and the body of the answer.
type Row = (&'static str, &'static str, &'static str, Value, u16, Value);

/// A server and those who speak to it.
struct Scene {
    server: Daemon,
    clients: BTreeMap<&'static str, Http>,
    /// Parties, by what rows call them.
    parties: Vec<(&'static str, String)>,
}

impl Scene {
    fn of(peers: &[&'static str]) -> Self {
        let server = Setup::server().start();
        let register = |peer: &&'static str| (*peer, Http::registered(server.address(), peer));
        let clients = peers.iter().map(register).collect();
        Self { server, clients, parties: Vec::new() }
    }

    fn client(&mut self, who: &'static str) -> &mut Http {
        let address = self.server.address();
        self.clients.entry(who).or_insert_with(|| Http::connect(address))
    }

    /// A party with its host first; rows call it by that name.
    fn party(&mut self, name: &'static str, members: &[&'static str]) {
        let id = self.client(members[0]).party(members[0]);
        for guest in &members[1..] {
            self.client(guest).join(&id, guest).ok();
        }
        self.parties.push((name, id));
    }

    fn ask(&mut self, who: &'static str, request: &str, body: Value) -> Response {
        let mut request = request.to_owned();
        for (name, id) in &self.parties {
            request = request.replace(name, id);
        }
        let (method, path) = request.split_once(' ').expect("a method and a path");
        match body {
            Value::Null => self.client(who).request(method, path, None),
            Value::String(text) => self.send(who, method, path, "application/json", &text),
            body => self.client(who).request(method, path, Some(body)),
        }
    }

    /// Sends a text as it is, and calls it what it is called.
    fn send(
        &mut self,
        who: &'static str,
        method: &str,
        path: &str,
        media_type: &str,
        text: &str,
    ) -> Response {
        let client = self.client(who);
        let bearer = format!("Bearer {}", client.token.clone().unwrap_or_default());
        let mut headers = vec![("Content-Type", media_type)];
        if client.token.is_some() {
            headers.push(("Authorization", &bearer));
        }
        client.send(method, path, &headers, Some(text.as_bytes()))
    }

    fn play(&mut self, rows: impl IntoIterator<Item = Row>) {
        for (case, who, request, body, status, expected) in rows {
            let response = self.ask(who, request, body);
            assert_eq!(response.status, status, "{case}: {}", response.text());
            assert_eq!(self.told(&response), masked(expected), "{case}");
        }
    }

    /// The body of an answer, with words in place of what is never the same.
    fn told(&self, response: &Response) -> Value {
        let mut text = response.text().to_owned();
        for (name, id) in &self.parties {
            text = text.replace(id, name);
        }
        masked(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text:?}")))
    }
}

fn masked(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mask = |(key, value): (String, Value)| {
                let word = match key.as_str() {
                    "token" if is_token(&value) => Some("TOKEN"),
                    "expires_at" | "registered_at" | "created_at" | "last_seen"
                        if is_naive(&value) =>
                    {
                        Some("TIME")
                    }
                    // Each parser of JSON has its own words.
                    "error" => Some("WORDS"),
                    _ => None,
                };
                (key, word.map_or_else(|| masked(value), Value::from))
            };
            Value::Object(fields.into_iter().map(mask).collect())
        }
        Value::Array(values) => values.into_iter().map(masked).collect(),
        other => other,
    }
}

fn detail(words: &str) -> Value {
    json!({ "detail": words })
}

/// The one thing that is wrong with an input.
fn mistake(kind: &str, loc: Value, msg: &str, input: Value) -> Value {
    json!({"detail": [{"type": kind, "loc": loc, "msg": msg, "input": input}]})
}

/// That with the rule's own values.
fn mistake_with(kind: &str, loc: Value, msg: &str, input: Value, ctx: Value) -> Value {
    let mut reply = mistake(kind, loc, msg, input);
    reply["detail"][0]["ctx"] = ctx;
    reply
}

/// Like LANrage's `{"name": …, "host_peer_info": …}`, with alice as the host.
fn hosted(name: Value) -> Value {
    json!({"name": name, "host_peer_info": announced_with("alice", json!({}))})
}
