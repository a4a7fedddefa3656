//! Many daemons whose server restarts: all come back, and none asks more often than it may.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Client, Daemon, Http, Port, Proxy, Setup, eventually, peer};

const DAEMONS: usize = 20;
const RESTARTS: usize = 3;
/// An attempt at connecting may take as long as the machine needs.
const CONFIG: &str = "[remote]\nconnect_timeout = '20s'\nrequest_timeout = '20s'\n\
    backoff_initial = '200ms'\nbackoff_max = '400ms'\nmax_attempts = 3\nprobe = '200ms'\n";
/// The shortest wait between two attempts: a tenth of the first limit. A slow machine makes waits
/// longer, never shorter.
const LEAST_WAIT: Duration = Duration::from_millis(20);
/// All daemons have the same address here.
const SERVER: &str = "[limits]\nregistrations_per_minute = 100_000\nregistrations_burst = 1_000\n";

#[test]
fn herd_of_daemons_reconnects_within_the_rates() {
    let port = Port::reserve();
    let mut server = Setup::server().config(SERVER).restart_on(port.address()).start();
    let front = Proxy::to(port.address());
    let daemons = herd(&front);
    for (number, daemon) in daemons.iter().enumerate() {
        daemon.await_state("online");
        register(&mut daemon.client(), number);
    }
    for _ in 0..RESTARTS {
        let (begun, before) = (Instant::now(), front.connections());
        let setup = server.kill();
        for daemon in &daemons {
            daemon.await_state("fallback");
        }
        // A loss so soon after another has them probe from the first.
        front.await_connections(before + DAEMONS);
        let tried = front.connections() - before;
        // One at once, and one after each wait.
        let most = 1.0 + begun.elapsed().as_secs_f64() / LEAST_WAIT.as_secs_f64();
        assert!((tried as f64) <= most * DAEMONS as f64, "{tried} in {:?}", begun.elapsed());

        server = setup.start();
        let back = front.connections();
        for (number, daemon) in daemons.iter().enumerate() {
            daemon.await_state("online");
            await_synced(&mut daemon.client(), number);
        }
        // The next attempt of each gets through; one may have come a moment too early.
        let tried = front.connections() - back;
        assert!(tried <= 2 * DAEMONS, "{tried} attempts when the server was there again");
    }
    let mut watcher = Http::registered(server.address(), "watcher");
    for number in 0..DAEMONS {
        let party = watcher.get(&format!("/parties/p{number}")).ok();
        assert_eq!(party["party"]["host_id"], format!("h{number}"));
    }
}

/// Daemons that start together.
fn herd(front: &Proxy) -> Vec<Daemon> {
    let launch = |_| {
        let setup = Setup::new().server_url(&front.url()).config(CONFIG);
        let command = setup.command();
        Daemon::launch(setup, command)
    };
    let mut daemons: Vec<Daemon> = (0..DAEMONS).map(launch).collect();
    daemons.iter_mut().for_each(Daemon::await_ready);
    daemons
}

/// Registers the daemon's party, whose host stays while its daemon runs.
fn register(client: &mut Client, number: usize) {
    let (party_id, host) = (format!("p{number}"), peer(&format!("h{number}")));
    let params =
        json!({"party_id": party_id, "name": "Quake", "host": host, "keepalive": "daemon"});
    client.call("party.register", params);
}

/// Waits until the daemon's party is the server's again; it is never without its host.
#[track_caller]
fn await_synced(client: &mut Client, number: usize) {
    eventually("a synced party", || {
        let party = client.call("party.get", json!({"party_id": format!("p{number}")}));
        assert!(party["party"]["peers"][format!("h{number}")].is_object(), "{party}");
        (party["party"]["sync"] == "synced").then_some(())
    });
}
