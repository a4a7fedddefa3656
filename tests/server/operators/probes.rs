//! The probes, the description and its page.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Daemon, Http, Setup, eventually};

#[test]
fn probes_answer_without_a_token_or_a_rate() {
    let server =
        Setup::server().config("[limits]\nrequests_per_second = 1\nrequests_burst = 1\n").start();
    let mut http = server.http();
    for _ in 0..50 {
        for probe in ["/healthz", "/readyz"] {
            assert_eq!(http.get(probe).ok(), json!({"status": "ok"}));
        }
        assert_eq!(http.get("/metrics").status, 200);
    }
}

/// A server whose log begun anew has no room once it is told so.
fn with_limited_files() -> Daemon {
    let setup = Setup::server();
    let plain = setup.command();
    // The limit would otherwise end the process by a signal.
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args());
    let variables = plain.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.env_clear().envs(variables).env("LANRAGE_LOG", "off");
    let mut server = Daemon::launch(setup, command);
    server.await_ready();
    server
}

fn limit_files(server: &Daemon, bytes: &str) {
    let pid = server.pid().to_string();
    let fsize = format!("--fsize={bytes}:unlimited");
    let done = Command::new("prlimit").args(["--pid", &pid, &fsize]).status();
    assert!(done.expect("run prlimit").success());
}

#[test]
fn readyz_is_a_503_while_the_store_can_not_write() {
    let server = with_limited_files();
    let mut ann = Http::registered(server.address(), "ann");
    limit_files(&server, "1");
    let body = json!({"name": "LAN", "host_peer_info": crate::harness::announced("ann")});
    let refused = eventually("a disk that takes no more", || {
        let answer = ann.post("/parties", Some(body.clone()));
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(refused.detail(503), json!("The state could not be written"));
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    ann.get("/healthz").ok();
    let unready = ann.get("/readyz");
    assert_eq!(unready.detail(503), json!("The last commit of the state failed"));
    assert!(unready.header("retry-after").is_some(), "{unready:?}");
    let metrics = ann.get("/metrics");
    assert!(metrics.text().contains("\nlanrage_rejections_total{reason=\"store_unavailable\"} "));
    assert!(!metrics.text().contains("\nlanrage_commit_failures_total 0\n"), "{}", metrics.text());
    limit_files(&server, "unlimited");
    eventually("a disk that takes more", || {
        (ann.post("/parties", Some(body.clone())).status == 200).then_some(())
    });
    ann.get("/readyz").ok();
}

#[test]
fn openapi_json_is_the_committed_one_and_lists_every_route() {
    let server = Setup::server().start();
    let mut http = server.http();
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/ipc-schema/schema/openapi.json");
    let committed = std::fs::read_to_string(committed).expect("the description");
    let served = http.get("/openapi.json");
    assert_eq!(served.text(), committed);
    assert_eq!(served.header("content-type"), Some("application/json"));
    let document: Value = serde_json::from_str(&committed).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 10);
    for (path, item) in paths {
        let concrete =
            path.replace("{party_id}", "p").replace("{peer_id}", "q").replace("{region}", "eu");
        for method in item.as_object().expect("methods").keys() {
            let status = http.request(&method.to_uppercase(), &concrete, None).status;
            assert!(![404, 405, 500].contains(&status), "{method} {path}: {status}");
            // What it says may come is what came.
            let told = item[method]["responses"].get(status.to_string());
            assert!(told.is_some(), "{method} {path}: {status} is not described");
        }
    }
}

#[test]
fn docs_page_names_no_other_host() {
    let server = Setup::server().start();
    let page = server.http().get("/docs");
    assert_eq!(page.status, 200);
    let text = page.text();
    for word in ["http://", "https://", "src=\"//", "href=\"//", "@import"] {
        assert!(!text.contains(word), "{word}");
    }
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
}
