//! Sessions in front of a control plane that the tests script.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use lanrage_ipc::event::Snapshot;
use lanrage_ipc::model::Party;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use super::{Access, IpcServer, IpcSettings, serve};
use crate::clock::Clock;
use crate::config::Limits;
use crate::control_plane::{
    Ask, Call, ChangedParties, Connections, ControlPlane, Failure, Page, Query,
};
use crate::core::{Command, DirtySet, Outcome, least_bytes};
use crate::events::SubscriptionKey;
use crate::os::{self, LocalSocket};

/// Control plane that never answers a subscription, and reports other requests.
struct Silent(mpsc::UnboundedSender<Seen>);

#[derive(Debug, PartialEq)]
enum Seen {
    Subscribe(SubscriptionKey),
    Unsubscribe(SubscriptionKey),
    Disconnect,
}

impl Actor for Silent {
    type Context = Context<Self>;
}

impl Handler<Call> for Silent {
    type Result = ();

    fn handle(&mut self, call: Call, _: &mut Self::Context) {
        let seen = match call.ask {
            Ask::Query(Query::Subscribe { key, reply, .. }) => {
                std::mem::forget(reply);
                Seen::Subscribe(key)
            }
            Ask::Query(Query::Unsubscribe(key, reply)) => {
                reply.send(Ok(()));
                Seen::Unsubscribe(key)
            }
            Ask::Command(Command::Disconnect, reply) => {
                reply.send(Ok(Outcome::Done));
                Seen::Disconnect
            }
            other => panic!("{other:?} was not asked for"),
        };
        self.0.send(seen).expect("the test listens");
    }
}

/// Serves a control plane, until the sender is dropped. Returns the connection of a client.
fn connect(
    dir: &TempDir,
    control_plane: Recipient<Call>,
    limits: Limits,
) -> (UnixStream, watch::Sender<Option<String>>) {
    let path = dir.path().join("run/control.sock");
    let control_plane = ControlPlane::new(control_plane);
    let access = Access::Own(os::own_user());
    let settings = IpcSettings { limits, access, socket_check: Duration::from_secs(60) };
    let (stop, stopping) = watch::channel(None);
    let connections = Connections::default();
    let server =
        IpcServer::new("test", control_plane, connections, Clock::start(), settings, stopping);
    let socket = LocalSocket::bind(&path, false).expect("a socket");
    actix::spawn(serve(Rc::new(server), socket));
    (UnixStream::connect(&path).expect("a connection"), stop)
}

/// Returns the requests of a client that subscribes, has `then` done to its stream, and goes.
fn seen_of(request_timeout: Duration, then: fn(&mut UnixStream)) -> Vec<Seen> {
    let dir = tempfile::tempdir().expect("a directory");
    System::new().block_on(async {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let limits = Limits { request_timeout, ..Limits::default() };
        let (mut client, _stop) = connect(&dir, Silent(sender).start().recipient(), limits);
        let subscribe = r#"{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}"#;
        writeln!(client, "{subscribe}").expect("sent");
        let mut all = vec![seen.recv().await.expect("a subscription")];
        tokio::task::spawn_blocking(move || then(&mut client)).await.expect("done");
        while all.last() != Some(&Seen::Disconnect) {
            all.push(seen.recv().await.expect("an end"));
        }
        all
    })
}

fn assert_unsubscribed(seen: &[Seen]) {
    let [Seen::Subscribe(begun), .., Seen::Disconnect] = seen else { panic!("{seen:?}") };
    assert!(seen.contains(&Seen::Unsubscribe(*begun)), "{seen:?}");
}

#[test]
fn pending_subscription_ends_with_its_connection() {
    let day = Duration::from_secs(24 * 60 * 60);
    assert_unsubscribed(&seen_of(day, |client| {
        // A line above the limit ends the connection, whatever is unanswered.
        let line = vec![b'x'; 512 * 1024];
        client.write_all(&line).ok();
    }));
}

#[test]
fn timed_out_subscription_is_ended() {
    assert_unsubscribed(&seen_of(Duration::from_millis(1), |client| {
        let mut reply = String::new();
        BufReader::new(client).read_line(&mut reply).expect("a reply");
        assert!(reply.contains(r#""timeout""#), "{reply}");
    }));
}

/// Control plane with parties, which reports how many it shows in one turn.
struct Sliced {
    parties: Vec<Party>,
    shown: mpsc::UnboundedSender<usize>,
}

impl Actor for Sliced {
    type Context = Context<Self>;
}

impl Handler<Call> for Sliced {
    type Result = ();

    fn handle(&mut self, call: Call, _: &mut Self::Context) {
        let least = least_bytes(self.parties.len(), 0);
        let unchanged = || ChangedParties { stale: DirtySet::default(), parties: Vec::new() };
        match call.ask {
            Ask::Watch(_, reply) => reply.send(Ok(Arc::default())),
            Ask::Slice { after, limit, reply, .. }
            | Ask::Query(Query::Parties { after, limit, reply, .. }) => {
                let all = self.parties.iter();
                let mut rest = all.filter(|party| Some(party.party_id.as_str()) > after.as_deref());
                let parties: Vec<_> = rest.by_ref().take(limit).cloned().collect();
                self.shown.send(parties.len()).expect("the test listens");
                reply.send(Ok(Page { parties, more: rest.next().is_some() }));
            }
            Ask::Query(Query::Subscribe { snapshot: Some(room), reply, .. }) => {
                reply.send(Err(Failure::TooLong { least, room }));
            }
            Ask::Query(Query::ChangedParties(changed, room, reply)) => {
                reply.send(match changed.get() {
                    DirtySet::Any => Err(Failure::TooLong { least, room }),
                    DirtySet::Some(_) => Ok(unchanged()),
                });
            }
            Ask::Query(Query::SubscribeAfter { reply, .. }) => {
                reply.send(Ok((unchanged(), Snapshot::default())));
            }
            // The rest belongs to the end of the connection.
            _ => {}
        }
    }
}

fn party(id: &str) -> Party {
    let party = json!({
        "party_id": id, "name": "Friday", "host_id": "h", "created_at": "2026-11-22T11:48:35Z",
        "peers": {}, "origin": "local", "sync": "synced", "epoch": "e", "seq": 1,
    });
    serde_json::from_value(party).expect("a party")
}

/// Returns the results of requests to a control plane with that many parties, and the most parties
/// that it showed in one turn.
fn sliced(count: usize, requests: &'static [&str]) -> (Vec<Value>, usize) {
    let dir = tempfile::tempdir().expect("a directory");
    System::new().block_on(async {
        let (shown, mut turns) = mpsc::unbounded_channel();
        let parties = (0..count).map(|number| party(&format!("p{number:04}"))).collect();
        let plane = Sliced { parties, shown }.start().recipient();
        let (client, _stop) = connect(&dir, plane, Limits::default());
        let asked = tokio::task::spawn_blocking(move || {
            let mut reader = BufReader::new(client);
            let ask = |request: &&str| {
                writeln!(reader.get_mut(), "{request}").expect("sent");
                let mut reply = String::new();
                reader.read_line(&mut reply).expect("a reply");
                let mut reply: Value = serde_json::from_str(&reply).expect("JSON");
                reply["result"].take()
            };
            requests.iter().map(ask).collect()
        });
        let results = asked.await.expect("results");
        turns.close();
        let mut most = 0;
        while let Some(shown) = turns.recv().await {
            most = most.max(shown);
        }
        (results, most)
    })
}

#[test]
fn turn_of_the_control_plane_shows_a_bounded_number_of_parties() {
    const REQUESTS: &[&str] = &[
        r#"{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"state.export","params":{"format":"lanrage"}}"#,
        r#"{"jsonrpc":"2.0","id":3,"method":"party.list"}"#,
    ];
    let shown = [300, 900].map(|count| {
        let (results, most) = sliced(count, REQUESTS);
        let lengths = [
            results[0]["snapshot"]["parties"].as_array().map(Vec::len),
            results[1]["state"]["parties"].as_object().map(serde_json::Map::len),
            results[2]["parties"].as_array().map(Vec::len),
        ];
        assert_eq!(lengths, [count, count, count.min(500)].map(Some), "{results:?}");
        assert_eq!(results[2]["next_cursor"].is_string(), count > 500);
        most
    });
    assert_eq!(shown, [128, 128]);
}
