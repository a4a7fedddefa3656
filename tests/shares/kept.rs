//! Shares across restarts, and the operator's log lines about them.

use serde_json::json;

use super::programs::OPEN;
use super::visitor::Visitor;
use crate::harness::{Setup, announced};

/// Registers a party; the status.
fn register(visitor: &mut Visitor, host: &str) -> u16 {
    let party = json!({"name": "LAN", "host_peer_info": announced(host)});
    visitor.request("POST", "/parties", Some(party)).status
}

#[test]
fn share_that_is_used_up_stays_so_after_a_restart() {
    let config = format!("{OPEN}limits.parties = 32\n");
    let server = Setup::server().config(&config).start();
    let mut visitor = Visitor::registered(server.address(), "2001:db8:1:2::1", "ann");
    assert_eq!([0; 3].map(|_| register(&mut visitor, "ann")), [200, 200, 503]);
    // All of a /64 is one address.
    visitor.move_to("2001:db8:1:2:ffff::1");
    assert_eq!(register(&mut visitor, "ann"), 503);
    let (setup, _) = server.stop();
    let server = setup.start();
    visitor.reconnect(server.address());
    assert_eq!(register(&mut visitor, "ann"), 503);
    visitor.move_to("2001:db8:1:3::1");
    assert_eq!(register(&mut visitor, "ann"), 200);
    server.await_log(
        "a limit is reached: network 2001:db8:1:2::/64 has 2 of the parties, the most that it may \
         have; remedy: raise limits.parties or lower limits.address_share",
    );
}

#[test]
fn shares_follow_the_configuration() {
    let config = |share| format!("{OPEN}limits.parties = 32\nlimits.address_share = {share}\n");
    let mut server = Setup::server().config(&config(16)).start();
    let mut visitor = Visitor::registered(server.address(), "192.0.2.1", "ann");
    assert_eq!([0; 3].map(|_| register(&mut visitor, "ann")), [200, 200, 503]);
    server.reload(&config(8));
    assert_eq!([0; 3].map(|_| register(&mut visitor, "ann")), [200, 200, 503]);
}
