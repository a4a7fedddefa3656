//! Sources of the configuration, and invalid configurations.

use std::process::{Command, Output};

use serde_json::json;

use crate::harness::{Client, Daemon, Setup, eventually, exists, peer};

fn daemon(setup: &Setup) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanragectl-d"));
    command.env_clear().env("HOME", setup.dir.path()).current_dir(setup.dir.path());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn checked(output: &Output) -> toml::Table {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).parse().expect("TOML")
}

#[test]
fn config_flag_outweighs_variable_file_and_default() {
    let setup = Setup::new();
    let file = "socket = 'file.sock'\nstate_dir = 'file'\ndiscovery_file = 'file.json'\n\
                server = 'http://file'\n[remote]\nprobe = '9s'\n[cleanup]\npeer_timeout = '7s'\n";
    std::fs::write(setup.path("d.toml"), file).expect("write the file");
    let mut command = daemon(&setup);
    command.args(["--check-config", "--socket", "flag.sock"]);
    command.args(["--server", "https://flag:8443/lan/"]);
    command.env("LANRAGE_CONFIG", setup.path("d.toml"));
    command.env("LANRAGE_CONTROL_SERVER", "http://variable");
    command.env("LANRAGE_SOCKET", "variable.sock").env("LANRAGE_STATE_DIR", "variable");
    let config = checked(&command.output().expect("run the daemon"));

    let path = |name: &str| toml::Value::from(setup.path(name).to_str().expect("UTF-8"));
    assert_eq!(config["socket"], path("flag.sock"));
    assert_eq!(config["state_dir"], path("variable"));
    assert_eq!(config["discovery_file"], path("file.json"));
    assert_eq!(config["server"].as_str(), Some("https://flag:8443/lan"));
    assert_eq!(config["remote"]["probe"].as_str(), Some("9s"));
    assert_eq!(config["remote"]["heartbeat"].as_str(), Some("30s"));
    assert_eq!(config["cleanup"]["peer_timeout"].as_str(), Some("7s"));
    assert_eq!(config["cleanup"]["relay_timeout"].as_str(), Some("10m"));
    let (socket, state) = (setup.path("flag.sock"), setup.path("variable"));
    assert!(!exists(&socket) && !exists(&state), "a check leaves nothing behind");
}

#[test]
fn check_config_output_gives_the_same_configuration() {
    let setup = Setup::new();
    let first = daemon(&setup).arg("--check-config").output().expect("run the daemon");
    let config = checked(&first);
    std::fs::write(setup.path("d.toml"), &first.stdout).expect("write the file");
    let mut command = daemon(&setup);
    let again = command.args(["--check-config", "--config", "d.toml"]).output();
    assert_eq!(checked(&again.expect("run the daemon")), config);
}

#[test]
fn check_config_names_file_line_and_key_of_a_mistake() {
    let setup = Setup::new();
    std::fs::write(setup.path("d.toml"), "[cleanup]\n\npeer_timout = '5m'\ninterval = 5\n")
        .expect("write the file");
    let check = ["--config", "d.toml", "--check-config"];
    let start = ["--config", "d.toml", "--state-dir", "state"];
    for arguments in [&check[..], &start] {
        let output = daemon(&setup).args(arguments).output().expect("run the daemon");
        assert_eq!(output.status.code(), Some(2));
        let told = text(&output.stderr);
        let file = setup.path("d.toml").display().to_string();
        assert!(told.contains(&format!("{file}:3: cleanup.peer_timout")), "{told}");
        assert!(told.contains("peer_timeout"), "the nearest key is not named: {told}");
        assert!(told.contains(&format!("{file}:4: cleanup.interval")), "{told}");
        assert_eq!(text(&output.stdout), "");
    }
    assert!(!exists(&setup.path("state")), "it began to start");
}

#[test]
fn check_config_reads_the_certificates_to_trust() {
    let setup = Setup::new();
    std::fs::write(setup.path("d.toml"), "[remote]\nca_file = 'ca.pem'\n").expect("write the file");
    for (content, words) in [(None, "ca.pem"), (Some("none"), "ca.pem")] {
        if let Some(content) = content {
            std::fs::write(setup.path("ca.pem"), content).expect("write the certificates");
        }
        let check = ["--config", "d.toml", "--check-config"];
        let start = ["--config", "d.toml", "--state-dir", "state", "--socket", "d.sock"];
        let [checked, started] = [&check[..], &start]
            .map(|arguments| daemon(&setup).args(arguments).output().expect("run the daemon"));
        let message = |output: &Output| {
            let told = text(&output.stderr);
            let line = told.lines().find(|line| line.contains(words)).unwrap_or_default();
            line.split_once(" ERROR ").expect("an error").1.to_owned()
        };
        assert_eq!(checked.status.code(), Some(2), "{}", text(&checked.stderr));
        assert_eq!(started.status.code(), Some(1), "{}", text(&started.stderr));
        assert_eq!(message(&checked), message(&started));
        assert!(message(&checked).contains("remote.ca_file"), "{}", message(&checked));
        assert_eq!(text(&checked.stdout), "");
    }
}

#[test]
fn config_with_a_missing_group_warns() {
    let setup = Setup::new();
    std::fs::write(setup.path("d.toml"), "[access]\ngroup = 'no-such-group'\n").expect("written");
    for program in [env!("CARGO_BIN_EXE_lanragectl-d"), env!("CARGO_BIN_EXE_lanragectl-server")] {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", setup.dir.path()).current_dir(setup.dir.path());
        let output = command.args(["--config", "d.toml", "--check-config"]).output();
        let output = output.expect("run it");
        checked(&output);
        let told = text(&output.stderr);
        assert!(told.contains("access.group: there is no group \"no-such-group\""), "{told}");
    }
    let daemon = Setup::new().config("[access]\ngroup = 'no-such-group'\n").start();
    daemon.await_log("access.group: there is no group \"no-such-group\"");
}

#[test]
fn state_directory_that_is_a_dangling_link_is_named_as_one() {
    let setup = Setup::new();
    let link = setup.path("link");
    std::os::unix::fs::symlink(setup.path("nowhere"), &link).expect("a link");
    let output = daemon(&setup).arg("--state-dir").arg(&link).output().expect("run the daemon");
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("it is a symbolic link that leads nowhere"), "{told}");
}

#[test]
fn observers_have_no_more_connections_than_there_are() {
    let setup = Setup::new();
    for program in [env!("CARGO_BIN_EXE_lanragectl-d"), env!("CARGO_BIN_EXE_lanragectl-server")] {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", setup.dir.path()).current_dir(setup.dir.path());
        let mut check = |limits: &str| {
            std::fs::write(setup.path("d.toml"), format!("[limits]\n{limits}"))
                .expect("write the file");
            command.args(["--config", "d.toml", "--check-config"]).output().expect("run it")
        };
        let refused = check("connections = 32\nobservers = 33\n");
        assert_eq!(refused.status.code(), Some(2));
        let told = "limits.observers: 33 is more than limits.connections, which is 32";
        assert!(text(&refused.stderr).contains(told), "{}", text(&refused.stderr));
    }
    let mut command = daemon(&setup);
    std::fs::write(setup.path("d.toml"), "[limits]\nconnections = 32\n").expect("write the file");
    let config = checked(
        &command.args(["--config", "d.toml", "--check-config"]).output().expect("run the daemon"),
    );
    assert_eq!(config["limits"]["observers"].as_integer(), Some(32), "the default");
}

#[test]
fn config_refuses_an_invalid_server_url_without_its_password() {
    let setup = Setup::new();
    let address = "http://ann:hunter2@lan.example.org";
    let by_flag = {
        let mut command = daemon(&setup);
        command.args(["--check-config", "--server", address]);
        ("--server:".to_owned(), command)
    };
    let by_variable = {
        let mut command = daemon(&setup);
        command.arg("--check-config").env("LANRAGE_CONTROL_SERVER", address);
        ("LANRAGE_CONTROL_SERVER:".to_owned(), command)
    };
    std::fs::write(setup.path("d.toml"), format!("\nserver = '{address}'"))
        .expect("write the file");
    let by_file = {
        let mut command = daemon(&setup);
        command.args(["--check-config", "--config", "d.toml"]);
        (format!("{}:2: server:", setup.path("d.toml").display()), command)
    };
    for (place, mut command) in [by_flag, by_variable, by_file] {
        let output = command.output().expect("run the daemon");
        let told = text(&output.stderr) + &text(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(&place) && told.contains("no password"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn start_without_a_home_asks_for_a_state_directory() {
    let setup = Setup::new();
    let output = daemon(&setup).env_remove("HOME").output().expect("run the daemon");
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    for word in ["state directory", "XDG_STATE_HOME or HOME", "--state-dir"] {
        assert!(told.contains(word), "{word:?} is not in: {told}");
    }
}

#[test]
fn start_with_a_home_alone_uses_places_of_the_user() {
    let mut setup = Setup::new();
    let mut command = daemon(&setup);
    command.env("TMPDIR", setup.dir.path());
    let uid = nix::unistd::geteuid();
    setup.socket = setup.path(&format!("lanrage-{uid}/control.sock"));
    setup.state = setup.path(".local/state/lanrage");
    let mut daemon = Daemon::launch(setup, command);
    daemon.await_ready();
    let status = daemon.client().call("status.get", json!({}));
    let database = daemon.setup.state_dir().join("control.db");
    assert_eq!(status["store"]["path"], json!(database));
    assert!(exists(&database));
}

#[test]
fn reload_applies_changes_and_names_those_that_wait() {
    let mut daemon = Setup::new().config("[cleanup]\npeer_timeout = '7s'\n").start();
    let mut client = daemon.client();
    let register = json!({"name": "Quake", "party_id": "p", "host": peer("ann")});
    client.call("party.register", register);
    let heartbeat = json!({"party_id": "p", "peer_id": "ann"});
    let before = client.call("peer.heartbeat", heartbeat.clone());
    assert_eq!(before["expires_in_ms"], 7_000);

    let discovery = daemon.setup.path("elsewhere.json");
    daemon.reload(&format!(
        "discovery_file = {discovery:?}\nserver = 'http://127.0.0.1:1'\n\
         [remote]\ntransport = 'http'\nca_file = 'ca.pem'\nheartbeat = '9s'\n[cleanup]\npeer_timeout = '9s'\n\
         [limits]\npeers_per_party = 1\nsignal_bytes = 77\n[addresses]\nsubnet = '10.9.0.0/24'\n"
    ));
    let log = daemon.setup.log();
    let waiting =
        ["discovery_file", "addresses.subnet", "server", "remote.transport", "remote.ca_file"];
    for key in waiting {
        assert!(log.contains(&format!("{key} changes with the next start")), "{key}: {log}");
    }
    assert!(!log.contains("socket changes") && !log.contains("heartbeat"), "{log}");
    assert_eq!(client.call("connection.get", json!({}))["state"], "local");
    assert_eq!(client.call("peer.heartbeat", heartbeat)["expires_in_ms"], 9_000);
    let join = json!({"party_id": "p", "peer": peer("bob")});
    assert_eq!(client.refused("party.join", join), "party_full");
    let hello = json!({"protocol": {"min": 1, "max": 1}});
    assert_eq!(daemon.client().call("hello", hello)["limits"]["signal_bytes"], 77);
    let other = json!({"name": "Doom", "party_id": "q", "host": peer("ann")});
    let party = client.call("party.register", other);
    assert_eq!(party["party"]["peers"]["ann"]["virtual_ip"], "10.66.0.1", "the subnet waits");
    assert!(!exists(&discovery), "the discovery file waits");
}

#[test]
fn reload_of_a_bad_file_keeps_the_configuration() {
    let mut daemon = Setup::new().config("[cleanup]\npeer_timeout = '7s'\n").start();
    let mut client = daemon.client();
    let host = json!({"name": "Quake", "party_id": "p", "host": peer("ann")});
    client.call("party.register", host);
    let heartbeat = json!({"party_id": "p", "peer_id": "ann"});
    daemon.reload("[cleanup]\npeer_timeout = '9s'\ninterval = 'often'\n");
    let log = daemon.setup.log();
    assert!(log.contains("config.toml:3: cleanup.interval"), "{log}");
    assert!(log.contains("the configuration stays as it was"), "{log}");
    assert_eq!(client.call("peer.heartbeat", heartbeat.clone())["expires_in_ms"], 7_000);

    daemon.reload("[cleanup]\npeer_timeout = '8s'\n");
    assert_eq!(client.call("peer.heartbeat", heartbeat)["expires_in_ms"], 8_000);
}

#[test]
fn reload_changes_the_number_and_interval_of_backups() {
    let mut daemon = Setup::new().start();
    let mut client = daemon.client();
    daemon.reload("[store]\nbackup_interval = '5ms'\nbackups_kept = 1\n");
    for round in 0..2 {
        register(&mut client, round);
        eventually("a backup of the new state, alone", || {
            let backups = daemon.setup.backups();
            let [newest] = &backups[..] else { return None };
            let copy = rusqlite::Connection::open(newest).ok()?;
            let count = "SELECT count(*) FROM parties";
            let parties: i32 = copy.query_row(count, [], |row| row.get(0)).ok()?;
            (parties == round + 1).then_some(())
        });
    }
}

fn register(client: &mut Client, number: i32) {
    let party_id = format!("p{number}");
    let party = json!({"name": "Quake", "party_id": party_id, "host": peer("ann")});
    client.call("party.register", party);
}
