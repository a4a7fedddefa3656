//! Conversion of rows to columns and back. Columns are read through checked types; an invalid value
//! counts as damage.

mod identities;
mod network;
mod upstream;

use std::fmt::Display;

use jiff::Timestamp;
use lanrage_ipc::model::Epoch;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::fields::{Fields, checksum};
use super::inspect::Fault;
use crate::core::{AddressKey, Owner, Seen, User, Write};

/// Numbers of the rows in the large tables.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sizes {
    /// Parties.
    pub(crate) parties: usize,
    /// Members of all parties.
    pub(crate) members: usize,
    /// Tokens.
    pub(crate) tokens: usize,
}

impl Sizes {
    /// Counts the rows.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let count = |sql| -> rusqlite::Result<usize> {
            let count: i64 = connection.query_row(sql, [], |row| row.get(0))?;
            Ok(usize::try_from(count).unwrap_or_default())
        };
        Ok(Self {
            parties: count("SELECT count(*) FROM parties")?,
            members: count("SELECT count(*) FROM members")?,
            tokens: count("SELECT count(*) FROM tokens")?,
        })
    }
}

/// Receiver of the stored rows.
pub(crate) trait Rows {
    /// Begins a reading of all rows; those of an earlier one do not count.
    fn begin(&mut self, epoch: &Epoch, sizes: Sizes);

    /// Takes the next row, as `Put…`, table by table; members come after their parties.
    fn put(&mut self, row: Write);
}

impl Rows for Vec<Write> {
    fn begin(&mut self, _: &Epoch, _: Sizes) {
        self.clear();
    }

    fn put(&mut self, row: Write) {
        self.push(row);
    }
}

/// Receiver for a check of the rows.
pub(super) struct Unused;

impl Rows for Unused {
    fn begin(&mut self, _: &Epoch, _: Sizes) {}

    fn put(&mut self, _: Write) {}
}

/// Value of `owner` for a row without a user.
pub(super) const OF_PEER: i64 = -1;
pub(super) const OF_RELAY_KEY: i64 = -2;
pub(super) const OF_ELSEWHERE: i64 = -3;

/// Writes one row.
pub(super) fn write(connection: &Connection, write: &Write) -> rusqlite::Result<()> {
    let (sql, values) = match write {
        Write::PutParty(party) => (network::PUT_PARTY, network::party_values(party)),
        Write::PutMember(party_id, member) => {
            (network::PUT_MEMBER, network::member_values(party_id, member))
        }
        Write::PutRelay(relay) => (network::PUT_RELAY, network::relay_values(relay)),
        Write::DeleteParty(party_id) => (network::DELETE_PARTY, vec![text(party_id)]),
        Write::DeleteMember(party_id, peer_id) => {
            (network::DELETE_MEMBER, vec![text(party_id), text(peer_id)])
        }
        Write::DeleteRelay(relay_id) => (network::DELETE_RELAY, vec![text(relay_id)]),
        Write::PutToken(token) => (identities::PUT_TOKEN, identities::token_values(token)),
        Write::DeleteToken(hash) => (identities::DELETE_TOKEN, vec![blob(&hash.0)]),
        Write::PutReceipt(receipt) => {
            (identities::PUT_RECEIPT, identities::receipt_values(receipt)?)
        }
        Write::DeleteReceipt(peer_id, key) => {
            (identities::DELETE_RECEIPT, vec![text(peer_id), Value::Text(key.0.to_string())])
        }
        Write::PutIntent(intent) => (upstream::PUT_INTENT, upstream::intent_values(intent)),
        Write::DeleteIntent(party_id, peer_id) => {
            (upstream::DELETE_INTENT, vec![text(party_id), text(peer_id)])
        }
        Write::PutPin(pin) => (upstream::PUT_PIN, upstream::pin_values(pin)),
        Write::DeletePin(party_id, peer_id) => {
            (upstream::DELETE_PIN, vec![text(party_id), text(peer_id)])
        }
        Write::PutCredential(credential) => {
            (upstream::PUT_CREDENTIAL, upstream::credential_values(credential))
        }
        Write::DeleteCredential(server, peer_id) => {
            (upstream::DELETE_CREDENTIAL, vec![upstream::server(server), text(peer_id)])
        }
        Write::PutChoice(choice) => (upstream::PUT_CHOICE, upstream::choice_values(choice)),
        Write::DeleteChoice => (upstream::DELETE_CHOICE, Vec::new()),
    };
    connection.prepare_cached(sql)?.execute(params_from_iter(values))?;
    Ok(())
}

/// Writes a sign of life, if the member exists.
pub(super) fn write_seen(connection: &Connection, seen: &Seen) -> rusqlite::Result<()> {
    let values = [text(&seen.party_id), text(&seen.peer_id), time(seen.at)];
    connection.prepare_cached(network::SEEN)?.execute(params_from_iter(values))?;
    Ok(())
}

/// Writes the epoch of the rows.
pub(super) fn write_epoch(connection: &Connection, epoch: &Epoch) -> rusqlite::Result<()> {
    const SQL: &str = "INSERT OR REPLACE INTO meta (key, value) VALUES ('epoch', ?1)";
    connection.execute(SQL, [epoch.as_str()])?;
    Ok(())
}

fn text(value: &impl Display) -> Value {
    Value::Text(value.to_string())
}

fn blob(hash: &[u8; 32]) -> Value {
    Value::Blob(hash.to_vec())
}

/// Columns of a row's owner.
fn owner_values(owner: &Owner) -> [Value; 2] {
    match owner {
        Owner::User(User(uid)) => [Value::from(*uid), Value::Null],
        Owner::Peer(peer_id) => [Value::Integer(OF_PEER), text(peer_id)],
        Owner::RelayKey => [Value::Integer(OF_RELAY_KEY), Value::Null],
        Owner::Elsewhere => [Value::Integer(OF_ELSEWHERE), Value::Null],
    }
}

fn address(address: Option<AddressKey>) -> Value {
    address.map_or(Value::Null, |address| text(&address))
}

fn time(at: Timestamp) -> Value {
    Value::Integer(at.as_microsecond())
}

fn sealed(mut values: Vec<Value>) -> Vec<Value> {
    values.push(Value::Integer(checksum(values.iter().map(ValueRef::from))));
    values
}

/// Reads the epoch of the rows.
pub(super) fn read_epoch(connection: &Connection) -> Result<Epoch, Fault> {
    const SQL: &str = "SELECT value FROM meta WHERE key = 'epoch'";
    let epoch: Option<String> = connection.query_row(SQL, [], |row| row.get(0)).optional()?;
    let epoch = epoch.ok_or_else(|| Fault::Damaged("it names no epoch".into()))?;
    epoch.parse().map_err(|rule| Fault::Damaged(format!("its epoch {rule}")))
}

/// Reads all rows: parties, members, relays, tokens, receipts, intents, pins, credentials and the
/// choice. `into` takes one after the other.
pub(super) fn read_all(connection: &Connection, into: &mut dyn Rows) -> Result<(), Fault> {
    network::read(connection, into)?;
    identities::read(connection, into)?;
    upstream::read(connection, into)
}

fn read_table(
    connection: &Connection,
    sql: &'static str,
    into: &mut dyn Rows,
    decode: impl Fn(&mut Fields<'_>) -> Result<Write, Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        into.put(decode(&mut Fields::new(row))?);
    }
    Ok(())
}
