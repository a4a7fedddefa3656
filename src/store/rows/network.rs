//! Rows of the virtual LAN: parties, members and relays.

use std::net::Ipv4Addr;

use lanrage_ipc::model::{Keepalive, Origin, PartyId, PeerInput, Relay};
use rusqlite::Connection;
use rusqlite::types::Value;

use super::{Rows, address, owner_values, read_table, sealed, text, time};
use crate::core::{MemberRecord, PartyRecord, RelayRecord, Write};
use crate::store::inspect::Fault;

pub(super) const PUT_PARTY: &str = "
    INSERT INTO parties (party_id, name, host_id, created_at, seq, origin, address, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT DO UPDATE SET name = ?2, host_id = ?3, created_at = ?4, seq = ?5, origin = ?6,
        address = ?7, checksum = ?8";
pub(super) const PUT_MEMBER: &str = "
    INSERT INTO members (party_id, peer_id, name, public_key, nat_type, public_ip, public_port,
        local_ip, local_port, virtual_ip, owner, keepalive, owner_peer, utc_offset, address,
        checksum, last_seen)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
    ON CONFLICT DO UPDATE SET name = ?3, public_key = ?4, nat_type = ?5, public_ip = ?6,
        public_port = ?7, local_ip = ?8, local_port = ?9, virtual_ip = ?10, owner = ?11,
        keepalive = ?12, owner_peer = ?13, utc_offset = ?14, address = ?15, checksum = ?16,
        last_seen = ?17";
pub(super) const PUT_RELAY: &str = "
    INSERT INTO relays (relay_id, public_ip, port, region, capacity, registered_at, owner,
        owner_peer, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT DO UPDATE SET public_ip = ?2, port = ?3, region = ?4, capacity = ?5,
        registered_at = ?6, owner = ?7, owner_peer = ?8, checksum = ?9";
pub(super) const DELETE_PARTY: &str = "DELETE FROM parties WHERE party_id = ?1";
pub(super) const DELETE_MEMBER: &str = "DELETE FROM members WHERE party_id = ?1 AND peer_id = ?2";
pub(super) const DELETE_RELAY: &str = "DELETE FROM relays WHERE relay_id = ?1";
pub(super) const SEEN: &str =
    "UPDATE members SET last_seen = ?3 WHERE party_id = ?1 AND peer_id = ?2";

const PARTIES: &str = "
    SELECT party_id, name, host_id, created_at, seq, origin, address, checksum
    FROM parties ORDER BY party_id";
const MEMBERS: &str = "
    SELECT party_id, peer_id, name, public_key, nat_type, public_ip, public_port, local_ip,
        local_port, virtual_ip, owner, keepalive, owner_peer, utc_offset, address, checksum,
        last_seen
    FROM members ORDER BY party_id, peer_id";
const RELAYS: &str = "
    SELECT relay_id, public_ip, port, region, capacity, registered_at, owner, owner_peer, checksum
    FROM relays ORDER BY relay_id";

/// Value of `origin` for a party that lives on a control server.
const REMOTE: &str = "remote";

pub(super) fn party_values(party: &PartyRecord) -> Vec<Value> {
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
        address(party.address),
    ])
}

pub(super) fn member_values(party_id: &PartyId, member: &MemberRecord) -> Vec<Value> {
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
        address(member.address),
    ]);
    values.push(time(member.last_seen));
    values
}

pub(super) fn relay_values(record: &RelayRecord) -> Vec<Value> {
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

/// Reads all rows: parties, members and relays.
pub(super) fn read(connection: &Connection, rows: &mut dyn Rows) -> Result<(), Fault> {
    read_table(connection, PARTIES, rows, |fields| {
        let party = PartyRecord {
            party_id: fields.text()?,
            name: fields.text()?,
            host_id: fields.text()?,
            created_at: fields.time()?,
            seq: fields.integer::<i64>()?.cast_unsigned(),
            origin: fields.optional(parse_origin)?.unwrap_or(Origin::Local),
            address: fields.optional(str::parse)?,
        };
        fields.seal()?;
        Ok(Write::PutParty(party))
    })?;
    read_table(connection, MEMBERS, rows, |fields| {
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
        let address = fields.optional(str::parse)?;
        fields.seal()?;
        let last_seen = fields.time()?;
        let member =
            MemberRecord { info, virtual_ip, owner, keepalive, utc_offset, last_seen, address };
        Ok(Write::PutMember(party_id, member))
    })?;
    read_table(connection, RELAYS, rows, |fields| {
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
    })
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
