//! `watch`.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::Zoned;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::event::{Event, EventParams, ResetParams, Snapshot};
use lanrage_ipc::message::{ServerMessage, UnknownMessage};
use lanrage_ipc::method::EventsSubscribe;
use lanrage_ipc::model::{PartyId, Peer, Relay};
use lanrage_ipc::params::{SubscribeParams, Topic};

use super::connection::describe;
use super::daemon::{Daemon, Program};
use super::exit::{Exit, Failure};
use super::input::one_of;
use super::output::{Output, Page};
use super::party::{because, origin};
use super::{peer, relay};

#[derive(Debug, clap::Args)]
pub(super) struct Watch {
    /// What to watch; may be given several times, or with commas [default: all of it]
    #[arg(long = "topic", value_name = "TOPIC", value_delimiter = ',')]
    #[arg(value_parser = one_of::<Topic>(Topic::WORDS))]
    topics: Vec<Topic>,
    /// Watch only the party of this id
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    party: Option<PartyId>,
    /// Show changes only, not how things are before them
    #[arg(long)]
    no_snapshot: bool,
}

impl Watch {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        let output = daemon.output;
        output.exit_when_unread();
        let mut session = daemon.connect()?;
        let program = session.program;
        let params = SubscribeParams {
            topics: (!self.topics.is_empty()).then_some(self.topics),
            party_id: self.party,
            snapshot: !self.no_snapshot,
        };
        let narrower = "watch one --party, or changes only: --no-snapshot";
        let raw = session
            .ask::<EventsSubscribe>(&params)
            .map_err(|failure| failure.hint(ErrorCode::FrameTooLarge, narrower))?;
        if output.json {
            output.print_json(raw.get())?;
        } else if let Some(snapshot) = session.decode::<EventsSubscribe>(&raw)?.snapshot {
            output.page(|page| show_snapshot(page, &snapshot, program))?;
        }
        loop {
            let next = session.client.next_message(Duration::MAX);
            match next.map_err(|error| daemon.failure(error))? {
                Some(ServerMessage::Event(event)) => show_event(output, &event)?,
                Some(ServerMessage::Reset(reset)) => show_reset(output, &reset, program)?,
                Some(ServerMessage::Unknown(newer)) => show_newer(output, &newer)?,
                Some(ServerMessage::Goaway(goodbye)) => {
                    let message = format!("the daemon is stopping: {}", goodbye.reason);
                    let hint = "watch again when it is back";
                    return Err(Failure::new(Exit::Unreachable, "goaway", message, hint));
                }
                None => {}
            }
        }
    }
}

fn show_event(output: Output, event: &EventParams) -> Result<(), Failure> {
    if output.json {
        return output.document(event);
    }
    let (kind, words) = describe_event(&event.event);
    output.page(|page| page.line(format_args!("{}  {kind:<18}  {words}", time())))
}

fn show_reset(output: Output, reset: &ResetParams, program: Program) -> Result<(), Failure> {
    if output.json {
        return output.document(reset);
    }
    output.page(|page| {
        page.line(format_args!("{}  changes came too fast; this is how it is now:", time()));
        show_snapshot(page, &reset.snapshot, program);
    })
}

fn show_newer(output: Output, newer: &UnknownMessage) -> Result<(), Failure> {
    if output.json {
        return output.document(&newer.params);
    }
    output.page(|page| {
        page.line(format_args!("{}  {:<18}  {}", time(), newer.method, newer.params.get()));
    })
}

fn time() -> String {
    Zoned::now().strftime("%H:%M:%S").to_string()
}

fn show_snapshot(page: &mut Page, snapshot: &Snapshot, program: Program) {
    // A server follows no other server.
    if let Some(connection) = snapshot.connection.as_ref().filter(|_| program == Program::Daemon) {
        page.line(format_args!("connection {}", describe(connection)));
    }
    if let Some(relays) = &snapshot.relays {
        page.line("");
        relay::table(page, relays);
    }
    if let Some(parties) = &snapshot.parties {
        if parties.is_empty() {
            page.line("");
            page.line("no parties");
        }
        for party in parties {
            page.line("");
            page.line(format_args!(
                "party {} \"{}\", host {}, created {}, {}",
                party.party_id,
                party.name,
                party.host_id,
                page.ago(party.created_at),
                origin(party)
            ));
            peer::table(page, &party.party_id, &party.peers);
        }
    }
    page.line("");
}

/// Returns the kind of a change, and the rest in words.
fn describe_event(event: &Event) -> (&'static str, String) {
    match event {
        Event::PartyRegistered { party, .. } => {
            let (id, name, host) = (&party.party_id, &party.name, &party.host_id);
            ("party.registered", format!("{id} \"{name}\", host {host}"))
        }
        Event::PartyUpdated { party, previous_party_id, .. } => {
            let (id, name, host) = (&party.party_id, &party.name, &party.host_id);
            let peers = party.peers.len();
            let before = previous_party_id.as_ref().map(|before| format!("{before} is now "));
            let before = before.unwrap_or_default();
            ("party.updated", format!("{before}{id} \"{name}\", host {host}, peers: {peers}"))
        }
        Event::PartyRemoved { party_id, reason, .. } => {
            ("party.removed", format!("{party_id}: {}", because(*reason)))
        }
        Event::PeerJoined { party_id, peer, .. } => {
            ("peer.joined", format!("{party_id}: {}", describe_peer(peer)))
        }
        Event::PeerUpdated { party_id, peer, key_changed, .. } => {
            let changed = key_changed.as_ref().map_or("", |_| ", public key changed");
            ("peer.updated", format!("{party_id}: {}{changed}", describe_peer(peer)))
        }
        Event::PeerLeft { party_id, peer_id, reason, .. } => {
            ("peer.left", format!("{party_id}: {peer_id}: {}", because(*reason)))
        }
        Event::SignalReceived { party_id, from_peer_id, to_peer_id } => {
            ("signal.received", format!("{party_id}: from {from_peer_id} for {to_peer_id}"))
        }
        Event::RelayUpdated { relay } => ("relay.updated", describe_relay(relay)),
        Event::RelayRemoved { relay_id } => ("relay.removed", relay_id.to_string()),
        Event::ConnectionChanged(connection) => ("connection.changed", describe(connection)),
    }
}

fn describe_peer(peer: &Peer) -> String {
    let (id, name) = (&peer.info.peer_id, &peer.info.name);
    let state = if peer.connected { "" } else { ", disconnected" };
    format!("{id} \"{name}\", {}{state}", peer.virtual_ip)
}

fn describe_relay(relay: &Relay) -> String {
    let address = SocketAddr::new(relay.public_ip, relay.port);
    format!("{} at {address} in {}", relay.relay_id, relay.region)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn described(kind: &str, data: serde_json::Value) -> String {
        let event: Event = serde_json::from_value(json!({"kind": kind, "data": data})).unwrap();
        let (found, words) = describe_event(&event);
        assert_eq!(found, kind);
        words
    }

    #[test]
    fn renamed_party_is_shown_with_both_ids() {
        let party = json!({
            "party_id": "f3b1", "name": "Quake", "host_id": "ann", "peers": {},
            "created_at": "2026-01-02T03:04:05Z", "epoch": "e", "seq": 7, "origin": "remote",
            "sync": "synced",
        });
        let mut data = json!({"party": party, "epoch": "e", "seq": 7});
        let same = "f3b1 \"Quake\", host ann, peers: 0";
        assert_eq!(described("party.updated", data.clone()), same);
        data["previous_party_id"] = json!("lan");
        assert_eq!(described("party.updated", data), format!("lan is now {same}"));
    }

    #[test]
    fn connection_change_is_described() {
        let connection = json!({
            "state": "reconnecting", "server_url": "https://h", "attempt": 1, "retry_in_ms": 900,
            "since": "2026-01-02T03:04:05Z", "last_error": "it hung up",
        });
        let words = "reconnecting to https://h, next attempt in 1s: it hung up";
        assert_eq!(described("connection.changed", connection), words);
    }
}
