//! Invalid messages are refused for the stated reason.

use lanrage_ipc::Request;
use lanrage_ipc::envelope::Incoming;
use serde_json::{Value, json};

use super::{check_all, schemas};

#[test]
fn invalid_messages_are_refused_for_the_stated_reason() {
    check_all("invalid", |vector| {
        let expect = vector.expect.as_ref().ok_or("has no expect")?;
        let text = vector.text();
        let (id, error) = match Incoming::parse(&text) {
            Err(refused) => (refused.id, refused.error),
            Ok(incoming) => match Request::decode(&incoming.method, incoming.params) {
                Err(error) => (incoming.id, error),
                Ok(request) => return Err(format!("was taken: {request:?}")),
            },
        };
        let id = id.map(|id| serde_json::from_str::<Value>(id.as_json()));
        let id = id.transpose().map_err(|error| error.to_string())?.unwrap_or(Value::Null);
        let got = json!([id, error.data.code, error.data.field]);
        let wanted = json!([expect.id, expect.code, expect.field]);
        if got == wanted { Ok(()) } else { Err(format!("got {got}: {error}")) }
    });
}

#[test]
fn invalid_params_do_not_fit_the_committed_schemas_either() {
    let schemas = schemas::Schemas::committed();
    check_all("invalid", |vector| match (&vector.line, &vector.expect) {
        (Some(line), Some(expect)) if expect.code == "invalid_params" => {
            match schemas.check(line, None) {
                Ok(()) => Err("fits".to_owned()),
                Err(_) => Ok(()),
            }
        }
        _ => Ok(()),
    });
}
