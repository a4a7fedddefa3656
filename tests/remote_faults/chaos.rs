//! Two daemons, a network that fails at random, and a server: everybody may die at any time. When
//! all is well again, all agree, and nobody was told anything that is not so.

mod conditions;
mod ledger;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::conditions::{Conditions, busy_processes};
use self::ledger::{Act, Ledger, party_of};
use super::world::{PATIENT, await_synced, on_server, parties};
use crate::harness::{
    Chaos, Daemon, Direction, Http, Port, Proxy, Random, Setup, eventually, is_long_run,
};

/// Fast enough for many histories, and slow enough for a slow machine.
const CONFIG: &str = "[remote]\nheartbeat = '300ms'\nconnect_timeout = '1s'\n\
    request_timeout = '500ms'\nbackoff_initial = '10ms'\nbackoff_max = '50ms'\nmax_attempts = 3\n\
    probe = '50ms'\n";

const STEPS: usize = 60;

/// One of the two.
struct Site<'a> {
    daemon: Option<Daemon>,
    proxy: &'a Proxy,
    chaos: Chaos<'a>,
    peers: Vec<String>,
}

impl<'a> Site<'a> {
    fn new(seed: u64, name: &str, proxy: &'a Proxy, conditions: &Conditions) -> Self {
        let setup = Setup::new().server_url(&proxy.url()).config(CONFIG);
        let daemon = conditions.setup(setup).start();
        let peers: Vec<_> = (0..3).map(|n| format!("{name}{n}")).collect();
        daemon.await_state("online");
        // Whoever is known to the server stays who it is.
        let mut client = daemon.client();
        for id in &peers {
            let party_id = format!("first-{id}");
            super::world::register(&mut client, &party_id, id);
            client.call("party.leave", json!({"party_id": party_id, "peer_id": id}));
        }
        Self { daemon: Some(daemon), proxy, chaos: Chaos::seeded(seed, proxy), peers }
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("a daemon that runs")
    }

    fn kill(&mut self) {
        let setup = self.daemon.take().expect("a daemon that runs").kill();
        self.daemon = Some(setup.start());
    }
}

struct History {
    seed: u64,
    told: Vec<String>,
}

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}:\n{}", self.seed, self.told.join("\n"));
        }
    }
}

fn run(seed: u64, conditions: &Conditions) {
    let mut random = Random(seed);
    let port = Port::reserve();
    let start = || {
        let setup = Setup::server().config(PATIENT).restart_on(port.address());
        conditions.setup(setup).start()
    };
    let mut server = Some(start());
    let mut down: Option<Setup> = None;
    let proxies = [Proxy::to(port.address()), Proxy::to(port.address())];
    proxies.iter().for_each(|proxy| conditions.delay(proxy));
    let [a, b] = &proxies;
    let mut sites =
        [Site::new(seed, "a", a, conditions), Site::new(seed + 1000, "b", b, conditions)];
    let hosts: Vec<_> = sites.iter().flat_map(|site| site.peers[..2].to_vec()).collect();
    let mut ledger = Ledger::default();
    let mut history = History { seed, told: Vec::new() };
    for (n, id) in [(0, "a0"), (1, "b0")] {
        ledger.act(&mut sites[n].daemon().client(), &Act::Register(party_of(id), id.into(), 0));
    }
    for (n, id, host) in [(0, "a2", "b0"), (1, "b2", "a0")] {
        ledger.act(&mut sites[n].daemon().client(), &Act::Join(party_of(host), id.into(), 0));
    }
    for step in 0..STEPS {
        let n = random.below(2);
        let site = &mut sites[n];
        let told = match random.below(20) {
            0 | 1 => {
                let fault = site.chaos.step();
                conditions.delay(site.proxy);
                format!("network {n}: {fault:?}")
            }
            2 => {
                // In the midst of something of which nobody hears.
                let act = ledger.choose(&mut random, &site.peers, &hosts);
                let (method, params) = act.request();
                site.daemon().client().send(method, params);
                ledger.note(&act, None);
                site.kill();
                format!("daemon {n} dies over {act:?}")
            }
            3 => match (server.take(), down.take()) {
                (Some(running), _) => {
                    down = Some(running.kill());
                    "the server dies".into()
                }
                (None, setup) => {
                    server = setup.map(Setup::start);
                    "the server is back".into()
                }
            },
            _ => {
                let act = ledger.choose(&mut random, &site.peers, &hosts);
                let answer = ledger.act(&mut site.daemon().client(), &act);
                format!("daemon {n}: {act:?}: {answer}")
            }
        };
        history.told.push(format!("{step}: {told}"));
    }
    let server = server.or_else(|| down.map(Setup::start)).expect("a server");
    for site in &sites {
        site.proxy.heal();
        // What had suffered a fault goes.
        site.proxy.cut();
    }
    for site in &sites {
        await_synced(site.daemon());
    }
    let members = agreed(&server, &sites, &hosts);
    let broken = ledger.broken(&members);
    assert!(broken.is_empty(), "{broken:#?}\n{members:?}");
    for log in sites.iter().map(|site| site.daemon().setup.log()).chain([server.setup.log()]) {
        assert!(!log.contains("panicked"), "{log}");
    }
}

/// Waits until both daemons and the server agree about the members of every party, and their ports.
fn agreed(
    server: &Daemon,
    sites: &[Site<'_>; 2],
    hosts: &[String],
) -> BTreeMap<(String, String), u16> {
    let mut http = Http::registered(server.address(), "watcher");
    let mut clients = sites.each_ref().map(|site| site.daemon().client());
    let mut last = Vec::new();
    let agree = || {
        let truth: BTreeMap<_, _> = hosts
            .iter()
            .map(|host| party_of(host))
            .map(|id| (id.clone(), there(&on_server(&mut http, &id))))
            .filter(|(_, party)| !party.is_null())
            .collect();
        last.clear();
        for (site, client) in sites.iter().zip(&mut clients) {
            let mut expected = truth.clone();
            expected
                .retain(|_, party| site.peers.iter().any(|id| party["peers"].get(id).is_some()));
            let parties = parties(client);
            let found: BTreeMap<_, _> =
                parties.iter().map(|party| (id_of(party), here(party))).collect();
            if found != expected {
                last.push(format!("here {found:#?}\nthere {expected:#?}"));
            }
        }
        last.is_empty().then_some(truth)
    };
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("that all agree", agree)
    }));
    let truth = found.unwrap_or_else(|_| panic!("they do not agree: {}", last.join("\n")));
    let mut members = BTreeMap::new();
    for (party_id, party) in &truth {
        for (id, peer) in party["peers"].as_object().expect("peers") {
            let port = peer["public_port"].as_u64().expect("a port");
            members.insert((party_id.clone(), id.clone()), u16::try_from(port).expect("a port"));
        }
    }
    members
}

fn id_of(party: &Value) -> String {
    party["party_id"].as_str().expect("an id").to_owned()
}

/// Part of a party that both sides show.
fn shared(party: &Value, address: impl Fn(&str) -> Value) -> Value {
    let mut shared = json!({"name": party["name"], "host_id": party["host_id"], "peers": {}});
    for (id, peer) in party["peers"].as_object().into_iter().flatten() {
        let mut member = json!({"virtual_ip": address(id)});
        let fields = ["name", "public_key", "nat_type", "public_ip", "public_port"];
        for field in fields.into_iter().chain(["local_ip", "local_port"]) {
            member[field] = peer[field].clone();
        }
        shared["peers"][id] = member;
    }
    shared
}

fn here(party: &Value) -> Value {
    shared(party, |id| party["peers"][id]["virtual_ip"].clone())
}

fn there(answer: &Value) -> Value {
    match answer {
        Value::Null => Value::Null,
        answer => shared(&answer["party"], |id| answer["virtual_ips"][id].clone()),
    }
}

/// A thread with the name of the test, by which the harness knows it.
fn named_thread() -> std::thread::Builder {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    std::thread::Builder::new().name(test)
}

/// Several at once: they wait more than they work.
fn run_all(seeds: std::ops::Range<u64>, conditions: &Conditions) {
    std::thread::scope(|scope| {
        let spawn = |seed| named_thread().spawn_scoped(scope, move || run(seed, conditions));
        let runs: Vec<_> = seeds.map(|seed| spawn(seed).expect("a thread")).collect();
        let ended: Vec<_> = runs.into_iter().map(|run| run.join()).collect();
        assert!(ended.iter().all(Result::is_ok), "see above");
    });
}

#[test]
fn daemons_agree_after_random_faults() {
    run_all(0..4, &Conditions::default());
}

#[test]
fn daemons_agree_on_a_slow_disk() {
    let Some(conditions) = Conditions::slow_disk() else { return };
    run_all(40..41, &conditions);
}

#[test]
fn daemons_agree_behind_a_one_way_delay() {
    run_all_ways(60..61, 62..63);
}

/// Runs histories in which answers are late, and others in which requests are.
fn run_all_ways(to_client: std::ops::Range<u64>, to_server: std::ops::Range<u64>) {
    std::thread::scope(|scope| {
        for (seeds, way) in [(to_client, Direction::ToClient), (to_server, Direction::ToServer)] {
            let run = move || run_all(seeds, &Conditions::one_way_delay(way));
            named_thread().spawn_scoped(scope, run).expect("a thread");
        }
    });
}

/// Runs many seeds, a few at a time.
fn run_many(seeds: std::ops::Range<u64>, conditions: &Conditions) {
    for first in seeds.clone().step_by(6) {
        run_all(first..(first + 6).min(seeds.end), conditions);
    }
}

#[test]
fn daemons_agree_in_many_histories() {
    if is_long_run() {
        run_many(100..166, &Conditions::default());
    }
}

#[test]
fn daemons_agree_in_many_histories_on_a_slow_disk() {
    if is_long_run()
        && let Some(conditions) = Conditions::slow_disk()
    {
        run_many(200..224, &conditions);
    }
}

#[test]
fn daemons_agree_in_many_histories_behind_a_one_way_delay() {
    if is_long_run() {
        for first in (300..324).step_by(8) {
            run_all_ways(first..first + 4, first + 4..first + 8);
        }
    }
}

#[test]
fn daemons_agree_in_many_histories_under_cpu_starvation() {
    if is_long_run() {
        let _busy = busy_processes(8);
        run_many(20..44, &Conditions::default());
    }
}
