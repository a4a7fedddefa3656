//! Settings of the schema generator: OpenRPC's dialect, with formats that validators know.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::json;

use crate::lanrage;

/// Path of the schemas in an OpenRPC document.
pub(super) const COMPONENTS: &str = "#/components/schemas/";

/// Settings for input: fields with a default are optional.
pub(super) fn params() -> SchemaSettings {
    plain().for_deserialize().with(|settings| settings.definitions_path = COMPONENTS.into())
}

/// Settings for output: every field that is not skipped is present.
pub(super) fn results() -> SchemaSettings {
    params().for_serialize()
}

/// Describes LANrage's `control_state.json`.
pub(super) fn lanrage_state() -> Schema {
    plain().for_serialize().into_generator().into_root_schema_for::<lanrage::State>()
}

pub(super) fn plain() -> SchemaSettings {
    SchemaSettings::draft07().with_transform(RecursiveTransform(known_formats))
}

/// Replaces the types' own formats by standard ones.
fn known_formats(schema: &mut Schema) {
    match schema.get("format").and_then(|format| format.as_str()) {
        Some("ip") => {
            schema.remove("format");
            schema.insert("anyOf".to_owned(), json!([{"format": "ipv4"}, {"format": "ipv6"}]));
        }
        Some("partial-date-time") => {
            schema.remove("format");
            let pattern = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?$";
            schema.insert("pattern".to_owned(), json!(pattern));
        }
        Some("uint32") => {
            schema.insert("maximum".to_owned(), json!(u32::MAX));
        }
        _ => {}
    }
}
