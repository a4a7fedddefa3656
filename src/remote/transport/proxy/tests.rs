use super::*;

fn system(variables: &[(&str, &str)]) -> Proxies {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Proxies::new(ProxyChoice::System, SystemProxies::of(lookup))
}

#[track_caller]
fn assert_proxy(proxies: &Proxies, url: &str, expected: Option<&str>) {
    let url = url.parse().unwrap();
    assert_eq!(proxies.to(&url).map(ToString::to_string).as_deref(), expected, "{url}");
}

#[test]
fn proxy_depends_on_the_scheme() {
    let proxies = system(&[("HTTPS_PROXY", "http://s:1"), ("http_proxy", "h:2")]);
    assert_proxy(&proxies, "https://lan.example.org", Some("http://s:1"));
    assert_proxy(&proxies, "http://lan.example.org:8667", Some("http://h:2"));
    let proxies = system(&[("ALL_PROXY", "http://a:3"), ("HTTP_PROXY", "http://h:2/")]);
    assert_proxy(&proxies, "https://lan.example.org", Some("http://a:3"));
    assert_proxy(&proxies, "http://lan.example.org", Some("http://h:2"));
    assert_proxy(&system(&[]), "https://lan.example.org", None);
    assert_proxy(&system(&[("ALL_PROXY", "socks5://a:3")]), "https://lan.example.org", None);
}

#[test]
fn no_proxy_names_hosts_domains_networks_and_ports() {
    let direct = "example.org, .example.net,*.example.com,10.0.0.0/8,2001:db8::1,example.edu:8667";
    let proxies = system(&[("all_proxy", "http://a:3"), ("no_proxy", direct)]);
    for host in [
        "example.org",
        "lan.EXAMPLE.org",
        "a.example.net",
        "b.example.com",
        "10.1.2.3",
        "[2001:db8::1]",
        "example.edu:8667",
    ] {
        assert_proxy(&proxies, &format!("http://{host}"), None);
    }
    for host in ["myexample.org", "11.1.2.3", "[2001:db8::2]", "example.edu", "org"] {
        assert_proxy(&proxies, &format!("http://{host}"), Some("http://a:3"));
    }
    assert_proxy(&system(&[("all_proxy", "http://a:3"), ("no_proxy", "*")]), "http://h", None);
}

#[test]
fn system_proxy_does_not_apply_to_loopback() {
    let proxies = system(&[("ALL_PROXY", "http://a:3")]);
    let always = Proxies::new("http://b:4".parse().unwrap(), SystemProxies::default());
    for url in ["http://localhost:8667", "http://127.0.0.9", "https://[::1]:8667"] {
        assert_proxy(&proxies, url, None);
        assert_proxy(&always, url, Some("http://b:4"));
    }
}

#[test]
fn credentials_are_never_displayed() {
    let url = "http://ann:hunter2%40@proxy:3128";
    let choice: ProxyChoice = url.parse().unwrap();
    let proxies = Proxies::new(choice.clone(), SystemProxies::default());
    let server = "https://lan.example.org".parse().unwrap();
    for shown in
        [format!("{proxies:?}"), proxies.describe(&server), serde_json::to_string(&choice).unwrap()]
    {
        assert!(shown.contains("http://proxy:3128") && !shown.contains("hunter2"), "{shown}");
    }
    let ProxyChoice::Always(proxy) = choice else { panic!("no proxy") };
    assert_eq!(proxy.credentials.as_deref(), Some("ann:hunter2@"));
    for bad in ["https://p", "socks5://p:1080", "http://p/path", "http://ann:hunter2@", ""] {
        let words = bad.parse::<ProxyChoice>().unwrap_err();
        assert!(words.contains("HTTP proxy") && !words.contains("hunter2"), "{words}");
    }
}

const CONNECT_REQUEST: &str = "CONNECT lan.example.org:443 HTTP/1.1\r\nHost: lan.example.org:443\r\n\
    Proxy-Authorization: Basic YW5uOmI=\r\n\r\n";

#[actix::test]
async fn tunnel_ends_with_the_head_of_the_answer() {
    let endless = "HTTP/1.1 200\r\n".to_owned() + &"X: y\r\n".repeat(2000);
    for (answer, words) in [
        ("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhi", ""),
        ("HTTP/1.0 200\r\n\r\nhi", ""),
        ("HTTP/1.1 407 Who\r\n\r\n", "does not take the login"),
        ("HTTP/1.1 403 No\r\n\r\n", "does not connect to it"),
        ("SSH-2.0\r\n\r\n", "is no HTTP proxy"),
        ("HTTP/1.1 200", "closed the connection"),
        (&endless, "failed"),
    ] {
        let (mut near, mut far) = tokio::io::duplex(1 << 15);
        far.write_all(answer.as_bytes()).await.unwrap();
        far.shutdown().await.unwrap();
        let proxy: ProxyUrl = "http://ann:b@proxy:3128".parse().unwrap();
        let server = "https://lan.example.org".parse().unwrap();
        let opened = proxy.tunnel(&mut near, &server).await;
        let error = opened.map_or_else(|loss| loss.words, |()| String::new());
        assert!(error.contains(words) && error.is_empty() == words.is_empty(), "{error}");
        if words.is_empty() {
            let mut rest = String::new();
            near.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "hi");
        }
        drop(near);
        let mut request = String::new();
        far.read_to_string(&mut request).await.unwrap();
        assert_eq!(request, CONNECT_REQUEST);
    }
}
