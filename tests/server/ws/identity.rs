//! Authorization of every message, for every kind of sender.

use serde_json::{Value, json};

use super::{
    done, guest, heartbeat, host, join, leave, newcomer, plain_guest, refused, register, shapes,
    signal, sync, told, update,
};
use crate::harness::{Setup, Ws};

/// Sender of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sender {
    /// Connection without a peer.
    Nobody,
    /// Connection of another member of the party, which acts for the owner.
    Other,
    /// Peer that acts for itself, and is in no party.
    Outsider,
    /// Peer that acts for itself, and is a member.
    Owner,
}

/// Message, with its result for each sender: the code of a refusal, or nothing.
fn table(actor: &str) -> Vec<(Value, [Option<&'static str>; 4])> {
    const DENIED: Option<&str> = Some("permission_denied");
    const STRANGE: Option<&str> = Some("not_a_member");
    const UNKNOWN: Option<&str> = Some("peer_not_found");
    let fresh = format!("of-{actor}");
    let relays = json!({"type": "list_relays"});
    vec![
        (heartbeat("lan", actor), [DENIED, DENIED, UNKNOWN, None]),
        (update("lan", actor, "Other name"), [DENIED, DENIED, UNKNOWN, None]),
        (signal("lan", actor, "host", json!(1)), [DENIED, DENIED, STRANGE, None]),
        (sync("lan"), [STRANGE, None, STRANGE, None]),
        (relays, [None; 4]),
        (leave("lan", actor), [DENIED, DENIED, STRANGE, None]),
        (join("lan", actor), [DENIED, DENIED, None, None]),
        (register(&fresh, actor), [DENIED, DENIED, None, None]),
    ]
}

#[test]
fn frames_of_each_kind_are_judged_by_their_sender() {
    let server = Setup::server().start();
    let (_host, _) = host(&server, "lan", "host");
    let (owner, _) = guest(&server, "lan", "owner");
    let (other, _) = guest(&server, "lan", "other");
    let (outsider, _) = newcomer(&server, "outsider");
    let mut nobody = Ws::connect(server.address());
    nobody.send(json!({"type": "hello", "version": "1", "client": "t", "caps": ["x"]}));
    nobody.await_type("welcome");
    let senders = [
        (nobody, Sender::Nobody),
        (other, Sender::Other),
        (outsider, Sender::Outsider),
        (owner, Sender::Owner),
    ];
    for (column, (mut ws, sender)) in senders.into_iter().enumerate() {
        let actor = if sender == Sender::Outsider { "outsider" } else { "owner" };
        for (frame, expected) in table(actor) {
            let answer = ws.ask(frame.clone());
            match expected[column] {
                Some(code) => assert_eq!(refused(&answer), code, "{sender:?}: {frame}"),
                None => drop(done(&answer)),
            }
        }
    }
}

/// Before the party is looked for: nobody learns by trying which there are.
#[test]
fn frames_for_a_foreign_peer_reveal_no_party() {
    let server = Setup::server().start();
    let (_host, _) = host(&server, "lan", "host");
    let (mut mallory, _) = newcomer(&server, "mallory");
    for party in ["lan", "nowhere"] {
        for frame in [
            leave(party, "host"),
            update(party, "host", "Mallory"),
            signal(party, "host", "host", json!(1)),
            heartbeat(party, "host"),
            join(party, "host"),
            register(party, "host"),
        ] {
            assert_eq!(refused(&mallory.ask(frame.clone())), "permission_denied", "{frame}");
        }
    }
}

#[test]
fn frames_that_are_refused_change_nothing() {
    let server = Setup::server().start();
    let (mut alice, _) = host(&server, "lan", "alice");
    let mut bob = plain_guest(&server, "lan", "bob");
    let mut mallory = Ws::plain(server.address());
    for peer in ["alice", "bob"] {
        for (frame, _) in table(peer) {
            mallory.send(frame);
        }
    }
    let answers = mallory.settled_plainly();
    assert_eq!(told(&answers), ["error"; 16]);
    answers.iter().for_each(shapes::plain);
    assert_eq!(told(&alice.settled()), ["peer_joined bob"]);
    assert_eq!(told(&bob.settled_plainly()), [""; 0]);
}
