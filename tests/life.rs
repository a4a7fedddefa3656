//! A party's whole life over the socket.

use serde_json::json;

use crate::harness::{Setup, peer};

#[test]
fn party_is_registered_joined_changed_and_left() {
    let daemon = Setup::new().start();
    let (mut host, mut guest) = (daemon.client(), daemon.client());
    let registered = host.call("party.register", json!({"name": "Quake", "host": peer("ann")}));
    let party_id = registered["party"]["party_id"].clone();
    let subscribed = host.call("events.subscribe", json!({"party_id": party_id}));
    assert_eq!(subscribed["snapshot"]["parties"][0]["seq"], 1);

    let joined = guest.call("party.join", json!({"party_id": party_id, "peer": peer("bob")}));
    assert_eq!(joined["party"]["peers"]["ann"]["virtual_ip"], "10.66.0.1");
    assert_eq!(joined["party"]["peers"]["bob"]["virtual_ip"], "10.66.0.2");
    let (kind, data) = host.event();
    assert_eq!((kind.as_str(), &data["peer"]["peer_id"]), ("peer.joined", &json!("bob")));

    let mut moved = peer("bob");
    moved["public_port"] = json!(4000);
    guest.call("peer.update", json!({"party_id": party_id, "peer": moved}));
    let (kind, data) = host.event();
    assert_eq!((kind.as_str(), &data["peer"]["public_port"]), ("peer.updated", &json!(4000)));

    let left = host.call("party.leave", json!({"party_id": party_id, "peer_id": "ann"}));
    assert_eq!(left["status"], "party_deleted");
    let told: Vec<_> = (0..3).map(|_| host.event()).collect();
    let told: Vec<_> = told.iter().map(|(kind, data)| json!([kind, data["reason"]])).collect();
    let expected =
        [["peer.left", "left"], ["peer.left", "host_left"], ["party.removed", "host_left"]];
    assert_eq!(told, expected.map(|pair| json!(pair)));
    assert_eq!(guest.refused("party.get", json!({"party_id": party_id})), "party_not_found");
}
