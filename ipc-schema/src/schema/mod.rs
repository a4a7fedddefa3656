//! Machine-readable descriptions of the protocols and of LANrage's state file.
//!
//! The descriptions are generated from this crate's types and committed:
//! `cargo run -p lanrage-ipc --features schema --example schemas` writes them anew.

#[cfg(feature = "schema")]
mod control;
#[cfg(feature = "schema")]
mod openrpc;
#[cfg(feature = "schema")]
mod settings;

/// OpenRPC document of the protocol, the result of `rpc.discover`.
pub const OPENRPC: &str = include_str!("../../schema/openrpc.json");

/// JSON Schema of LANrage's `control_state.json`.
pub const LANRAGE_STATE: &str = include_str!("../../schema/lanrage-state.schema.json");

/// JSON Schema of the control server's WebSocket frames, in both directions.
pub const CONTROL_WS: &str = include_str!("../../schema/control-ws.schema.json");

/// Generates the descriptions. Returns each file's path, relative to this crate, and its contents.
///
/// # Errors
/// Never for this crate's types.
#[cfg(feature = "schema")]
pub fn generate() -> serde_json::Result<[(&'static str, String); 3]> {
    Ok([
        ("schema/openrpc.json", pretty(&openrpc::document())?),
        ("schema/control-ws.schema.json", pretty(&control::document())?),
        ("schema/lanrage-state.schema.json", pretty(&settings::lanrage_state())?),
    ])
}

#[cfg(feature = "schema")]
fn pretty(document: &impl serde::Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

#[cfg(test)]
mod tests;
