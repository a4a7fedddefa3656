//! Rows about a control server.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::{Rows, read_table, sealed, text, time};
use crate::core::{
    ChoiceRecord, CredentialRecord, IntentRecord, OpKind, PinRecord, Proof, RequestKey, ServerKey,
    User, Write,
};
use crate::server_url::{BadServerUrl, ServerUrl};
use crate::store::inspect::Fault;

pub(super) const PUT_INTENT: &str = "
    INSERT OR REPLACE INTO intents (party_id, peer_id, deed, key, at, owner, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(super) const DELETE_INTENT: &str = "DELETE FROM intents WHERE party_id = ?1 AND peer_id = ?2";
pub(super) const PUT_CREDENTIAL: &str = "
    INSERT OR REPLACE INTO credentials (server, peer_id, token, renew_at, owner, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(super) const DELETE_CREDENTIAL: &str =
    "DELETE FROM credentials WHERE server = ?1 AND peer_id = ?2";
pub(super) const PUT_CHOICE: &str = "
    INSERT OR REPLACE INTO server_choice (id, server, configured, epoch, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const DELETE_CHOICE: &str = "DELETE FROM server_choice";

pub(super) const PUT_PIN: &str = "
    INSERT OR REPLACE INTO pins (party_id, peer_id, public_key, replaced_by, at, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
pub(super) const DELETE_PIN: &str = "DELETE FROM pins WHERE party_id = ?1 AND peer_id = ?2";

const INTENTS: &str = "
    SELECT party_id, peer_id, deed, key, at, owner, checksum
    FROM intents ORDER BY party_id, peer_id";
const PINS: &str = "
    SELECT party_id, peer_id, public_key, replaced_by, at, checksum
    FROM pins ORDER BY party_id, peer_id";
const CREDENTIALS: &str = "
    SELECT server, peer_id, token, renew_at, owner, checksum
    FROM credentials ORDER BY server, peer_id";
const CHOICE: &str = "SELECT id, server, configured, epoch, checksum FROM server_choice";

pub(super) fn intent_values(intent: &IntentRecord) -> Vec<Value> {
    sealed(vec![
        text(&intent.party_id),
        text(&intent.peer_id),
        Value::Text(op_kind_name(intent.kind).into()),
        Value::Text(intent.key.0.to_string()),
        time(intent.at),
        intent.owner.map_or(Value::Null, |owner| Value::from(owner.0)),
    ])
}

pub(super) fn pin_values(pin: &PinRecord) -> Vec<Value> {
    sealed(vec![
        text(&pin.party_id),
        text(&pin.peer_id),
        text(&pin.public_key),
        pin.replaced_by.as_ref().map_or(Value::Null, text),
        time(pin.at),
    ])
}

pub(super) fn credential_values(credential: &CredentialRecord) -> Vec<Value> {
    sealed(vec![
        server(&credential.server),
        text(&credential.peer_id),
        Value::Text(proof_text(&credential.proof)),
        time(credential.renew_at),
        Value::from(credential.owner.0),
    ])
}

pub(super) fn choice_values(choice: &ChoiceRecord) -> Vec<Value> {
    let optional = |key: &Option<ServerKey>| key.as_ref().map_or(Value::Null, server);
    sealed(vec![
        Value::Integer(0),
        optional(&choice.server),
        optional(&choice.configured),
        choice.epoch.as_ref().map_or(Value::Null, text),
    ])
}

pub(super) fn server(key: &ServerKey) -> Value {
    Value::Text(key.0.to_string())
}

/// Reads all rows: intents, pins, credentials and the choice.
pub(super) fn read(connection: &Connection, rows: &mut dyn Rows) -> Result<(), Fault> {
    read_table(connection, INTENTS, rows, |fields| {
        let intent = IntentRecord {
            party_id: fields.text()?,
            peer_id: fields.text()?,
            kind: fields.parse(parse_op_kind)?,
            key: RequestKey(fields.text::<String>()?.into()),
            at: fields.time()?,
            owner: fields.optional_integer()?.map(User),
        };
        fields.seal()?;
        Ok(Write::PutIntent(intent))
    })?;
    read_table(connection, PINS, rows, |fields| {
        let pin = PinRecord {
            party_id: fields.text()?,
            peer_id: fields.text()?,
            public_key: fields.text()?,
            replaced_by: fields.optional(str::parse)?,
            at: fields.time()?,
        };
        fields.seal()?;
        Ok(Write::PutPin(pin))
    })?;
    read_table(connection, CREDENTIALS, rows, |fields| {
        let credential = CredentialRecord {
            server: fields.parse(parse_server)?,
            peer_id: fields.text()?,
            proof: proof(fields.text::<String>()?),
            renew_at: fields.time()?,
            owner: User(fields.integer()?),
        };
        fields.seal()?;
        Ok(Write::PutCredential(credential))
    })?;
    read_table(connection, CHOICE, rows, |fields| {
        fields.integer::<i64>()?;
        let choice = ChoiceRecord {
            server: fields.optional(parse_server)?,
            configured: fields.optional(parse_server)?,
            epoch: fields.optional(str::parse)?,
        };
        fields.seal()?;
        Ok(Write::PutChoice(choice))
    })
}

/// Prefix of a stored claim; no token has it.
const CLAIM: &str = "claim ";

fn proof_text(proof: &Proof) -> String {
    match proof {
        Proof::Token(token) => token.expose().to_owned(),
        Proof::Claim(name) => format!("{CLAIM}{}", name.expose()),
    }
}

fn proof(text: String) -> Proof {
    match text.strip_prefix(CLAIM) {
        Some(name) => Proof::Claim(name.to_owned().into()),
        None => Proof::Token(text.into()),
    }
}

fn parse_server(text: &str) -> Result<ServerKey, BadServerUrl> {
    ServerUrl::kept(text).map(|url| url.key())
}

const OP_KINDS: [OpKind; 4] = [OpKind::Register, OpKind::Join, OpKind::Update, OpKind::Leave];

fn op_kind_name(kind: OpKind) -> &'static str {
    match kind {
        OpKind::Register => "register",
        OpKind::Join => "join",
        OpKind::Update => "update",
        OpKind::Leave => "leave",
    }
}

fn parse_op_kind(text: &str) -> Result<OpKind, &'static str> {
    let kind = OP_KINDS.into_iter().find(|kind| op_kind_name(*kind) == text);
    kind.ok_or("must be register, join, update or leave")
}
