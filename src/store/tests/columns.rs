//! Every column of every row is covered: SQLite itself does not notice a bit that flips in a value.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::support::{
    an_address, choice, credential, intent, member, member_elsewhere, own_member, owned_relay,
    parse, party, pin, receipt, relay, remote_party, request, server, token,
};
use crate::core::{
    ClaimHash, MemberRecord, PartyRecord, ReceiptRecord, ServerKey, TokenRecord, Write,
};
use crate::store::fields::checksum;
use crate::store::inspect::Fault;
use crate::store::{rows, schema};

fn read_all(connection: &Connection) -> Result<Vec<Write>, Fault> {
    let mut all = Vec::new();
    rows::read_all(connection, &mut all).map(|()| all)
}

/// A database with one row of a table; of a member, its party is there too.
fn holding(row: &Write) -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
    // A bit that flips asks no constraint.
    connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
    if let Write::PutMember(party_id, _) = row {
        rows::write(&connection, &Write::PutParty(party(party_id, 7))).unwrap();
    }
    rows::write(&connection, row).unwrap();
    connection
}

/// The columns that are covered, each with its type and whether it may be null.
fn columns(connection: &Connection, table: &str) -> Vec<(String, String, bool)> {
    let sql = "SELECT name, type, NOT \"notnull\" FROM pragma_table_info(?1)
        WHERE name <> 'last_seen'";
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    columns.unwrap().collect::<Result<_, _>>().unwrap()
}

/// Returns the values that one flipped bit can make of a value, a bit of each byte.
fn flipped(value: &Value) -> Vec<Value> {
    let flips = |bytes: &[u8]| {
        let flip = |at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1 << (at % 8);
            Value::Blob(bytes)
        };
        (0..bytes.len()).map(flip).collect()
    };
    match value {
        Value::Integer(number) => (0..64).map(|bit| Value::Integer(number ^ (1 << bit))).collect(),
        Value::Text(text) => flips(text.as_bytes()),
        Value::Blob(bytes) => flips(bytes),
        Value::Null | Value::Real(_) => vec![],
    }
}

/// Makes sure that a row is damaged once a column holds another value.
#[track_caller]
fn is_noticed(connection: &Connection, table: &str, column: &str, kind: &str, value: &Value) {
    let value_of_kind = if kind == "TEXT" { "CAST(?1 AS TEXT)" } else { "?1" };
    let sql = format!("UPDATE {table} SET {column} = {value_of_kind}");
    connection.execute_batch("SAVEPOINT sound").unwrap();
    assert_eq!(connection.execute(&sql, [value]), Ok(1), "{sql}");
    let read = read_all(connection);
    assert!(matches!(read, Err(Fault::Damaged(_))), "{table}.{column}, {value:?}: {read:?}");
    connection.execute_batch("ROLLBACK TO sound; RELEASE sound").unwrap();
}

fn check(table: &str, row: &Write) {
    let connection = holding(row);
    let before = read_all(&connection).unwrap();
    assert!(before.contains(row));
    for (column, kind, nullable) in columns(&connection, table) {
        let sql = format!("SELECT {column} FROM {table}");
        let value: Value = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
        let mut others = flipped(&value);
        if nullable {
            others.push(match value {
                Value::Null if kind == "INTEGER" => Value::Integer(0),
                Value::Null => Value::Blob(b"x".to_vec()),
                _ => Value::Null,
            });
        }
        assert!(!others.is_empty() || value == Value::Text(String::new()), "{table}.{column}");
        for other in others {
            is_noticed(&connection, table, &column, &kind, &other);
        }
    }
    assert_eq!(read_all(&connection).unwrap(), before);
}

#[test]
fn bit_flip_in_any_column_is_detected() {
    for party in [party("party", 7), remote_party("party", 7)] {
        check("parties", &Write::PutParty(party));
    }
    for member in [member("user", 1), own_member("own", 2), member_elsewhere("other", 3)] {
        check("members", &Write::PutMember(parse("party"), member));
    }
    for relay in [relay("of-user", 1), owned_relay("of-peer", 1), owned_relay("of-key", 2)] {
        check("relays", &Write::PutRelay(relay));
    }
    check("tokens", &Write::PutToken(token(0xc5, "own", 4)));
    let registered = PartyRecord { address: an_address(), ..party("party", 7) };
    check("parties", &Write::PutParty(registered));
    let entered = MemberRecord { address: an_address(), ..own_member("own", 2) };
    check("members", &Write::PutMember(parse("party"), entered));
    let asked_for = TokenRecord { address: an_address(), ..token(0xc5, "own", 4) };
    check("tokens", &Write::PutToken(asked_for));
    let claim = Some(ClaimHash([0x1c; 32]));
    check("tokens", &Write::PutToken(TokenRecord { claim, ..token(0xc5, "own", 4) }));
    for (variant, key) in ["entered", "deleted", "left", "updated", ""].into_iter().enumerate() {
        let variant = u16::try_from(variant).unwrap();
        check("receipts", &Write::PutReceipt(receipt("own", key, variant)));
    }
    let named = ReceiptRecord { request: request(1), ..receipt("own", "named", 1) };
    check("receipts", &Write::PutReceipt(named));
    for variant in 0..4 {
        check("intents", &Write::PutIntent(intent("party", "peer", variant)));
    }
    for variant in 0..2 {
        check("pins", &Write::PutPin(pin("party", "peer", variant)));
    }
    for variant in [4, 5] {
        check("credentials", &Write::PutCredential(credential(server(1), "peer", variant)));
    }
    for variant in [0, 1, 4, 6, 11] {
        check("server_choice", &Write::PutChoice(choice(variant)));
    }
}

/// Makes sure that a row is damaged whose column holds what no version writes, though its checksum
/// fits, and that the column and the rule are named.
#[track_caller]
fn is_refused(table: &str, row: &Write, column: &str, value: Value, says: &str) {
    let connection = holding(row);
    let set = |column: &str, value: Value| {
        let sql = format!("UPDATE {table} SET {column} = ?1");
        assert_eq!(connection.execute(&sql, [value]), Ok(1), "{sql}");
    };
    set(column, value);
    let names = columns(&connection, table).into_iter().map(|(name, ..)| name);
    let covered: Vec<_> = names.filter(|name| name != "checksum").collect();
    let sql = format!("SELECT {} FROM {table}", covered.join(", "));
    let sum = connection.query_row(&sql, [], |row| {
        let values = (0..covered.len()).map(|index| row.get_ref(index));
        Ok(checksum(values.collect::<Result<Vec<_>, _>>()?.into_iter()))
    });
    set("checksum", Value::Integer(sum.unwrap()));
    let read = read_all(&connection);
    let Err(Fault::Damaged(reason)) = read else { panic!("{table}.{column}: {read:?}") };
    assert!(reason.contains(&format!("{column} {says}")), "{reason}");
}

#[test]
fn stored_server_that_newer_rules_refuse_is_no_damage() {
    let server = ServerKey("http://h:0".into());
    let kept = Write::PutCredential(credential(server, "peer", 1));
    let rows = read_all(&holding(&kept)).expect("no damage");
    assert_eq!(rows, [kept]);
}

#[test]
fn value_that_no_version_writes_is_damage_despite_its_checksum() {
    let text = |text: &str| Value::Text(text.into());
    let party = Write::PutParty(remote_party("party", 7));
    for origin in ["local", "", "REMOTE"] {
        is_refused("parties", &party, "origin", text(origin), "must be remote, or null");
    }
    let intent = Write::PutIntent(intent("party", "peer", 1));
    for kind in ["rename", "", "Join"] {
        is_refused("intents", &intent, "deed", text(kind), "must be register, join, update or");
    }
    is_refused("intents", &intent, "party_id", text("no id"), "");
    is_refused("intents", &intent, "at", Value::Integer(i64::MAX), "");
    let credential = Write::PutCredential(credential(server(1), "peer", 1));
    is_refused("credentials", &credential, "server", text("lan.example.org"), "must start with");
    is_refused("credentials", &credential, "server", text("http://a:b@c"), "must have no user");
    is_refused("credentials", &credential, "peer_id", text(""), "");
    is_refused("credentials", &credential, "owner", Value::Integer(-1), "");
    is_refused("credentials", &credential, "owner", Value::Integer(1 << 32), "");
    let choice = Write::PutChoice(choice(5));
    is_refused("server_choice", &choice, "server", text("ftp://c"), "must start with");
    is_refused("server_choice", &choice, "configured", text(""), "must start with");
    is_refused("server_choice", &choice, "epoch", text("no id"), "");
}
