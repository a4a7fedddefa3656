//! The OpenRPC document.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::settings::{self, COMPONENTS};
use crate::PROTOCOL;
use crate::error::{ErrorCode, RpcError};
use crate::event::{EventParams, GoawayParams, ResetParams};
use crate::method::{self, COMMON_ERRORS, METHODS, MethodInfo};
use crate::results::Role;

const DESCRIPTION: &str = "JSON-RPC 2.0 over a Unix socket or a Windows named pipe: one UTF-8 JSON \
    object per line, no batches. Errors are matched by data.code. Fields and notifications that \
    are not described here are to be ignored.";

#[derive(Serialize)]
pub(super) struct Document {
    openrpc: &'static str,
    info: Info,
    methods: Vec<Method>,
    #[serde(rename = "x-notifications")]
    notifications: [Notification; 3],
    components: Components,
}

#[derive(Serialize)]
struct Info {
    title: &'static str,
    version: String,
    description: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Method {
    name: &'static str,
    summary: &'static str,
    param_structure: &'static str,
    params: Vec<ContentDescriptor>,
    result: ContentDescriptor,
    errors: Vec<Value>,
    #[serde(rename = "x-role")]
    role: Role,
}

#[derive(Serialize)]
struct ContentDescriptor {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    required: bool,
    schema: Schema,
}

/// Notification of the daemon, for which OpenRPC defines no element.
#[derive(Serialize)]
struct Notification {
    name: &'static str,
    summary: &'static str,
    params: Schema,
}

#[derive(Serialize)]
struct Components {
    errors: BTreeMap<&'static str, Value>,
    schemas: Map<String, Value>,
}

/// Generates the description of the protocol.
pub(super) fn document() -> Document {
    let mut params = settings::params().into_generator();
    let mut results = settings::results().into_generator();
    let methods: Vec<_> =
        METHODS.iter().map(|info| describe(info, &mut params, &mut results)).collect();
    let notifications = notifications(&mut results);
    let error = results.subschema_for::<RpcError>();
    let definitions = merge(params.take_definitions(true), results.take_definitions(true));
    let roots = json!([methods, notifications, error]);
    let schemas = reachable(&roots, &definitions);
    let errors = ErrorCode::ALL.iter().map(|&code| (code.as_str(), describe_error(code, &schemas)));
    Document {
        openrpc: "1.3.2",
        info: Info { title: "lanragectl", version: PROTOCOL.to_string(), description: DESCRIPTION },
        methods,
        notifications,
        components: Components { errors: errors.collect(), schemas },
    }
}

fn describe(
    info: &MethodInfo,
    params: &mut SchemaGenerator,
    results: &mut SchemaGenerator,
) -> Method {
    let (params_schema, result) = method::schemas(info, params, results);
    let errors: BTreeSet<_> = COMMON_ERRORS.iter().chain(info.errors).map(|e| e.as_str()).collect();
    let reference = |code| json!({"$ref": format!("#/components/errors/{code}")});
    Method {
        name: info.name,
        summary: info.summary,
        param_structure: "by-name",
        params: descriptors(&params_schema, params),
        result: ContentDescriptor {
            name: "result".to_owned(),
            description: None,
            required: true,
            schema: result,
        },
        errors: errors.into_iter().map(reference).collect(),
        role: info.role,
    }
}

/// Returns a descriptor for each field of a struct; required fields come first.
fn descriptors(params: &Schema, generator: &mut SchemaGenerator) -> Vec<ContentDescriptor> {
    let name =
        params.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix(COMPONENTS));
    let definition = name.and_then(|name| generator.definitions().get(name)).cloned();
    let definition = definition.unwrap_or_default();
    let is_required = |name: &str| {
        let required = definition["required"].as_array();
        required.is_some_and(|required| required.iter().any(|field| field == name))
    };
    let mut descriptors = Vec::new();
    for (name, field) in definition["properties"].as_object().into_iter().flatten() {
        let mut schema = Schema::try_from(field.clone()).unwrap_or_default();
        let description = schema.remove("description");
        for transform in generator.transforms_mut() {
            transform.transform(&mut schema);
        }
        descriptors.push(ContentDescriptor {
            name: name.clone(),
            description: description.and_then(|text| text.as_str().map(str::to_owned)),
            required: is_required(name),
            schema,
        });
    }
    descriptors.sort_by_key(|descriptor| !descriptor.required);
    descriptors
}

fn notifications(generator: &mut SchemaGenerator) -> [Notification; 3] {
    [
        Notification {
            name: "event",
            summary: "Something changed that a subscription of this connection covers.",
            params: generator.subschema_for::<EventParams>(),
        },
        Notification {
            name: "event.reset",
            summary: "Events of a subscription were dropped: the snapshot takes their place.",
            params: generator.subschema_for::<ResetParams>(),
        },
        Notification {
            name: "goaway",
            summary: "The daemon is stopping.",
            params: generator.subschema_for::<GoawayParams>(),
        },
    ]
}

fn describe_error(code: ErrorCode, schemas: &Map<String, Value>) -> Value {
    let of_code = |variant: &&Value| variant["const"] == code.as_str();
    let variants = schemas["ErrorCode"]["oneOf"].as_array();
    let message = variants.and_then(|all| all.iter().find(of_code)).map(|of| &of["description"]);
    let data = RpcError::new(code, "").data;
    json!({"code": code.number(), "message": message, "data": data})
}

/// Merges definitions. A type that is sent in both directions must be the same in both.
pub(super) fn merge(mut all: Map<String, Value>, more: Map<String, Value>) -> Map<String, Value> {
    for (name, schema) in more {
        let before = all.get(&name).cloned().unwrap_or_else(|| schema.clone());
        assert_eq!(before, schema, "{name} is read otherwise than it is written: use two types");
        all.insert(name, schema);
    }
    all
}

/// Returns the definitions that `from` refers to, directly or indirectly.
fn reachable(from: &Value, definitions: &Map<String, Value>) -> Map<String, Value> {
    let (mut found, mut open) = (Map::new(), Vec::new());
    references(from, &mut open);
    while let Some(name) = open.pop() {
        if let (false, Some(schema)) = (found.contains_key(&name), definitions.get(&name)) {
            references(schema, &mut open);
            found.insert(name, schema.clone());
        }
    }
    found
}

/// Adds the names of the schemas that a document refers to.
fn references(document: &Value, names: &mut Vec<String>) {
    match document {
        Value::Array(items) => items.iter().for_each(|item| references(item, names)),
        Value::Object(fields) => {
            let target = fields.get("$ref").and_then(Value::as_str);
            names.extend(target.and_then(|at| at.strip_prefix(COMPONENTS)).map(str::to_owned));
            fields.values().for_each(|field| references(field, names));
        }
        _ => {}
    }
}
