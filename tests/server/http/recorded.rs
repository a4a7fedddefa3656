//! Recorded answers of LANrage's own server, which this server must reproduce where they are right.
//!
//! Each row of `recorded.json` is a request, with the status and body of its answer. Where the
//! original answered 500 or accepted invalid input, the row has the right answer, and says so.

mod parties;
mod registration;
mod relays;
mod service;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{announced_with, is_naive, is_token};
use crate::harness::{Daemon, Http, Response, Setup};

/// Name of the case, the client (with a token if it is registered), method and path, the body (none
/// if it is null; a string as it is), the status, and the body of the answer.
type Row = (String, String, String, Value, u16, Value);

/// Server and its clients.
struct Scene {
    server: Daemon,
    clients: BTreeMap<String, Http>,
    /// Parties, by their names in rows.
    parties: Vec<(&'static str, String)>,
}

impl Scene {
    fn of(peers: &[&str]) -> Self {
        let server = Setup::server().start();
        let register = |peer: &&str| ((*peer).to_owned(), Http::registered(server.address(), peer));
        let clients = peers.iter().map(register).collect();
        Self { server, clients, parties: Vec::new() }
    }

    fn client(&mut self, who: &str) -> &mut Http {
        let address = self.server.address();
        self.clients.entry(who.to_owned()).or_insert_with(|| Http::connect(address))
    }

    /// A party with its host first; rows call it by that name.
    fn party(&mut self, name: &'static str, members: &[&str]) {
        let id = self.client(members[0]).party(members[0]);
        for guest in &members[1..] {
            self.client(guest).join(&id, guest).ok();
        }
        self.parties.push((name, id));
    }

    fn ask(&mut self, who: &str, request: &str, body: Value) -> Response {
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

    /// Sends a text unchanged, under that media type.
    fn send(
        &mut self,
        who: &str,
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

    /// Sends the requests of a table of `recorded.json`. A row that is a text is a comment.
    fn play(&mut self, table: &str) {
        let tables: Value = serde_json::from_str(include_str!("recorded.json")).expect("JSON");
        let rows = tables[table].as_array().expect("a table of that name");
        for row in rows.iter().filter(|row| row.is_array()) {
            let row: Row = serde_json::from_value(filled(row)).expect("a row");
            let (case, who, request, body, status, expected) = row;
            let response = self.ask(&who, &request, body);
            assert_eq!(response.status, status, "{case}: {}", response.text());
            assert_eq!(self.told(&response), masked(expected), "{case}");
        }
    }

    /// Body of an answer, with placeholders for values that differ between runs.
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

/// Value of a row, with a client's description of a peer in place of `"@peer"` and `{"@peer":
/// CHANGES}`.
fn filled(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix('@') {
            Some(peer) => announced_with(peer, json!({})),
            None => value.clone(),
        },
        Value::Object(fields) => {
            let peer = fields.iter().find_map(|(key, value)| Some((key.strip_prefix('@')?, value)));
            if let Some((peer, changes)) = peer {
                return announced_with(peer, changes.clone());
            }
            fields.iter().map(|(key, value)| (key.clone(), filled(value))).collect()
        }
        Value::Array(values) => values.iter().map(filled).collect(),
        other => other.clone(),
    }
}

/// Like LANrage's `{"name": …, "host_peer_info": …}`, with alice as the host.
fn hosted(name: Value) -> Value {
    json!({"name": name, "host_peer_info": announced_with("alice", json!({}))})
}
