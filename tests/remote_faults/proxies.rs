//! An HTTP proxy between the daemon and its server, such as a company has.

use serde_json::json;

use crate::harness::{
    BadServer, Behaviour, Certificate, Daemon, FAST_REMOTE, ForwardProxy, Setup, peer,
};

/// `ann:hunter2`, as a proxy wants it.
const LOGIN: &str = "Basic YW5uOmh1bnRlcjI=";

/// A server's name that nobody but a proxy can know.
const SERVER: &str = "http://lan.invalid:8667";

fn register(daemon: &Daemon, host: &str) {
    let params = json!({"party_id": host, "name": "Quake", "host": peer(host)});
    let party = &daemon.client().call("party.register", params)["party"];
    assert_eq!(party["sync"], "synced", "{party}");
}

fn connection(daemon: &Daemon) -> serde_json::Value {
    daemon.client().call("connection.get", json!({}))
}

#[test]
fn proxy_with_a_login_passes_both_transports() {
    let server = Setup::server().config("[http]\npublic_names = ['lan.invalid']\n").start();
    for (transport, asked) in
        [("ws", "CONNECT lan.invalid:8667"), ("http", "GET http://lan.invalid:8667/")]
    {
        let proxy = ForwardProxy::to(server.address(), Some(LOGIN));
        let config = format!(
            "{FAST_REMOTE}transport = '{transport}'\nproxy = 'http://ann:hunter2@{}'\n",
            proxy.address()
        );
        let daemon = Setup::new().server_url(SERVER).config(&config).start();
        daemon.await_state("online");
        register(&daemon, transport);
        let seen = proxy.asked();
        assert!(seen.iter().any(|request| request == asked), "{seen:?}");
        let told = connection(&daemon);
        assert_eq!(told["proxy"], format!("http://{}", proxy.address()));
        assert_eq!(told["transport"], transport);
        assert!(!daemon.setup.log().contains("hunter2"), "{}", daemon.setup.log());
    }
}

#[test]
fn proxy_tunnels_tls_connections() {
    let server = BadServer::tls(Certificate::Good, Behaviour::polite());
    let proxy = ForwardProxy::to(server.address(), None);
    let config = format!(
        "{FAST_REMOTE}proxy = 'http://{}'\nca_file = '{}'\n",
        proxy.address(),
        server.ca().display()
    );
    let daemon = Setup::new().server_url(&server.url()).config(&config).start();
    daemon.await_state("online");
    assert_eq!(proxy.asked(), [format!("CONNECT {}", server.address())]);
}

#[test]
fn environment_names_the_proxy_except_for_this_machine() {
    let server = Setup::server().start();
    let local = format!("http://{}", server.address());
    for (url, config, is_proxied) in
        [(SERVER, "", true), (local.as_str(), "", false), (SERVER, "proxy = 'none'\n", false)]
    {
        let proxy = ForwardProxy::to(server.address(), None);
        let setup = Setup::new().server_url(url).config(&format!("{FAST_REMOTE}{config}"));
        let mut command = setup.command();
        command.env("HTTP_PROXY", format!("http://{}", proxy.address()));
        let mut daemon = Daemon::launch(setup, command);
        daemon.await_ready();
        daemon.await_state(if url == local || is_proxied { "online" } else { "fallback" });
        assert_eq!(!proxy.asked().is_empty(), is_proxied, "{url} {config}");
        assert_eq!(connection(&daemon)["proxy"].is_string(), is_proxied, "{url} {config}");
    }
}

#[test]
fn proxy_that_wants_a_login_is_told() {
    let server = Setup::server().start();
    let proxy = ForwardProxy::to(server.address(), Some(LOGIN));
    let config = format!("{FAST_REMOTE}proxy = 'http://{}'\n", proxy.address());
    let daemon = Setup::new().server_url(SERVER).config(&config).start();
    let told = daemon.await_state("auth_failed");
    let words = told["last_error"].as_str().expect("words");
    assert!(words.contains("the proxy 127.0.0.1:") && words.contains("login"), "{words}");
}
