//! `doctor` against the real server, and where there is none.

pub(super) mod impostors;

use std::collections::BTreeMap;
use std::net::TcpListener;

use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};

use crate::harness::{Ctl, ForwardProxy, Setup, write_secret};

const STEPS: [&str; 11] = [
    "daemon", "url", "proxy", "name", "connect", "tls", "http", "clock", "register", "upgrade",
    "token",
];

/// Result of a run.
struct Diagnosis {
    document: Value,
    steps: BTreeMap<String, Value>,
}

impl Diagnosis {
    fn of(ctl: &Ctl, line: &str) -> Self {
        let ran = ctl.run(&format!("{line} --json"));
        let document: Value = serde_json::from_str(&ran.stdout).expect("one document");
        assert_eq!(ran.stderr, "");
        assert_eq!(ran.code, Some(i32::from(document["ok"] != true)), "{document}");
        let steps = document["steps"].as_array().expect("steps");
        let name = |step: &Value| step["step"].as_str().expect("a name").to_owned();
        assert_eq!(steps.iter().map(name).collect::<Vec<_>>(), STEPS);
        let steps = steps.iter().map(|step| (name(step), step.clone())).collect();
        Self { document, steps }
    }

    fn ok(&self, step: &str) -> &Value {
        &self.steps[step]["ok"]
    }

    fn detail(&self, step: &str) -> &str {
        self.steps[step]["detail"].as_str().expect("a detail")
    }

    /// Asserts that this step failed, in these words.
    #[track_caller]
    fn fails_at(&self, step: &str, words: &str, fix: &str) {
        assert_eq!(self.ok(step), false, "{}", self.document);
        assert!(self.detail(step).contains(words), "{}", self.detail(step));
        let told = self.steps[step]["fix"].as_str().expect("a fix");
        assert!(told.contains(fix), "{told}");
        assert!(self.steps[step]["took_ms"].is_u64());
    }

    /// Asserts that it did, and that no later one was taken.
    #[track_caller]
    fn ends_at(&self, step: &str, words: &str, fix: &str) {
        self.fails_at(step, words, fix);
        for later in STEPS.iter().skip_while(|name| **name != step).skip(1) {
            let expected = json!({
                "step": later, "ok": null, "took_ms": null, "detail": "a step before it failed",
                "fix": null,
            });
            assert_eq!(self.steps[*later], expected);
        }
        let failed = |step: &&str| self.ok(step) == false;
        assert_eq!(STEPS.iter().filter(|step| failed(step)).count(), 1, "{}", self.document);
    }
}

#[test]
fn doctor_passes_a_server_that_serves() {
    let server = Setup::server().start();
    let nobody = Setup::new();
    let address = server.address();
    let found = Diagnosis::of(&nobody.ctl(), &format!("doctor http://{address}/"));
    assert_eq!(found.document["ok"], true, "{}", found.document);
    assert_eq!(found.document["server_url"], format!("http://{address}"));
    for step in ["url", "name", "connect", "http", "clock", "register", "upgrade", "token"] {
        assert_eq!(found.ok(step), true, "{}", found.document);
        assert_eq!(found.steps[step]["fix"], json!(null));
    }
    assert_eq!(found.ok("daemon"), &json!(null), "there is none");
    assert!(found.detail("daemon").contains("is not started"), "{}", found.document);
    assert_eq!(found.ok("tls"), &json!(null), "it is not spoken");
    assert_eq!(found.detail("name"), "127.0.0.1");
    assert_eq!(found.detail("connect"), format!("{address} connects"));
    assert!(found.detail("http").starts_with("LANrage Control Plane (lanragectl-server/"));
    assert_eq!(found.detail("upgrade"), "WebSocket");

    let told = nobody.ctl().text(&format!("doctor http://{address}"));
    let marks: Vec<_> = told.lines().map(|line| line.split_whitespace().next()).collect();
    let expected =
        ["skipped", "ok", "skipped", "ok", "ok", "skipped", "ok", "ok", "ok", "ok", "ok"];
    assert_eq!(marks, expected.map(Some), "{told}");
}

#[test]
fn doctor_in_local_mode_has_no_server_to_check() {
    let daemon = Setup::new().start();
    let server = Setup::server().start();
    let found = Diagnosis::of(&daemon.ctl(), "doctor");
    assert_eq!(found.document["ok"], true, "{}", found.document);
    assert!(found.detail("daemon").starts_with("local: the daemon needs no"));
    for step in &STEPS[1..] {
        assert_eq!(found.ok(step), &json!(null), "{}", found.document);
        assert_eq!(found.detail(step), "there is nothing to check in local mode");
    }
    let told = daemon.ctl().text("doctor");
    assert!(!told.contains("FAILED") && told.contains("nothing to check"), "{told}");
    let found = Diagnosis::of(&daemon.ctl(), &format!("doctor http://{}", server.address()));
    assert_eq!((found.ok("daemon"), &found.document["ok"]), (&json!(true), &json!(true)));

    let nobody = Setup::new();
    let found = Diagnosis::of(&nobody.ctl(), "doctor");
    found.ends_at("daemon", "is not started", "lanragectl-d --socket");
    assert_eq!(found.document["server_url"], json!(null));
    let told = nobody.ctl().run("doctor");
    assert_eq!((told.code, told.stderr.as_str()), (Some(1), ""));
    assert!(told.stdout.contains("FAILED   daemon "), "{}", told.stdout);
    assert!(
        told.stdout.contains("\n                             fix: start it: "),
        "{}",
        told.stdout
    );
}

#[test]
fn doctor_does_not_repeat_an_invalid_url() {
    let nobody = Setup::new();
    let found = Diagnosis::of(&nobody.ctl(), "doctor http://ann:hunter2@127.0.0.1");
    found.ends_at("url", "must have no user and no password", "https://");
    assert!(!found.document.to_string().contains("hunter2"), "{}", found.document);
    assert!(!nobody.ctl().run("doctor http://ann:hunter2@h").stdout.contains("hunter2"));
}

#[test]
fn doctor_finds_a_port_without_a_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor http://{address}"));
    found.ends_at("connect", &format!("{address}: Connection refused"), "start the server");
}

#[test]
fn doctor_finds_a_host_name_without_an_address() {
    let line = "doctor http://no-such-host.invalid --timeout 5s";
    let found = Diagnosis::of(&Setup::new().ctl(), line);
    found.ends_at("name", "no-such-host.invalid", "correct the host");
}

#[test]
fn doctor_trusts_a_certificate_of_the_given_authority() {
    let made = generate_simple_self_signed(["localhost".into()]).expect("a certificate");
    let setup = Setup::server().config("[http]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n");
    let cert = setup.path("cert.pem");
    std::fs::write(&cert, made.cert.pem()).expect("write the certificate");
    write_secret(&setup.path("key.pem"), &made.signing_key.serialize_pem());
    let server = setup.start();
    let port = server.address().port();
    let ctl = Setup::new().ctl();
    let url = format!("https://localhost:{port}");

    let found = Diagnosis::of(&ctl, &format!("doctor {url} --ca-file {}", cert.display()));
    assert_eq!(found.document["ok"], true, "{}", found.document);
    let words = found.detail("tls");
    assert!(
        words.starts_with("a trusted certificate, valid for ") && words.contains(" days until ")
    );
    assert_eq!(found.detail("upgrade"), "WebSocket");

    Diagnosis::of(&ctl, &format!("doctor {url}")).ends_at("tls", "the certificate", "--ca-file");
    let other = format!("doctor https://127.0.0.1:{port} --ca-file {}", cert.display());
    Diagnosis::of(&ctl, &other).ends_at("tls", "localhost", "certificate for the host");
    let key = server.setup.path("key.pem");
    let none = Diagnosis::of(&ctl, &format!("doctor {url} --ca-file {}", key.display()));
    none.ends_at("tls", "holds no certificate", "correct --ca-file");
    let plain = Diagnosis::of(&ctl, &format!("doctor http://localhost:{port}"));
    assert_eq!(plain.ok("http"), false, "{}", plain.document);
}

#[test]
fn doctor_uses_the_proxy_and_authorities_of_the_daemon() {
    let made = generate_simple_self_signed(["localhost".into()]).expect("a certificate");
    let setup = Setup::server().config("[http]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n");
    let cert = setup.path("cert.pem");
    std::fs::write(&cert, made.cert.pem()).expect("write the certificate");
    write_secret(&setup.path("key.pem"), &made.signing_key.serialize_pem());
    let server = setup.start();
    let proxy = ForwardProxy::to(server.address(), None);
    let url = format!("https://localhost:{}", server.address().port());
    let config =
        format!("[remote]\nca_file = '{}'\nproxy = 'http://{}'\n", cert.display(), proxy.address());
    let daemon = Setup::new().server_url(&url).config(&config).start();
    daemon.await_state("online");
    let found = Diagnosis::of(&daemon.ctl(), "doctor");
    assert_eq!(found.document["ok"], true, "{}", found.document);
    assert!(found.detail("proxy").starts_with(&format!("http://{}", proxy.address())));
    assert_eq!(found.detail("connect"), format!("{} connects", proxy.address()));
    assert!(found.detail("tls").starts_with("a trusted certificate"), "{}", found.document);
    // Without what the daemon tells, the certificate is nobody's.
    Diagnosis::of(&Setup::new().ctl(), &format!("doctor {url}")).ends_at("tls", "certificate", "");
    let line =
        format!("doctor {url} --ca-file {} --proxy http://{}", cert.display(), proxy.address());
    assert_eq!(Diagnosis::of(&Setup::new().ctl(), &line).document["ok"], true);
}

#[test]
fn doctor_finds_plain_http_behind_an_https_url() {
    let server = Setup::server().start();
    let found = Diagnosis::of(&Setup::new().ctl(), &format!("doctor https://{}", server.address()));
    found.ends_at("tls", "", "certificate");
}
