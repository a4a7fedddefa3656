//! Rows of identities: tokens and receipts.

use rusqlite::Connection;
use rusqlite::types::Value;
use serde::Serialize;

use super::{Rows, address, blob, read_table, sealed, text, time};
use crate::core::{
    ClaimHash, Done, Receipt, ReceiptRecord, Request, RequestKey, TokenHash, TokenRecord, Write,
};
use crate::store::inspect::Fault;

pub(super) const PUT_TOKEN: &str = "
    INSERT OR REPLACE INTO tokens (hash, peer_id, issued_at, expires_at, address, claim, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(super) const PUT_RECEIPT: &str = "
    INSERT OR REPLACE INTO receipts (peer_id, key, at, epoch, seq, done, request, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
pub(super) const DELETE_TOKEN: &str = "DELETE FROM tokens WHERE hash = ?1";
pub(super) const DELETE_RECEIPT: &str = "DELETE FROM receipts WHERE peer_id = ?1 AND key = ?2";

const TOKENS: &str = "
    SELECT hash, peer_id, issued_at, expires_at, address, claim, checksum
    FROM tokens ORDER BY hash";
const RECEIPTS: &str = "
    SELECT peer_id, key, at, epoch, seq, done, request, checksum
    FROM receipts ORDER BY peer_id, key";

pub(super) fn token_values(token: &TokenRecord) -> Vec<Value> {
    sealed(vec![
        blob(&token.hash.0),
        text(&token.peer_id),
        time(token.issued_at),
        time(token.expires_at),
        address(token.address),
        token.claim.map_or(Value::Null, |claim| blob(&claim.0)),
    ])
}

pub(super) fn receipt_values(record: &ReceiptRecord) -> rusqlite::Result<Vec<Value>> {
    let receipt = &record.receipt;
    let done = json(&receipt.done)?;
    let request = record.request.as_ref().map_or(Ok(Value::Null), json)?;
    Ok(sealed(vec![
        text(&record.peer_id),
        Value::Text(record.key.0.to_string()),
        time(record.at),
        text(&receipt.epoch),
        Value::Integer(receipt.seq.cast_signed()),
        done,
        request,
    ]))
}

fn json(value: &impl Serialize) -> rusqlite::Result<Value> {
    let text = serde_json::to_string(value);
    text.map(Value::Text).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// Reads all rows: tokens and receipts.
pub(super) fn read(connection: &Connection, rows: &mut dyn Rows) -> Result<(), Fault> {
    read_table(connection, TOKENS, rows, |fields| {
        let token = TokenRecord {
            hash: fields.hash().map(TokenHash)?,
            peer_id: fields.text()?,
            issued_at: fields.time()?,
            expires_at: fields.time()?,
            address: fields.optional(str::parse)?,
            claim: fields.optional_hash()?.map(ClaimHash),
        };
        fields.seal()?;
        Ok(Write::PutToken(token))
    })?;
    read_table(connection, RECEIPTS, rows, |fields| {
        let peer_id = fields.text()?;
        let key = RequestKey(fields.text::<String>()?.into());
        let at = fields.time()?;
        let epoch = fields.text()?;
        let seq = fields.integer::<i64>()?.cast_unsigned();
        let done = fields.parse(|text| serde_json::from_str::<Done>(text))?;
        let request = fields.optional(|text| serde_json::from_str::<Request>(text))?;
        fields.seal()?;
        let receipt = Receipt { epoch, seq, done };
        Ok(Write::PutReceipt(ReceiptRecord { peer_id, key, at, request, receipt }))
    })
}
