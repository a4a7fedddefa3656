//! Rows to columns and back. What comes back went through the checked vocabulary, or is damage.

mod upstream;

use std::fmt::Display;
use std::net::Ipv4Addr;

use jiff::Timestamp;
use lanrage_ipc::model::{Epoch, Keepalive, Origin, PartyId, PeerInput, Relay};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::fields::{Fields, checksum};
use super::inspect::Fault;
use crate::core::{
    Done, MemberRecord, Owner, PartyRecord, Receipt, ReceiptRecord, RelayRecord, RequestKey, Seen,
    TokenHash, TokenRecord, User, Write,
};

const PUT_PARTY: &str = "
    INSERT INTO parties (party_id, name, host_id, created_at, seq, origin, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT DO UPDATE SET name = ?2, host_id = ?3, created_at = ?4, seq = ?5, origin = ?6,
        checksum = ?7";
const PUT_MEMBER: &str = "
    INSERT INTO members (party_id, peer_id, name, public_key, nat_type, public_ip, public_port,
        local_ip, local_port, virtual_ip, owner, keepalive, owner_peer, utc_offset, checksum,
        last_seen)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
    ON CONFLICT DO UPDATE SET name = ?3, public_key = ?4, nat_type = ?5, public_ip = ?6,
        public_port = ?7, local_ip = ?8, local_port = ?9, virtual_ip = ?10, owner = ?11,
        keepalive = ?12, owner_peer = ?13, utc_offset = ?14, checksum = ?15, last_seen = ?16";
const PUT_RELAY: &str = "
    INSERT INTO relays (relay_id, public_ip, port, region, capacity, registered_at, owner,
        owner_peer, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT DO UPDATE SET public_ip = ?2, port = ?3, region = ?4, capacity = ?5,
        registered_at = ?6, owner = ?7, owner_peer = ?8, checksum = ?9";
const PUT_TOKEN: &str = "
    INSERT OR REPLACE INTO tokens (hash, peer_id, issued_at, expires_at, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5)";
const PUT_RECEIPT: &str = "
    INSERT OR REPLACE INTO receipts (peer_id, key, at, epoch, seq, done, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const DELETE_PARTY: &str = "DELETE FROM parties WHERE party_id = ?1";
const DELETE_MEMBER: &str = "DELETE FROM members WHERE party_id = ?1 AND peer_id = ?2";
const DELETE_RELAY: &str = "DELETE FROM relays WHERE relay_id = ?1";
const DELETE_TOKEN: &str = "DELETE FROM tokens WHERE hash = ?1";
const DELETE_RECEIPT: &str = "DELETE FROM receipts WHERE peer_id = ?1 AND key = ?2";
const SEEN: &str = "UPDATE members SET last_seen = ?3 WHERE party_id = ?1 AND peer_id = ?2";

const PARTIES: &str = "
    SELECT party_id, name, host_id, created_at, seq, origin, checksum
    FROM parties ORDER BY party_id";
const MEMBERS: &str = "
    SELECT party_id, peer_id, name, public_key, nat_type, public_ip, public_port, local_ip,
        local_port, virtual_ip, owner, keepalive, owner_peer, utc_offset, checksum, last_seen
    FROM members ORDER BY party_id, peer_id";
const RELAYS: &str = "
    SELECT relay_id, public_ip, port, region, capacity, registered_at, owner, owner_peer, checksum
    FROM relays ORDER BY relay_id";
const TOKENS: &str = "
    SELECT hash, peer_id, issued_at, expires_at, checksum FROM tokens ORDER BY hash";
const RECEIPTS: &str = "
    SELECT peer_id, key, at, epoch, seq, done, checksum FROM receipts ORDER BY peer_id, key";
/// What `origin` says of a party that lives on a control server.
const REMOTE: &str = "remote";

/// What `owner` says of a row that is no user's.
pub(super) const OF_PEER: i64 = -1;
pub(super) const OF_RELAY_KEY: i64 = -2;
pub(super) const OF_ELSEWHERE: i64 = -3;

/// Writes one row.
pub(super) fn write(connection: &Connection, write: &Write) -> rusqlite::Result<()> {
    let (sql, values) = match write {
        Write::PutParty(party) => (PUT_PARTY, party_values(party)),
        Write::PutMember(party_id, member) => (PUT_MEMBER, member_values(party_id, member)),
        Write::PutRelay(relay) => (PUT_RELAY, relay_values(relay)),
        Write::DeleteParty(party_id) => (DELETE_PARTY, vec![text(party_id)]),
        Write::DeleteMember(party_id, peer_id) => {
            (DELETE_MEMBER, vec![text(party_id), text(peer_id)])
        }
        Write::DeleteRelay(relay_id) => (DELETE_RELAY, vec![text(relay_id)]),
        Write::PutToken(token) => (PUT_TOKEN, token_values(token)),
        Write::DeleteToken(hash) => (DELETE_TOKEN, vec![blob(hash)]),
        Write::PutReceipt(receipt) => (PUT_RECEIPT, receipt_values(receipt)?),
        Write::DeleteReceipt(peer_id, key) => {
            (DELETE_RECEIPT, vec![text(peer_id), Value::Text(key.0.to_string())])
        }
        Write::PutIntent(intent) => (upstream::PUT_INTENT, upstream::intent_values(intent)),
        Write::DeleteIntent(party_id, peer_id) => {
            (upstream::DELETE_INTENT, vec![text(party_id), text(peer_id)])
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

/// Writes a sign of life, if the member is there.
pub(super) fn write_seen(connection: &Connection, seen: &Seen) -> rusqlite::Result<()> {
    let values = [text(&seen.party_id), text(&seen.peer_id), time(seen.at)];
    connection.prepare_cached(SEEN)?.execute(params_from_iter(values))?;
    Ok(())
}

/// Names the stretch of history that the rows belong to.
pub(super) fn write_epoch(connection: &Connection, epoch: &Epoch) -> rusqlite::Result<()> {
    const SQL: &str = "INSERT OR REPLACE INTO meta (key, value) VALUES ('epoch', ?1)";
    connection.execute(SQL, [epoch.as_str()])?;
    Ok(())
}

fn text(value: &impl Display) -> Value {
    Value::Text(value.to_string())
}

fn blob(hash: &TokenHash) -> Value {
    Value::Blob(hash.0.to_vec())
}

/// The columns that say whose a row is.
fn owner_values(owner: &Owner) -> [Value; 2] {
    match owner {
        Owner::User(User(uid)) => [Value::from(*uid), Value::Null],
        Owner::Peer(peer_id) => [Value::Integer(OF_PEER), text(peer_id)],
        Owner::RelayKey => [Value::Integer(OF_RELAY_KEY), Value::Null],
        Owner::Elsewhere => [Value::Integer(OF_ELSEWHERE), Value::Null],
    }
}

fn time(at: Timestamp) -> Value {
    Value::Integer(at.as_microsecond())
}

fn sealed(mut values: Vec<Value>) -> Vec<Value> {
    values.push(Value::Integer(checksum(values.iter().map(ValueRef::from))));
    values
}

fn party_values(party: &PartyRecord) -> Vec<Value> {
    sealed(vec![
        text(&party.party_id),
        text(&party.name),
        text(&party.host_id),
        time(party.created_at),
        Value::Integer(party.seq.cast_signed()),
        match party.origin {
            Origin::Remote => Value::Text(REMOTE.into()),
            Origin::Local | Origin::Unknown => Value::Null,
        },
    ])
}

fn member_values(party_id: &PartyId, member: &MemberRecord) -> Vec<Value> {
    let info = &member.info;
    let [owner, owner_peer] = owner_values(&member.owner);
    let utc_offset = member.utc_offset.map(|offset| Value::from(offset.minutes()));
    let mut values = sealed(vec![
        text(party_id),
        text(&info.peer_id),
        text(&info.name),
        text(&info.public_key),
        text(&info.nat_type),
        text(&info.public_ip),
        Value::from(info.public_port),
        text(&info.local_ip),
        Value::from(info.local_port),
        text(&member.virtual_ip),
        owner,
        Value::Text(keepalive_name(member.keepalive).into()),
        owner_peer,
        utc_offset.unwrap_or(Value::Null),
    ]);
    values.push(time(member.last_seen));
    values
}

fn relay_values(record: &RelayRecord) -> Vec<Value> {
    let relay = &record.relay;
    let [owner, owner_peer] = owner_values(&record.owner);
    sealed(vec![
        text(&relay.relay_id),
        text(&relay.public_ip),
        Value::from(relay.port),
        text(&relay.region),
        Value::from(relay.capacity),
        time(relay.registered_at),
        owner,
        owner_peer,
    ])
}

fn token_values(token: &TokenRecord) -> Vec<Value> {
    sealed(vec![
        blob(&token.hash),
        text(&token.peer_id),
        time(token.issued_at),
        time(token.expires_at),
    ])
}

fn receipt_values(record: &ReceiptRecord) -> rusqlite::Result<Vec<Value>> {
    let receipt = &record.receipt;
    let done = serde_json::to_string(&receipt.done)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    Ok(sealed(vec![
        text(&record.peer_id),
        Value::Text(record.key.0.to_string()),
        time(record.at),
        text(&receipt.epoch),
        Value::Integer(receipt.seq.cast_signed()),
        Value::Text(done),
    ]))
}

fn parse_origin(text: &str) -> Result<Origin, &'static str> {
    if text == REMOTE { Ok(Origin::Remote) } else { Err("must be remote, or null") }
}

fn keepalive_name(keepalive: Keepalive) -> &'static str {
    match keepalive {
        Keepalive::Connection => "connection",
        Keepalive::Daemon => "daemon",
        Keepalive::Manual => "manual",
    }
}

fn parse_keepalive(text: &str) -> Result<Keepalive, &'static str> {
    [Keepalive::Connection, Keepalive::Daemon, Keepalive::Manual]
        .into_iter()
        .find(|keepalive| keepalive_name(*keepalive) == text)
        .ok_or("must be connection, daemon or manual")
}

/// The stretch of history that the rows belong to.
pub(super) fn read_epoch(connection: &Connection) -> Result<Epoch, Fault> {
    const SQL: &str = "SELECT value FROM meta WHERE key = 'epoch'";
    let epoch: Option<String> = connection.query_row(SQL, [], |row| row.get(0)).optional()?;
    let epoch = epoch.ok_or_else(|| Fault::Damaged("it names no epoch".into()))?;
    epoch.parse().map_err(|rule| Fault::Damaged(format!("its epoch {rule}")))
}

/// Every row: the parties, then the members, the relays, the tokens, the receipts, and what there
/// is for a control server.
pub(super) fn read_all(connection: &Connection) -> Result<Vec<Write>, Fault> {
    let mut rows = Vec::new();
    read_table(connection, PARTIES, &mut rows, |fields| {
        let party = PartyRecord {
            party_id: fields.text()?,
            name: fields.text()?,
            host_id: fields.text()?,
            created_at: fields.time()?,
            seq: fields.integer::<i64>()?.cast_unsigned(),
            origin: fields.optional(parse_origin)?.unwrap_or(Origin::Local),
        };
        fields.seal()?;
        Ok(Write::PutParty(party))
    })?;
    read_table(connection, MEMBERS, &mut rows, |fields| {
        let party_id = fields.text()?;
        let info = PeerInput {
            peer_id: fields.text()?,
            name: fields.text()?,
            public_key: fields.text()?,
            nat_type: fields.text()?,
            public_ip: fields.text()?,
            public_port: fields.integer()?,
            local_ip: fields.text()?,
            local_port: fields.integer()?,
        };
        let virtual_ip: Ipv4Addr = fields.text()?;
        let owner = fields.integer()?;
        let keepalive = fields.parse(parse_keepalive)?;
        let owner = fields.owner(owner)?;
        let utc_offset = fields.utc_offset()?;
        fields.seal()?;
        let last_seen = fields.time()?;
        let member = MemberRecord { info, virtual_ip, owner, keepalive, utc_offset, last_seen };
        Ok(Write::PutMember(party_id, member))
    })?;
    read_table(connection, RELAYS, &mut rows, |fields| {
        let relay = Relay {
            relay_id: fields.text()?,
            public_ip: fields.text()?,
            port: fields.integer()?,
            region: fields.text()?,
            capacity: fields.integer()?,
            registered_at: fields.time()?,
        };
        let owner = fields.integer()?;
        let owner = fields.owner(owner)?;
        fields.seal()?;
        Ok(Write::PutRelay(RelayRecord { relay, owner }))
    })?;
    read_table(connection, TOKENS, &mut rows, |fields| {
        let token = TokenRecord {
            hash: fields.hash()?,
            peer_id: fields.text()?,
            issued_at: fields.time()?,
            expires_at: fields.time()?,
        };
        fields.seal()?;
        Ok(Write::PutToken(token))
    })?;
    read_table(connection, RECEIPTS, &mut rows, |fields| {
        let peer_id = fields.text()?;
        let key = RequestKey(fields.text::<String>()?.into());
        let at = fields.time()?;
        let epoch = fields.text()?;
        let seq = fields.integer::<i64>()?.cast_unsigned();
        let done = fields.parse(|text| serde_json::from_str::<Done>(text))?;
        fields.seal()?;
        let receipt = Receipt { epoch, seq, done };
        Ok(Write::PutReceipt(ReceiptRecord { peer_id, key, at, receipt }))
    })?;
    upstream::read(connection, &mut rows)?;
    Ok(rows)
}

fn read_table(
    connection: &Connection,
    sql: &'static str,
    into: &mut Vec<Write>,
    decode: impl Fn(&mut Fields<'_>) -> Result<Write, Fault>,
) -> Result<(), Fault> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        into.push(decode(&mut Fields::new(row))?);
    }
    Ok(())
}
