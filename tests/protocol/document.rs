//! Messages of the daemon, checked against the document that it serves.

use jsonschema::Validator;
use lanrage_ipc::method::METHODS;
use serde_json::{Value, json};

use crate::harness::{Setup, methods, peer};

struct Document(Value);

impl Document {
    fn validator(&self, schema: &Value) -> Validator {
        // The components come along, for the references to lead to.
        let schema = json!({"allOf": [schema], "components": self.0["components"]});
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft7);
        options.should_validate_formats(true).build(&schema).expect("a schema")
    }

    fn named(&self, list: &str, name: &str) -> &Value {
        let all = self.0[list].as_array().expect("a list");
        all.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} is described"))
    }

    fn assert_valid(&self, schema: &Value, value: &Value) {
        if let Err(error) = self.validator(schema).validate(value) {
            panic!("{error} at {} of {value}", error.instance_path());
        }
    }

    /// Asserts that a method may fail so.
    fn assert_listed(&self, method: &str, error: &Value) {
        self.assert_valid(&json!({"$ref": "#/components/schemas/RpcError"}), error);
        let code = error["data"]["code"].as_str().expect("a code");
        let reference = json!({"$ref": format!("#/components/errors/{code}")});
        let errors = self.named("methods", method)["errors"].as_array().expect("errors");
        assert!(errors.contains(&reference), "{method} may answer {code}");
        assert_eq!(self.0["components"]["errors"][code]["code"], error["code"]);
    }
}

#[test]
fn results_and_events_fit_the_openrpc_document() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let document = Document(client.call("rpc.discover", json!({})));
    for (method, _, params) in methods(&daemon) {
        let result = client.call(method, params);
        document.assert_valid(&document.named("methods", method)["result"]["schema"], &result);
    }
    assert_eq!(document.0["methods"].as_array().map(Vec::len), Some(METHODS.len()));
    let event = &document.named("x-notifications", "event")["params"];
    for _ in 0..5 {
        document.assert_valid(event, &client.notification()["params"]);
    }
}

#[test]
fn errors_of_each_method_are_listed_in_the_openrpc_document() {
    let daemon =
        Setup::new().config("[limits]\nparties = 1\nrelays = 1\npeers_per_party = 1").start();
    let mut client = daemon.client();
    let document = Document(client.call("rpc.discover", json!({})));
    client.register("p", "ann");
    client.call("relay.register", json!({"relay_id": "r", "public_ip": "::1", "port": 1}));
    let here = json!({"party_id": "p", "peer_id": "bob", "peer": peer("bob")});
    let gone = json!({"party_id": "q", "peer_id": "bob", "peer": peer("bob")});
    let signal = |party: &str, from: &str, to: &str| json!({"party_id": party, "from_peer_id": from, "to_peer_id": to, "signal_data": 1});
    let register = |party: &str| json!({"party_id": party, "name": "Q", "host": peer("eve")});
    for (method, params) in [
        ("hello", json!({"protocol": {"min": 2, "max": 2}})),
        ("party.register", register("p")),
        ("party.register", register("q")),
        ("party.join", here.clone()),
        ("party.join", gone.clone()),
        ("party.leave", here.clone()),
        ("party.leave", gone.clone()),
        ("party.get", gone.clone()),
        ("party.list", json!({"limit": 0})),
        ("peer.update", here.clone()),
        ("peer.update", gone.clone()),
        ("peer.list", gone.clone()),
        ("peer.discover", here.clone()),
        ("peer.discover", gone.clone()),
        ("peer.heartbeat", here.clone()),
        ("peer.heartbeat", gone.clone()),
        ("signal.send", signal("q", "ann", "ann")),
        ("signal.send", signal("p", "bob", "ann")),
        ("signal.send", signal("p", "ann", "bob")),
        ("signal.poll", here),
        ("signal.poll", gone.clone()),
        ("relay.register", json!({"relay_id": "s", "public_ip": "::1", "port": 1})),
        ("relay.list", json!({"region": ""})),
        ("events.subscribe", gone),
        ("events.unsubscribe", json!({"subscription": "s9"})),
        ("connection.set", json!({"server_url": "lan.example.org"})),
        ("connection.set", json!({})),
        ("state.export", json!({})),
        ("state.import", json!({"state": 1, "mode": "merge"})),
        ("state.backup", json!({"path": "not absolute"})),
    ] {
        let error = client.error(method, params);
        document.assert_listed(method, &error);
    }
}
