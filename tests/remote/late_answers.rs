//! Answers that come so late that the daemon has sent its request twice: both state the same, and
//! the second statement has no effect.

use std::time::Duration;

use serde_json::json;

use super::{PATIENT, agree, join, party, register};
use crate::harness::{Daemon, Direction, Port, Proxy, Setup, eventually, fast_remote};

/// A request is sent again after two fifths of `request_timeout`, and given up after four.
const REQUEST_TIMEOUT: &str = "'1500ms'";
const LATE: Duration = Duration::from_millis(700);

fn daemon(proxy: &Proxy, request_timeout: &str) -> Daemon {
    let config = fast_remote([("request_timeout", request_timeout), ("connect_timeout", "'15s'")]);
    let daemon = Setup::new().server_url(&proxy.url()).config(&config).start();
    daemon.await_state("online");
    daemon
}

/// A host and a guest on two machines, each behind its own proxy.
struct World {
    server: Daemon,
    proxies: [Proxy; 2],
    host: Daemon,
    guest: Daemon,
}

impl World {
    fn new(server: Daemon) -> Self {
        let proxies = [(); 2].map(|()| Proxy::to(server.address()));
        let (host, guest) =
            (daemon(&proxies[0], REQUEST_TIMEOUT), daemon(&proxies[1], REQUEST_TIMEOUT));
        register(&host, "lan", "ann", "synced");
        join(&guest, "lan", "bob", "synced");
        agree(&[&server, &host, &guest], "lan", &["ann", "bob"]);
        Self { server, proxies, host, guest }
    }

    fn part(proxy: &Proxy, daemon: &Daemon) {
        proxy.refuse();
        proxy.cut();
        daemon.await_state("fallback");
    }

    /// The guest comes back to a server that answers it late.
    fn guest_returns_late(&self) {
        self.proxies[1].delay_one_way(Direction::ToClient, LATE);
        self.proxies[1].accept();
        self.guest.await_state("online");
    }

    fn all_are_back(&self) {
        let all = [&self.server, &self.host, &self.guest];
        agree(&all, "lan", &["ann", "bob"]);
        // It is kept alive as before.
        eventually("a guest that is connected", || {
            (party(&self.guest, "lan")["peers"]["bob"]["connected"] == json!(true)).then_some(())
        });
        assert_eq!(party(&self.guest, "lan")["sync"], "synced");
    }
}

#[test]
fn guest_with_two_answers_to_its_hello_returns_after_a_lost_state() {
    let port = Port::reserve();
    let server = Setup::server().config(PATIENT).restart_on(port.address());
    let mut world = World::new(server.start());
    World::part(&world.proxies[0], &world.host);
    World::part(&world.proxies[1], &world.guest);
    let setup = world.server.kill().wiped();
    world.server = setup.start();
    world.guest_returns_late();
    world.proxies[0].accept();
    world.all_are_back();
}

#[test]
fn guest_with_two_answers_to_its_hello_returns_after_it_expired() {
    let cleanup = "[cleanup]\npeer_timeout = '1s'\ninterval = '100ms'\nstartup_grace = '0s'\n";
    let server = Setup::server().config(&format!("{PATIENT}{cleanup}")).start();
    let world = World::new(server);
    World::part(&world.proxies[1], &world.guest);
    agree(&[&world.server, &world.host], "lan", &["ann"]);
    world.guest_returns_late();
    world.all_are_back();
}

/// The server tells its clock in the answer that opens the connection.
#[test]
fn late_answers_do_not_set_the_clock() {
    let server = Setup::server().start();
    let proxies = [(); 2].map(|()| Proxy::to(server.address()));
    let [host, guest] = [0, 1].map(|index| daemon(&proxies[index], "'15s'"));
    register(&host, "lan", "ann", "synced");
    World::part(&proxies[1], &guest);
    proxies[1].delay_one_way(Direction::ToClient, Duration::from_secs(4));
    proxies[1].accept();
    guest.await_state("online");
    join(&guest, "lan", "bob", "synced");
    agree(&[&server, &host, &guest], "lan", &["ann", "bob"]);
}
