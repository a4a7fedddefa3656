//! Long histories of three clients, from a seed. Each client's copy must equal the server's state.

mod model;

use std::thread;

use serde_json::{Value, json};

use self::model::Model;
use super::mirror::{Mirror, timeless};
use super::{
    NO_LIMITS, await_sockets, heartbeat, join, leave, register, shapes, signal, sync, update,
};
use crate::harness::{Daemon, Http, Random, Setup, Ws, cases};

const PARTIES: [&str; 3] = ["red", "green", "blue"];
const PEERS: [&str; 3] = ["pat", "cat", "rex"];
const STEPS: usize = 250;

/// Runs a history and says from which seed it was, if it fails.
fn with_seeds(seeds: std::ops::Range<u64>, play: impl Fn(Random) + Sync) {
    for seed in seeds {
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(Random(seed))));
        if let Err(panic) = played {
            eprintln!("the seed was {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Client with its copies of the parties.
struct Player {
    id: &'static str,
    additions: bool,
    token: String,
    /// None while it is away.
    ws: Option<Ws>,
    mirror: Mirror,
    /// Signals from other members.
    signals: Vec<Value>,
}

impl Player {
    fn new(server: &Daemon, id: &'static str) -> Self {
        let additions = id != "pat";
        let token = Http::registered(server.address(), id).token.expect("a token");
        let mirror = if additions { Mirror::full() } else { Mirror::plain() };
        let mut player = Self { id, additions, token, ws: None, mirror, signals: Vec::new() };
        player.connect(server);
        player
    }

    fn connect(&mut self, server: &Daemon) {
        let mut ws = Ws::connect(server.address());
        let mut first = json!({"type": "auth", "version": "1", "client": "t", "token": self.token});
        if self.additions {
            first["caps"] = json!(["lanragectl"]);
            first["have"] = self.mirror.have();
        } else {
            // Nothing tells it which of its parties are gone.
            self.mirror = Mirror::plain();
        }
        ws.send(first);
        self.ws = Some(ws);
        self.catch_up();
    }

    fn ws(&mut self) -> &mut Ws {
        self.ws.as_mut().expect("a connection")
    }

    /// Takes in all that happened so far.
    fn catch_up(&mut self) -> Vec<Value> {
        let additions = self.additions;
        let Some(ws) = &mut self.ws else { return Vec::new() };
        let frames = if additions { ws.settled() } else { ws.settled_plainly() };
        self.mirror.take(&frames);
        let signals = frames.iter().filter(|frame| frame["type"] == "signal");
        self.signals.extend(signals.map(|frame| frame["signal_data"].clone()));
        frames
    }

    /// Sends a frame and processes the replies. Returns the reason of a refusal: its code, or only
    /// the fact for a client that gets no codes.
    fn act(&mut self, frame: Value) -> Option<String> {
        if self.additions {
            let answer = self.ws().ask(frame);
            self.catch_up();
            return answer["code"].as_str().map(str::to_owned);
        }
        self.ws().send(frame);
        let frames = self.catch_up();
        frames.iter().any(|frame| frame["type"] == "error").then(|| "refused".to_owned())
    }

    /// Applies a client's own change to its copy, because the server does not report it back.
    fn did(&mut self, frame: &Value, party: &str) {
        match frame["type"].as_str() {
            Some("leave_party") => drop(self.mirror.parties.remove(party)),
            Some("update_peer") if !self.additions => {
                let copy = self.mirror.parties.get_mut(party).expect("a known party");
                copy.party["peers"][self.id]["name"] = frame["peer"]["name"].clone();
            }
            _ => {}
        }
    }
}

fn step(server: &Daemon, players: &mut [Player], model: &mut Model, random: &mut Random, n: usize) {
    let (who, party) = (random.below(3), *random.of(&PARTIES));
    let peer = players[who].id;
    let act = random.below(20);
    if players[who].ws.is_none() {
        if act < 10 {
            players[who].connect(server);
            model.deliver(peer);
        }
        return;
    }
    let (frame, expected) = match act {
        0..3 => (register(party, peer), model.register(party, peer)),
        3..7 => (join(party, peer), model.join(party, peer)),
        7..10 => (leave(party, peer), model.leave(party, peer)),
        10..13 => {
            let name = format!("{peer} {n}");
            (update(party, peer, &name), model.update(party, peer, name))
        }
        13..17 => {
            let (to, data) = (*random.of(&PEERS), json!(n));
            let frame = signal(party, peer, to, data.clone());
            let expected = model.signal(party, (peer, to), data);
            (frame, expected)
        }
        17 => {
            players[who].catch_up();
            drop(players[who].ws.take());
            let there = players.iter().filter(|player| player.ws.is_some()).count();
            await_sockets(server, there);
            return;
        }
        18 if peer != "pat" => {
            let expected = match model.parties.get(party) {
                None => Some("party_not_found"),
                Some((_, members)) if !members.contains_key(peer) => Some("not_a_member"),
                Some(_) => None,
            };
            (sync(party), expected)
        }
        _ => {
            let expected = match model.parties.get(party) {
                None => Some("party_not_found"),
                Some((_, members)) if !members.contains_key(peer) => Some("peer_not_found"),
                Some(_) => None,
            };
            (heartbeat(party, peer), expected)
        }
    };
    let refused = players[who].act(frame.clone());
    let expected = expected.map(|code| if peer == "pat" { "refused" } else { code });
    assert_eq!(refused.as_deref(), expected, "step {n}: {frame}");
    if refused.is_none() {
        players[who].did(&frame, party);
    }
    for player in players.iter().filter(|player| player.ws.is_some()) {
        model.deliver(player.id);
    }
}

/// Asserts that the copy of each connected client equals the server's state.
fn compare(server: &Daemon, players: &mut [Player]) {
    let mut http = Http::registered(server.address(), "judge");
    for player in players.iter_mut().filter(|player| player.ws.is_some()) {
        player.catch_up();
        let known = player.mirror.parties.clone();
        for (id, copy) in &known {
            let truth = http.get(&format!("/parties/{id}")).ok();
            let party = timeless(truth["party"].clone());
            assert_eq!(copy.timeless().party, party, "{}", player.id);
            if player.additions {
                assert_eq!(truth["virtual_ips"], copy.virtual_ips, "{}", player.id);
                assert_eq!((&truth["seq"], &truth["epoch"]), (&json!(copy.seq), &copy.epoch));
                player.ws().ask(sync(id));
            }
        }
        player.catch_up();
        for (id, copy) in &player.mirror.parties {
            assert_eq!(copy.timeless(), known[id].timeless(), "{}", player.id);
        }
    }
}

#[test]
fn history_of_frames_one_by_one_matches_the_model() {
    with_seeds(0..cases(2, 12), |mut random| {
        let server = Setup::server().config(NO_LIMITS).start();
        let mut players = PEERS.map(|id| Player::new(&server, id));
        let mut model = Model::default();
        for n in 0..STEPS {
            step(&server, &mut players, &mut model, &mut random, n);
        }
        for player in &mut players {
            if player.ws.is_none() {
                player.connect(&server);
                model.deliver(player.id);
            }
        }
        compare(&server, &mut players);
        for player in &mut players {
            let expected = model.of(player.id);
            let mut known = player.mirror.ids();
            known.sort_by_key(|id| expected.iter().position(|other| other == id));
            assert_eq!(known, expected, "{}", player.id);
            for (id, copy) in &player.mirror.parties {
                let (host, members) = &model.parties[id.as_str()];
                assert_eq!(copy.party["host_id"], *host);
                let peers = copy.party["peers"].as_object().expect("peers").iter();
                let names = peers.map(|(id, peer)| (id.as_str(), peer["name"].as_str()));
                let expected = members.iter().map(|(id, name)| (*id, Some(name.as_str())));
                assert_eq!(names.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            }
            let delivered = model.delivered.remove(player.id).unwrap_or_default();
            assert_eq!(player.signals, delivered, "{}", player.id);
        }
    });
}

/// Plays without waiting for the other clients, or for its own answers.
fn rush(server: &Daemon, player: &mut Player, random: &mut Random) {
    for n in 0..STEPS {
        let (party, peer, to) = (*random.of(&PARTIES), player.id, *random.of(&PEERS));
        let mut frame = match random.below(12) {
            0..2 => register(party, peer),
            2..5 => join(party, peer),
            5..7 => leave(party, peer),
            7..10 => update(party, peer, &format!("{peer} {n}")),
            10 => heartbeat(party, peer),
            _ => signal(party, peer, to, json!(n)),
        };
        if frame["type"] == "leave_party" {
            frame["req_id"] = json!(format!("{party} {n} {}", random.next()));
        }
        player.ws().send(frame);
        if peer == "rex" && random.below(40) == 0 {
            drop(player.ws.take());
            player.reconnect(server);
        }
        if random.below(8) == 0 {
            player.follow();
        }
    }
}

impl Player {
    /// Takes in all that happened so far, its own leavings in their turn.
    fn follow(&mut self) {
        let additions = self.additions;
        let frames = if additions { self.ws().settled() } else { self.ws().settled_plainly() };
        for frame in &frames {
            if !additions {
                // Nothing tells it whether it left, or what it is called.
                shapes::plain(frame);
                continue;
            }
            self.mirror.take(std::slice::from_ref(frame));
            let left = match frame["type"].as_str() {
                Some("ack") => frame["req_id"].as_str().and_then(|id| id.split(' ').next()),
                // By what the connection of before had sent.
                Some("peer_left") if frame["peer_id"] == self.id => frame["party_id"].as_str(),
                _ => None,
            };
            left.and_then(|party| self.mirror.parties.remove(party));
        }
    }

    fn reconnect(&mut self, server: &Daemon) {
        let mut ws = Ws::connect(server.address());
        let have = self.mirror.have();
        ws.send(json!({
            "type": "auth", "version": "1", "client": "t", "caps": ["lanragectl"],
            "token": self.token, "have": have,
        }));
        self.ws = Some(ws);
        self.follow();
    }
}

#[test]
fn history_of_concurrent_frames_leaves_right_mirrors() {
    with_seeds(10..cases(12, 30), |mut random| {
        let server = Setup::server().config(NO_LIMITS).start();
        let mut players = PEERS.map(|id| Player::new(&server, id));
        thread::scope(|scope| {
            for player in &mut players {
                let mut random = Random(random.next());
                let server = &server;
                scope.spawn(move || rush(server, player, &mut random));
            }
        });
        await_sockets(&server, PEERS.len());
        players.iter_mut().for_each(Player::follow);
        compare(&server, &mut players[1..]);
    });
}
