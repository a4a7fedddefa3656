//! Time of reading per byte of input, for inputs of every kind: the sender chooses them.
#![expect(clippy::print_stderr, reason = "it is what it is for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use lanrage_ipc::control::{self, ServerFrame};
use lanrage_ipc::envelope::Incoming;
use lanrage_ipc::http::{self, JoinBody, RegisterPartyBody, RelayBody};
use lanrage_ipc::lanrage::Records;
use lanrage_ipc::{Request, ServerMessage};

/// Lengths of the inputs, in bytes: time in proportion to the length costs the same per byte.
const LENGTHS: [usize; 2] = [15_000, 60_000];
const ROUNDS: usize = 5;

/// A text of as many pieces as there is room for.
fn filled(length: usize, head: &str, piece: impl Fn(usize) -> String, tail: &str) -> String {
    let mut text = head.to_owned();
    for number in 0.. {
        let piece = piece(number);
        if text.len() + piece.len() + tail.len() > length {
            break;
        }
        text.push_str(if number > 0 { "," } else { "" });
        text.push_str(&piece);
    }
    text + tail
}

/// JSON values and fields of an object that are long in each a way of its own.
fn values(length: usize) -> Vec<(&'static str, String)> {
    let filled =
        |head: &str, piece: fn(usize) -> String, tail: &str| filled(length, head, piece, tail);
    let text = |piece: &str| format!("\"{}\"", piece.repeat(length / piece.len()));
    vec![
        ("text", text("x")),
        ("unicode", text("ü")),
        ("escapes", text("\\u00fc")),
        ("surrogates", text("\\ud83d\\ude00")),
        ("lone surrogates", text("\\ud83d")),
        ("quotes", text("\\\"")),
        ("invisible", text("\u{200b}")),
        ("digits", "7".repeat(length)),
        ("fraction", format!("0.{}", "7".repeat(length))),
        ("exponent", format!("1e{}", "9".repeat(length))),
        ("zeros", filled("[", |_| "0".into(), "]")),
        ("objects", filled("[", |_| "{}".into(), "]")),
        ("texts", filled("[", |_| "\"\"".into(), "]")),
        ("reals", filled("[", |n| format!("{n}.5e-7"), "]")),
        ("nested arrays", filled("[", |_| "[".repeat(60) + &"]".repeat(60), "]")),
        ("nested objects", filled("[", |_| "{\"\":".repeat(60) + "0" + &"}".repeat(60), "]")),
        ("too deep", "[".repeat(length)),
        ("keys", filled("{", |n| format!("\"k{n}\":0"), "}")),
        ("same keys", filled("{", |_| "\"k\":0".into(), "}")),
        ("long keys", filled("{", |n| format!("\"{n}{}\":0", "k".repeat(500)), "}")),
        ("peers", filled("{", |n| format!("\"p{n}\":{{\"peer_id\":\"p{n}\"}}"), "}")),
        ("bookmarks", filled("{", |n| format!("\"p{n}\":{{\"epoch\":\"e\",\"seq\":{n}}}"), "}")),
        ("bad bookmarks", filled("{", |n| format!("\"p{n}\":{{}}"), "}")),
        ("bad keys", filled("{", |n| format!("\" {n}\":{{\"epoch\":\"e\",\"seq\":1}}"), "}")),
        ("cut off", text("x").trim_end_matches('"').to_owned()),
        ("bad end", filled("[", |_| "0".into(), ",x")),
    ]
}

/// Documents around a value.
fn documents(fields: &[String], value: &str) -> Vec<(String, String)> {
    let mut documents = vec![("alone".to_owned(), value.to_owned())];
    for field in fields {
        let text = field.replace('@', value);
        documents.push((field.chars().take(48).collect(), text));
    }
    // The fields of the object itself.
    if value.starts_with('{')
        && let Some(field) = fields.first()
        && let Some((head, _)) = field.split_once("\"x\":@")
    {
        documents.push(("beside".to_owned(), format!("{head}{}", &value[1..])));
    }
    documents
}

type Read = fn(&str);

/// Readers of the sections of `cost.txt`.
const READERS: [(&str, Read); 11] = [
    ("frame", |text| drop(black_box(control::decode(text)))),
    ("body", |text| drop(black_box(RegisterPartyBody::from_json(text.as_bytes())))),
    ("join", |text| drop(black_box(JoinBody::from_json(text.as_bytes())))),
    ("relay", |text| drop(black_box(RelayBody::from_json(text.as_bytes())))),
    ("not JSON", |text| drop(black_box(http::not_json(text.as_bytes())))),
    ("line", |text| {
        if let Ok(incoming) = Incoming::parse(text) {
            drop(black_box(Request::decode(&incoming.method, incoming.params)));
        }
    }),
    ("state", |text| {
        drop(black_box(Records::of_state(text.as_bytes()).salvage(&TimeZone::UTC)));
    }),
    ("discovery", |text| {
        drop(black_box(Records::of_discovery(text.as_bytes()).salvage(&TimeZone::UTC)));
    }),
    ("server's frame", |text| drop(black_box(ServerFrame::decode(text)))),
    ("event", |text| drop(black_box(ServerMessage::decode("event", text)))),
    ("answer", |text| {
        drop(black_box(http::answers::detail(text.as_bytes())));
        drop(black_box(http::answers::PartyAnswer::from_json(text.as_bytes())));
        drop(black_box(http::answers::RelaysAnswer::from_json(text.as_bytes())));
        drop(black_box(http::answers::TokenAnswer::from_json(text.as_bytes())));
    }),
];

const PEER: &str = r#"{"peer_id":"p","name":"n","public_key":"k","nat_type":"open","public_ip":"1.2.3.4","public_port":1,"local_ip":"1.2.3.4","local_port":1,"last_seen":"2026-01-01T00:00:00","x":@}"#;

/// Documents of a section of `cost.txt`.
fn fields(section: &str) -> Vec<String> {
    let head = format!("[{section}]");
    let lines = include_str!("cost.txt").lines().skip_while(|line| *line != head);
    let lines: Vec<_> = lines.take_while(|line| !line.is_empty()).skip(1).collect();
    lines.into_iter().map(|line| line.replace("PEER", PEER)).collect()
}

#[test]
fn every_section_of_documents_is_read() {
    let sections = include_str!("cost.txt")
        .lines()
        .filter_map(|line| line.strip_prefix('[').and_then(|line| line.strip_suffix(']')));
    assert!(sections.eq(READERS.map(|(section, _)| section)));
    assert_eq!(fields("join"), [r#"{"party_id":@}"#]);
}

/// Shortest time of some, per byte.
fn cost(read: Read, text: &str) -> f64 {
    let time = |_| {
        let begun = Instant::now();
        read(text);
        begun.elapsed()
    };
    let best = (0..ROUNDS).map(time).min().unwrap_or(Duration::ZERO);
    best.as_secs_f64() * 1e9 / text.len().max(1) as f64
}

#[test]
#[ignore = "measures, and judges nothing"]
fn measure_the_time_of_a_byte() {
    for (frontend, read) in READERS {
        let fields = fields(frontend);
        let mut costs = Vec::new();
        let [short, long] = LENGTHS.map(values);
        for ((name, short), (_, long)) in short.iter().zip(&long) {
            let (short, long) = (documents(&fields, short), documents(&fields, long));
            for ((place, long), (_, short)) in long.iter().zip(&short) {
                let cost = [cost(read, long), cost(read, short)];
                costs.push((cost[0], cost[0] / cost[1], format!("{name} in {place}")));
            }
        }
        let mut print = |what: &str, key: fn(&(f64, f64, String)) -> f64| {
            costs.sort_by(|a, b| key(b).total_cmp(&key(a)));
            let median = costs[costs.len() / 2].0;
            eprintln!("{frontend}, {what} (median {median:.1} ns a byte)");
            for (cost, growth, input) in costs.iter().take(4) {
                eprintln!("  {cost:8.1} ns a byte, {growth:4.2} times that of a quarter: {input}");
            }
        };
        print("slowest", |cost| cost.0);
        print("fastest growing", |cost| if cost.0 > 20.0 { cost.1 } else { 0.0 });
    }
}
