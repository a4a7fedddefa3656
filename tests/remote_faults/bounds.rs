//! A server that sends too many valid frames.

use serde_json::{Value, json};
use tungstenite::Message;

use super::play::{OURS, Play, joined, party};
use super::trial::PARTY;
use crate::harness::{
    BadServer, Behaviour, FAST_REMOTE, Setup, Step, assert_error, eventually, peer,
};

/// Members that a party may have.
const MOST_MEMBERS: usize = 1024;

#[test]
fn party_over_the_bound_of_members_is_refused() {
    let mut play = Play::begin();
    let ids: Vec<_> = (0..MOST_MEMBERS).map(|n| format!("x{n}")).collect();
    let members = |count: usize| {
        let others = ids.iter().take(count - 2).map(|id| (id.as_str(), "10.66.0.3"));
        OURS.into_iter().chain(others).collect::<Vec<_>>()
    };
    play.send_frames(&[party(90, "h", &members(MOST_MEMBERS + 1))]);
    play.nothing_changed();
    play.send_frames(&[party(91, "h", &members(MOST_MEMBERS))]);
    assert_eq!(play.members().len(), MOST_MEMBERS);
    play.send_frames(&[joined(92, "one-more", "10.66.9.9")]);
    assert_eq!(play.members().len(), MOST_MEMBERS);
    play.send_frames(&[party(93, "h", &OURS)]);
    play.nothing_changed();
    play.end();
}

#[test]
fn garbage_between_good_frames_ends_the_connection_in_the_end() {
    let mut play = Play::begin();
    let good = party(90, "h", &OURS).to_string();
    let mix = (0..200).flat_map(|_| [Message::text("{"), Message::text(good.clone())]);
    play.send(mix.collect());
    play.lost(&["not understood"]);
    play.end();
}

#[test]
fn log_is_not_filled_by_a_server() {
    let mut play = Play::begin();
    let signal = |to: &str, data: Value| {
        json!({"type": "signal", "party_id": PARTY, "from_peer_id": "x",
            "to_peer_id": to, "signal_data": data})
    };
    // More than wait for a peer; for nobody; too large to be polled; and complaints.
    let mut frames: Vec<_> = (0..1000).map(|n| signal("g", json!(n))).collect();
    frames.extend((0..1000).map(|n| signal("nobody", json!(n))));
    frames.push(signal("h", json!("x".repeat(70_000))));
    frames.extend((0..1000).map(|_| json!({"type": "error", "message": "no"})));
    play.send_frames(&frames);
    let log = play.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains(" WARN ")).collect();
    assert!((1..=100).contains(&warnings.len()), "{} warnings: {warnings:#?}", warnings.len());
    let notices = warnings.iter().filter(|line| line.contains("the rest are logged at debug"));
    assert_eq!(notices.count(), 1, "{warnings:#?}");
    let polled = |id: &str| json!({"party_id": PARTY, "peer_id": id});
    assert_eq!(play.client.call("signal.poll", polled("h"))["signals"], json!([]));
    let waiting = play.client.call("signal.poll", polled("g"))["signals"].take();
    assert_eq!(waiting.as_array().map(Vec::len), Some(256));
    play.end();
}

#[test]
fn texts_of_a_server_are_cut_and_escaped() {
    let words = format!("\u{1b}[2J\u{202e}{}", "no ".repeat(500_000));
    let refusal = move |frame: &Value| {
        let refused = json!({"type": "error", "code": "server_rejected", "message": words,
            "req_id": frame["req_id"]});
        vec![refused.to_string()]
    };
    let server = BadServer::start(Behaviour::UpgradeThen(vec![Step::answer(refusal)]));
    let daemon = Setup::new().server_url(&server.url()).config(FAST_REMOTE).start();
    let connection = daemon.await_state("fallback");
    let told = connection["last_error"].as_str().expect("an error");
    assert!(told.contains("?[2J?no no no"), "{told}");
    assert!(told.len() < 400, "{} bytes", told.len());
}

#[test]
fn garbage_of_a_server_is_shown_in_part() {
    let mut play = Play::begin();
    let mut long = party(90, "h", &OURS);
    long["party"]["party_id"] = json!("x".repeat(100_000));
    play.send_frames(&vec![long; 20]);
    let lost = play.lost(&["not understood", "xxx"]);
    let told = lost["last_error"].as_str().expect("an error");
    assert!(told.len() < 400, "{} bytes", told.len());
    assert!(play.log().lines().all(|line| line.len() < 1000), "long lines in the log");
    play.end();
}

#[test]
fn parties_without_room_here_take_none() {
    let polite = crate::harness::polite();
    // With each answer to a sign of life come parties that the peer is in, as the server has it.
    let answer = move |frame: &Value| {
        let mut texts: Vec<_> = polite(frame);
        if frame["type"] == "heartbeat" {
            let number = frame["req_id"].to_string().len();
            for n in 0..50 {
                let mut told = party(90, "h", &OURS);
                told["party"]["party_id"] = json!(format!("p{number}-{n}"));
                texts.insert(0, told.to_string());
            }
        }
        texts
    };
    let server = BadServer::start(Behaviour::UpgradeThen(vec![Step::answer(answer)]));
    let config = format!("{FAST_REMOTE}[limits]\nparties = 2\n");
    let daemon = Setup::new().server_url(&server.url()).config(&config).start();
    daemon.await_state("online");
    let mut client = daemon.client();
    client.register("p", "h");
    let beats = || server.frames().iter().filter(|frame| frame["type"] == "heartbeat").count();
    eventually("signs of life", || (beats() >= 3).then_some(()));
    let parties = client.call("party.list", json!({}))["parties"].take();
    assert_eq!(parties.as_array().map(Vec::len), Some(1), "nobody asked for the others");
    client.register("q", "g");
    let full = client.error("party.register", json!({"name": "Quake", "host": peer("g")}));
    assert_error(&full, "rate_limited");
    let asked = server.frames().iter().filter(|frame| frame["type"] == "register_party").count();
    assert_eq!(asked, 2, "it is not made there if it can't be had here");
}

#[test]
fn heartbeats_that_are_refused_do_not_fill_the_log() {
    let lie = |frame: &Value, answers: &mut Vec<Value>| {
        if frame["type"] == "heartbeat" {
            *answers = vec![json!({"type": "error", "message": "no", "code": "server_rejected",
                "req_id": frame["req_id"]})];
        }
    };
    let mut play = Play::lying(Box::new(lie), "");
    for number in 0..30 {
        play.client.join(PARTY, &format!("g{number}"));
    }
    eventually("signs of life", || (play.asked("heartbeat").len() >= 120).then_some(()));
    let warnings = play.warnings();
    assert!((1..=60).contains(&warnings.len()), "{} warnings", warnings.len());
    play.end();
}

#[test]
fn warnings_are_bounded_over_all_connections() {
    let mut play = Play::begin();
    for _ in 0..4 {
        play.await_online();
        let complaint = json!({"type": "error", "message": "no"});
        let mut frames = vec![complaint; 60];
        frames.push(json!({"type": "error", "message": "no", "code": "permission_denied"}));
        play.send_frames(&frames);
        play.client.call("connection.retry", json!({}));
    }
    let complains = |line: &&String| line.contains("complains");
    let warnings = play.warnings().iter().filter(complains).count();
    assert!((1..=60).contains(&warnings), "{warnings} warnings");
    play.end();
}
