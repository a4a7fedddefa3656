//! Every column of every row is covered: SQLite itself does not notice a bit that flips in a value.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::support::{member, own_member, owned_relay, parse, party, receipt, relay, token};
use crate::core::Write;
use crate::store::inspect::Fault;
use crate::store::{rows, schema};

/// A database with one row of a table; of a member, its party is there too.
fn holding(row: &Write) -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    schema::migrate(&mut connection).unwrap();
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

/// What one flipped bit of a value can make of it, a bit of each byte.
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
    let read = rows::read_all(connection);
    assert!(matches!(read, Err(Fault::Damaged(_))), "{table}.{column}, {value:?}: {read:?}");
    connection.execute_batch("ROLLBACK TO sound; RELEASE sound").unwrap();
}

fn check(table: &str, row: &Write) {
    let connection = holding(row);
    let before = rows::read_all(&connection).unwrap();
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
    assert_eq!(rows::read_all(&connection).unwrap(), before);
}

#[test]
fn a_bit_that_flips_in_any_column_is_noticed() {
    check("parties", &Write::PutParty(party("party", 7)));
    for member in [member("user", 1), own_member("own", 2)] {
        check("members", &Write::PutMember(parse("party"), member));
    }
    for relay in [relay("of-user", 1), owned_relay("of-peer", 1), owned_relay("of-key", 2)] {
        check("relays", &Write::PutRelay(relay));
    }
    check("tokens", &Write::PutToken(token(0xc5, "own", 4)));
    for (variant, key) in ["entered", "deleted", "left", "updated", ""].into_iter().enumerate() {
        let variant = u16::try_from(variant).unwrap();
        check("receipts", &Write::PutReceipt(receipt("own", key, variant)));
    }
}
