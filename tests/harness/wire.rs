//! Helpers of the protocol tests.

use std::net::Shutdown;
use std::path::Path;

use serde_json::{Value, json};

use super::{Client, eventually};

impl Client {
    /// Sends a line as it is, and returns the next line that comes.
    pub(crate) fn exchange(&mut self, line: &str) -> Value {
        self.send_raw(format!("{line}\n").as_bytes());
        self.line().expect("an answer")
    }

    /// Asks, and returns the whole error.
    pub(crate) fn error(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        let mut reply = self.reply(id);
        assert!(reply.get("error").is_some(), "{method} was not refused: {reply}");
        reply["error"].take()
    }

    /// The field that an `invalid_params` names.
    pub(crate) fn invalid(&mut self, method: &str, params: Value) -> String {
        let error = self.error(method, params);
        assert_error(&error, "invalid_params");
        let field = error["data"]["field"].as_str().expect("a field");
        let message = error["message"].as_str().expect("a message");
        assert!(message.starts_with(&format!("{field}: ")), "{message:?} names {field:?}");
        field.to_owned()
    }

    /// Sends no more, and asserts that the daemon ends the connection without another word.
    pub(crate) fn assert_ended(&mut self) {
        self.stream().shutdown(Shutdown::Write).ok();
        assert_eq!(self.line(), None);
    }

    /// Registers a party of that id.
    pub(crate) fn register(&mut self, party_id: &str, host: &str) -> Value {
        let params = json!({"party_id": party_id, "name": "Quake", "host": super::peer(host)});
        self.call("party.register", params)["party"].take()
    }

    /// Joins a party.
    pub(crate) fn join(&mut self, party_id: &str, peer: &str) -> Value {
        let params = json!({"party_id": party_id, "peer": super::peer(peer)});
        self.call("party.join", params)["party"].take()
    }

    /// A party as it is.
    pub(crate) fn party(&mut self, party_id: &str) -> Value {
        self.call("party.get", json!({"party_id": party_id}))["party"].take()
    }
}

/// Code, number and `retryable` of each error.
const ERRORS: [(&str, i64, bool); 20] = [
    ("parse_error", -32700, false),
    ("invalid_request", -32600, false),
    ("unknown_method", -32601, false),
    ("invalid_params", -32602, false),
    ("internal", -32603, true),
    ("unsupported_protocol", -32001, false),
    ("permission_denied", -32002, false),
    ("rate_limited", -32003, true),
    ("too_many_in_flight", -32004, true),
    ("timeout", -32005, true),
    ("shutting_down", -32006, true),
    ("frame_too_large", -32007, false),
    ("party_not_found", -32010, false),
    ("party_exists", -32011, false),
    ("party_full", -32012, true),
    ("peer_not_found", -32013, false),
    ("not_a_member", -32014, false),
    ("offline", -32020, true),
    ("server_rejected", -32021, false),
    ("store_unavailable", -32022, true),
];

/// Asserts that an error is of that code, and has all that an error has.
pub(crate) fn assert_error(error: &Value, code: &str) {
    let data = &error["data"];
    assert_eq!(data["code"], code, "{error}");
    let (_, number, retryable) =
        ERRORS.into_iter().find(|(text, ..)| *text == code).expect("a code of the protocol");
    assert_eq!((&error["code"], &data["retryable"]), (&json!(number), &json!(retryable)));
    for text in [&error["message"], &data["hint"]] {
        assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{error}");
    }
    assert_eq!(keys(error), ["code", "data", "message"]);
    let field: &[&str] = if data.get("field").is_some() { &["field"] } else { &[] };
    let expected = [&["code"], field, &["hint", "retryable"]].concat();
    assert_eq!(keys(data), expected);
}

/// The keys of an object, sorted.
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> =
        object.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Waits until the daemon counts that many connections.
pub(crate) fn await_clients(client: &mut Client, count: u64) {
    eventually("that many connections", || {
        (client.call("status.get", json!({}))["clients"] == count).then_some(())
    });
}

/// Returns the memory of a process in kilobytes: `VmRSS` now, `VmHWM` at the peak.
pub(crate) fn memory(pid: nix::unistd::Pid, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("its memory");
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().expect("a number")
}

/// Takes the lock of a discovery file, as another program may.
pub(crate) fn lock(discovery_file: &Path) -> std::fs::File {
    let file = std::fs::File::create(discovery_file.with_extension("json.lock"));
    let file = file.expect("open the lock");
    file.lock().expect("take the lock");
    file
}

/// Asserts that a program chose the id: short enough for LANrage's users to type, and in need of no
/// escapes.
pub(crate) fn assert_chosen_id(id: &str) {
    assert_eq!(id.len(), 20, "{id}");
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
}
