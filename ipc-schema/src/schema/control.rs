//! Schema of the control server's WebSocket frames.

use schemars::Schema;
use serde_json::{Value, json};

use super::openrpc::merge;
use super::settings::plain;
use crate::control::{Inbound, ServerFrame};

/// Returns one document with a definition for each direction.
pub(super) fn document() -> Value {
    let mut client = plain().for_deserialize().into_generator();
    let mut server = plain().for_serialize().into_generator();
    let directions: [Schema; 2] =
        [client.subschema_for::<Inbound>(), server.subschema_for::<ServerFrame>()];
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "control-ws",
        "description": "WebSocket frames of the control server, one JSON object per text frame: \
            Inbound is what clients send, ServerFrame what the server sends. Fields and types that \
            are not described here are to be ignored.",
        "anyOf": directions,
        "definitions": merge(client.take_definitions(true), server.take_definitions(true)),
    })
}
