//! The committed OpenRPC document as a validator of messages.

use std::collections::BTreeMap;

use jsonschema::Validator;
use lanrage_ipc::schema::OPENRPC;
use serde_json::{Value, json};

pub(super) struct Schemas {
    params: BTreeMap<String, Validator>,
    results: BTreeMap<String, Validator>,
    notifications: BTreeMap<String, Validator>,
    error: Validator,
}

/// True for a message that the daemon sends unasked.
pub(super) fn is_notification(line: &Value) -> bool {
    matches!(line["method"].as_str(), Some("event" | "event.reset" | "goaway"))
        && line.get("id").is_none()
}

/// The committed document.
pub(super) fn openrpc() -> Value {
    serde_json::from_str(OPENRPC).expect("JSON")
}

/// Required params of each method.
pub(super) fn required() -> BTreeMap<String, Vec<String>> {
    let name = |one: &Value| one["name"].as_str().expect("a name").to_owned();
    let document = openrpc();
    let methods = document["methods"].as_array().expect("methods").iter().map(|method| {
        let params = method["params"].as_array().expect("params").iter();
        (name(method), params.filter(|param| param["required"] == true).map(name).collect())
    });
    methods.collect()
}

impl Schemas {
    pub(super) fn committed() -> Self {
        let document = openrpc();
        let validator = |schema: &Value| {
            // The components come along, for the references to lead to.
            let schema = json!({"allOf": [schema], "components": document["components"]});
            let options = jsonschema::options().with_draft(jsonschema::Draft::Draft7);
            options.should_validate_formats(true).build(&schema).expect("a schema")
        };
        let named = |list: &str, schema: &dyn Fn(&Value) -> Value| {
            let all = document[list].as_array().expect("a list");
            let name = |one: &Value| one["name"].as_str().expect("a name").to_owned();
            all.iter().map(|one| (name(one), validator(&schema(one)))).collect()
        };
        Self {
            params: named("methods", &|method| by_name(&method["params"])),
            results: named("methods", &|method| method["result"]["schema"].clone()),
            notifications: named("x-notifications", &|one| one["params"].clone()),
            error: validator(&json!({"$ref": "#/components/schemas/RpcError"})),
        }
    }

    /// Checks the content of a message; `answers` is the method that a reply answers.
    pub(super) fn check(&self, line: &Value, answers: Option<&str>) -> Result<(), String> {
        let (validators, name, part) = match line["method"].as_str() {
            Some(method) if is_notification(line) => (&self.notifications, method, "params"),
            Some(method) => (&self.params, method, "params"),
            None if line.get("error").is_some() => return validate(&self.error, &line["error"]),
            None => (&self.results, answers.ok_or("has no answers")?, "result"),
        };
        let validator = validators.get(name).ok_or_else(|| format!("{name} is not described"))?;
        validate(validator, line.get(part).unwrap_or(&json!({})))
    }
}

pub(super) fn validate(validator: &Validator, value: &Value) -> Result<(), String> {
    validator.validate(value).map_err(|error| format!("{}: {error}", error.instance_path()))
}

/// The schema of `params`, from their content descriptors.
fn by_name(descriptors: &Value) -> Value {
    let descriptors = descriptors.as_array().expect("descriptors");
    let name = |one: &Value| one["name"].as_str().expect("a name").to_owned();
    let properties: serde_json::Map<_, _> =
        descriptors.iter().map(|one| (name(one), one["schema"].clone())).collect();
    let required = descriptors.iter().filter(|one| one["required"] == true).map(name);
    let required: Vec<_> = required.collect();
    json!({"type": "object", "properties": properties, "required": required})
}
