//! A server whose clock is hours off.

use std::net::{SocketAddr, TcpListener, TcpStream};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::handshake::server::{Request, Response};

use super::trial::{PARTY, Trial};
use crate::harness::{announced_at, eventually, polite};

/// Serves connections as a polite server that believes it is so many hours later, and whose
/// parties have a guest of elsewhere that it has just heard of.
fn serve(hours: i64) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    let polite = polite();
    // It ends with the process: nobody asks it any more when the test is over.
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let polite = polite.clone();
            std::thread::spawn(move || attend(stream, hours, polite));
        }
    });
    address
}

fn attend(stream: TcpStream, hours: i64, polite: impl Fn(&Value) -> Vec<String>) -> Option<()> {
    let date = Timestamp::now() + SignedDuration::from_hours(hours);
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    #[expect(clippy::result_large_err, reason = "tungstenite's")]
    let dated = |_: &Request, mut response: Response| {
        response.headers_mut().insert("date", date.parse().expect("a header"));
        Ok(response)
    };
    let mut socket = tungstenite::accept_hdr(stream, dated).ok()?;
    loop {
        let Message::Text(text) = socket.read().ok()? else { continue };
        let frame = serde_json::from_str(&text).ok()?;
        for text in polite(&frame) {
            socket.send(Message::text(with_guest(&text, hours))).ok()?;
        }
    }
}

fn with_guest(text: &str, hours: i64) -> String {
    let mut frame: Value = serde_json::from_str(text).expect("a frame");
    if frame["type"] == "party_update" {
        let created_at = announced_at("x", hours)["last_seen"].clone();
        frame["party"]["created_at"] = created_at;
        frame["party"]["peers"]["x"] = announced_at("x", hours);
        frame["virtual_ips"]["x"] = json!("10.66.0.200");
        frame["connected"]["x"] = json!(true);
    }
    frame.to_string()
}

/// Age of that time.
#[track_caller]
fn ago(time: &Value) -> SignedDuration {
    let time: Timestamp = time.as_str().expect("a time").parse().expect("a time");
    Timestamp::now().duration_since(time)
}

#[test]
fn times_are_told_by_the_daemons_own_clock() {
    for hours in [-30, -2, 0, 3, 30] {
        let trial = Trial::of(&format!("http://{}", serve(hours)));
        trial.comes_to("online", &[]);
        let mut client = trial.daemon.client();
        client.register(PARTY, "h");
        let party = eventually("the guest", || {
            let party = client.party(PARTY);
            party["peers"].get("x").is_some().then_some(party)
        });
        let shown = [&party["created_at"], &party["peers"]["x"]["last_seen"]];
        for time in shown.into_iter().chain([&party["peers"]["h"]["last_seen"]]) {
            let ago = ago(time);
            // Times are rounded to milliseconds.
            let is_now =
                ago > SignedDuration::from_millis(-1) && ago < SignedDuration::from_mins(1);
            assert!(is_now, "{hours} h: {ago:?} in {party}");
        }
        trial.end();
    }
}
