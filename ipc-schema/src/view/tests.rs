use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::event::RemovalReason;
use crate::message::UnknownMessage;
use crate::model::{Name, Peer, PeerId};

/// Reference model of the daemon's state.
#[derive(Debug, Clone, Default)]
struct Truth {
    seq: u64,
    parties: BTreeMap<PartyId, Party>,
    relays: BTreeMap<RelayId, Relay>,
    connection: Option<Connection>,
}

/// Random change. Small numbers name parties and peers, so that changes collide.
#[derive(Debug, Clone)]
enum Happening {
    Register(u8),
    Rename(u8, u8),
    Move(u8, u8),
    Remove(u8),
    Join(u8, u8),
    Update(u8, u8),
    Leave(u8, u8),
    Relay(u8, u16),
    RelayGone(u8),
    Connection(u32),
    Newer,
    Lag(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    prop_oneof![
        (0..3_u8).prop_map(Register),
        (0..3_u8, 0..9_u8).prop_map(|(party, name)| Rename(party, name)),
        (0..3_u8, 0..3_u8).prop_map(|(from, to)| Move(from, to)),
        (0..3_u8).prop_map(Remove),
        (0..3_u8, 0..4_u8).prop_map(|(party, peer)| Join(party, peer)),
        (0..3_u8, 0..4_u8).prop_map(|(party, peer)| Update(party, peer)),
        (0..3_u8, 0..4_u8).prop_map(|(party, peer)| Leave(party, peer)),
        (0..2_u8, any::<u16>()).prop_map(|(relay, port)| Relay(relay, port)),
        (0..2_u8).prop_map(RelayGone),
        any::<u32>().prop_map(Connection),
        Just(Newer),
        (1..9_u64).prop_map(Lag),
    ]
}

fn party_id(n: u8) -> PartyId {
    format!("p{n}").parse().expect("an id")
}

fn peer_id(n: u8) -> PeerId {
    format!("peer{n}").parse().expect("an id")
}

fn peer(n: u8, port: u64) -> Peer {
    let peer = json!({
        "peer_id": format!("peer{n}"), "name": "A", "public_key": "k", "nat_type": "open",
        "public_ip": "unknown", "public_port": port % 65_536, "local_ip": "10.0.0.1",
        "local_port": 1, "virtual_ip": "10.66.0.1", "last_seen": "2026-01-02T03:04:05Z",
        "connected": true,
    });
    serde_json::from_value(peer).expect("a peer")
}

fn party(n: u8) -> Party {
    let party = json!({
        "party_id": format!("p{n}"), "name": "P", "host_id": "peer0", "origin": "local",
        "created_at": "2026-01-02T03:04:05Z", "peers": {"peer0": peer(0, 0)}, "sync": "synced",
        "epoch": "e1", "seq": 1,
    });
    serde_json::from_value(party).expect("a party")
}

fn connection(attempt: u32) -> Connection {
    let connection = json!({"state": "local", "since": "2026-01-02T03:04:05Z", "attempt": attempt});
    serde_json::from_value(connection).expect("a connection")
}

impl Truth {
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            parties: Some(self.parties.values().cloned().collect()),
            relays: Some(self.relays.values().cloned().collect()),
            connection: self.connection.clone(),
        }
    }

    fn view(&self) -> View {
        let (subscription, snapshot) = ("s1".to_owned(), Some(self.snapshot()));
        View::new(SubscribeResult { subscription, seq: self.seq, snapshot })
    }

    /// Applies a change, if it is possible, and returns the daemon's notification.
    fn happen(&mut self, happening: &Happening) -> Option<ServerMessage> {
        let subscription = "s1".to_owned();
        let event = match *happening {
            Happening::Newer => {
                self.seq += 1;
                return Some(ServerMessage::Unknown(newer("s1", self.seq)));
            }
            Happening::Lag(lost) => {
                self.seq += lost;
                let (seq, snapshot) = (self.seq, self.snapshot());
                return Some(ServerMessage::Reset(ResetParams { subscription, seq, snapshot }));
            }
            Happening::Relay(n, port) => {
                let relay = relay(n, port);
                self.relays.insert(relay.relay_id.clone(), relay.clone());
                Event::RelayUpdated { relay }
            }
            Happening::RelayGone(n) => {
                let (relay_id, _) = self.relays.remove_entry(format!("r{n}").as_str())?;
                Event::RelayRemoved { relay_id }
            }
            Happening::Connection(attempt) => {
                self.connection = Some(connection(attempt));
                Event::ConnectionChanged(connection(attempt))
            }
            Happening::Register(n) => {
                let party = party(n);
                if self.parties.contains_key(&party.party_id) {
                    return None;
                }
                self.parties.insert(party.party_id.clone(), party.clone());
                Event::PartyRegistered { epoch: party.epoch.clone(), seq: party.seq, party }
            }
            Happening::Move(from, to) => {
                if self.parties.contains_key(&party_id(to)) {
                    return None;
                }
                let (before, mut party) = self.parties.remove_entry(&party_id(from))?;
                party.party_id = party_id(to);
                party.seq += 1;
                self.parties.insert(party.party_id.clone(), party.clone());
                let (epoch, seq) = (party.epoch.clone(), party.seq);
                Event::PartyUpdated { party, previous_party_id: Some(before), epoch, seq }
            }
            Happening::Remove(n) => {
                let party = self.parties.remove(&party_id(n))?;
                let (party_id, epoch) = (party.party_id, party.epoch);
                let (reason, seq) = (RemovalReason::Removed, party.seq + 1);
                Event::PartyRemoved { party_id, reason, epoch, seq }
            }
            Happening::Rename(n, _)
            | Happening::Join(n, _)
            | Happening::Update(n, _)
            | Happening::Leave(n, _) => happen_in(self.parties.get_mut(&party_id(n))?, happening)?,
        };
        self.seq += 1;
        Some(ServerMessage::Event(EventParams { subscription, seq: self.seq, event }))
    }
}

fn happen_in(party: &mut Party, happening: &Happening) -> Option<Event> {
    let (party_id, epoch, seq) = (party.party_id.clone(), party.epoch.clone(), party.seq + 1);
    let event = match *happening {
        Happening::Rename(_, name) => {
            party.name = format!("P{name}").parse::<Name>().expect("a name");
            party.seq = seq;
            Event::PartyUpdated { party: party.clone(), previous_party_id: None, epoch, seq }
        }
        Happening::Join(_, n) | Happening::Update(_, n) => {
            let peer = peer(n, seq);
            match party.peers.insert(peer_id(n), peer.clone()) {
                None => Event::PeerJoined { party_id, peer, epoch, seq },
                Some(_) => Event::PeerUpdated { party_id, peer, key_changed: None, epoch, seq },
            }
        }
        Happening::Leave(_, n) => {
            let (peer_id, _) = party.peers.remove_entry(&peer_id(n))?;
            Event::PeerLeft { party_id, peer_id, reason: RemovalReason::Left, epoch, seq }
        }
        _ => return None,
    };
    party.seq = seq;
    Some(event)
}

fn relay(n: u8, port: u16) -> Relay {
    let relay = json!({
        "relay_id": format!("r{n}"), "public_ip": "192.0.2.1", "port": port, "region": "eu",
        "capacity": 1, "registered_at": "2026-01-02T03:04:05Z",
    });
    serde_json::from_value(relay).expect("a relay")
}

fn newer(subscription: &str, seq: u64) -> UnknownMessage {
    let params = serde_json::value::to_raw_value(&json!({"kind": "party.sung"})).expect("JSON");
    let subscription = Some(subscription.to_owned());
    UnknownMessage { method: "event".to_owned(), subscription, seq: Some(seq), params }
}

proptest! {
    #[test]
    fn a_view_is_the_truth_from_wherever_it_starts(
        before in prop::collection::vec(happening(), 0..20),
        after in prop::collection::vec(happening(), 0..60),
    ) {
        let mut truth = Truth::default();
        for happening in &before {
            truth.happen(happening);
        }
        let mut view = truth.view();
        for happening in &after {
            if let Some(message) = truth.happen(happening) {
                prop_assert_eq!(view.take(&message), Ok(()));
            }
            prop_assert_eq!(view.seq(), truth.seq);
            prop_assert_eq!(view.parties(), &truth.parties);
            prop_assert_eq!(view.relays(), &truth.relays);
            prop_assert_eq!(view.connection(), truth.connection.as_ref());
        }
    }
}

#[test]
fn a_missing_or_repeated_event_is_a_gap_and_changes_nothing() {
    let mut truth = Truth::default();
    let first = truth.happen(&Happening::Register(0)).expect("an event");
    let mut view = truth.view();
    truth.happen(&Happening::Join(0, 1));
    let third = truth.happen(&Happening::Join(0, 2)).expect("an event");
    let before = view.clone();
    assert_eq!(view.take(&third), Err(Gap { expected: 2, found: 3 }));
    assert_eq!(view.take(&first), Err(Gap { expected: 2, found: 1 }));
    assert_eq!(view.take(&ServerMessage::Unknown(newer("s1", 5))).map_err(|gap| gap.found), Err(5));
    assert_eq!(view, before);

    let reset = truth.happen(&Happening::Lag(4)).expect("a reset");
    assert_eq!(view.take(&reset), Ok(()));
    assert_eq!(view, truth.view());
}

#[test]
fn other_subscriptions_are_passed_over() {
    let mut truth = Truth::default();
    let mut view = truth.view();
    let before = view.clone();
    let Some(ServerMessage::Event(mut event)) = truth.happen(&Happening::Register(0)) else {
        panic!("must be an event");
    };
    event.subscription = "s2".to_owned();
    assert_eq!(view.apply(&event), Ok(()));
    let (subscription, snapshot) = ("s2".to_owned(), truth.snapshot());
    view.reset(&ResetParams { subscription, seq: 9, snapshot });
    assert_eq!(view.take(&ServerMessage::Unknown(newer("s2", 9))), Ok(()));
    assert_eq!(view, before);
}

#[test]
fn a_party_that_gets_another_id_is_known_by_that_alone() {
    let mut truth = Truth::default();
    truth.happen(&Happening::Register(0));
    let mut view = truth.view();
    let moved = truth.happen(&Happening::Move(0, 1)).expect("an event");
    assert_eq!(view.take(&moved), Ok(()));
    assert_eq!(view.parties().keys().collect::<Vec<_>>(), [&party_id(1)]);
    let ServerMessage::Event(EventParams { event, .. }) = &moved else { panic!("no event") };
    assert_eq!(event.renamed(), Some((&party_id(0), &party_id(1))));
    assert_eq!(event.party_id(), Some(&party_id(1)));
    // Later events carry the new id.
    let joined = truth.happen(&Happening::Join(1, 1)).expect("an event");
    assert_eq!(view.take(&joined), Ok(()));
    assert_eq!(view.parties(), &truth.parties);
    let renamed = truth.happen(&Happening::Rename(1, 2));
    assert!(matches!(&renamed, Some(ServerMessage::Event(e)) if e.event.renamed().is_none()));
}

#[test]
fn a_party_outside_the_subscription_is_passed_over() {
    let mut truth = Truth::default();
    truth.happen(&Happening::Register(0));
    let mut view = View::new(SubscribeResult { subscription: "s1".into(), seq: 1, snapshot: None });
    let joined = truth.happen(&Happening::Join(0, 1)).expect("an event");
    assert_eq!(view.take(&joined), Ok(()));
    assert!(view.parties().is_empty());
    assert_eq!(view.seq(), 2);
}
