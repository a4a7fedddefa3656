//! Sessions in front of a control plane that the tests script.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{mpsc, watch};

use super::{Access, IpcServer, IpcSettings, serve};
use crate::clock::Clock;
use crate::config::Limits;
use crate::control_plane::{Ask, Call, Connections, ControlPlane, Query};
use crate::core::{Command, Outcome};
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

/// Returns the requests of a client that subscribes, has `then` done to its stream, and goes.
fn seen_of(request_timeout: Duration, then: fn(&mut UnixStream)) -> Vec<Seen> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("run/control.sock");
    System::new().block_on(async {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let control_plane = ControlPlane::new(Silent(sender).start().recipient());
        let limits = Limits { request_timeout, ..Limits::default() };
        let access = Access::Own(os::own_user());
        let settings = IpcSettings { limits, access, socket_check: Duration::from_secs(60) };
        let (_stop, stopping) = watch::channel(None);
        let connections = Connections::default();
        let server =
            IpcServer::new("test", control_plane, connections, Clock::start(), settings, stopping);
        let socket = LocalSocket::bind(&path, false).expect("a socket");
        actix::spawn(serve(Rc::new(server), socket));
        let mut client = UnixStream::connect(&path).expect("a connection");
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
