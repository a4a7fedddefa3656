//! Address of a control server.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use url::{Host, Url};

use crate::core::ServerKey;

/// Address of a control server: `http://` or `https://`, a host, perhaps a port and a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl(Url);

impl ServerUrl {
    /// Parses a stored address. Earlier versions accepted hosts and ports that can't exist; these
    /// stay valid, and connecting fails.
    ///
    /// # Errors
    /// The address is one that no version accepted.
    pub(crate) fn kept(text: &str) -> Result<Self, BadServerUrl> {
        if text.len() > 2048 {
            return Err(BadServerUrl::TooLong);
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        if !scheme.is_some_and(|scheme| scheme == "http" || scheme == "https") {
            return Err(BadServerUrl::Scheme);
        }
        let url = Url::parse(text).map_err(|error| BadServerUrl::Malformed(error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadServerUrl::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BadServerUrl::Surplus);
        }
        Ok(Self(url))
    }

    /// Returns the URL of its WebSocket: `ws(s)://host/base/ws`.
    pub(crate) fn websocket(&self) -> Url {
        let mut url = self.route(&["ws"]);
        let scheme = if self.is_secure() { "wss" } else { "ws" };
        // A change between special schemes always succeeds.
        url.set_scheme(scheme).ok();
        url
    }

    /// Returns the URL of a route: `http(s)://host/base/segment/…`, each segment escaped.
    pub(crate) fn route(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// True if it uses TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Returns its host, without the brackets of an IPv6 address, and its port.
    pub(crate) fn host_and_port(&self) -> (String, u16) {
        let host = match self.0.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => String::new(),
        };
        (host, self.0.port_or_known_default().unwrap_or_default())
    }

    /// Returns the key of its stored credentials.
    pub(crate) fn key(&self) -> ServerKey {
        ServerKey(Arc::from(self.to_string()))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl serde::Serialize for ServerUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Fault of an address of a control server. It never repeats a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadServerUrl {
    /// It has no supported scheme.
    #[error("must start with http:// or https://, as in https://lan.example.org")]
    Scheme,
    /// It has a space or a line break in it, perhaps at an end.
    #[error("must have no spaces and no line breaks, neither within nor around it")]
    Space,
    /// It names no host.
    #[error("must have a host right after ://, as in https://lan.example.org")]
    NoHost,
    /// Its host is invalid.
    #[error(
        "must have a DNS name or an IP address as its host, as in https://lan.example.org or \
         http://192.168.1.7:8667"
    )]
    Host,
    /// Its address has an IPv6 zone, which a URL can't carry to the server.
    #[error(
        "must have an IPv6 address without a zone (what follows %): use a global or unique local \
         address, or a DNS name"
    )]
    Zone,
    /// Its port is invalid.
    #[error("must have a port from 1 to 65535, as in http://lan.example.org:8667, or none")]
    Port,
    /// It has a user or a password in it.
    #[error("must have no user and no password in it: the daemon gets its own tokens")]
    Credentials,
    /// It has parts beyond the address.
    #[error("must end with its host or its path: nothing after ? or #")]
    Surplus,
    /// It is too long.
    #[error("must be at most 2048 characters")]
    TooLong,
    /// It is otherwise invalid.
    #[error("must be a URL such as https://lan.example.org: {0}")]
    Malformed(String),
}

impl FromStr for ServerUrl {
    type Err = BadServerUrl;

    fn from_str(text: &str) -> Result<Self, BadServerUrl> {
        // The parser would silently skip some of these.
        if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
            return Err(BadServerUrl::Space);
        }
        // The parser would take later parts for the host.
        if text
            .split_once("://")
            .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(['/', '\\']))
        {
            return Err(BadServerUrl::NoHost);
        }
        let authority =
            text.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
        if authority.is_some_and(|it| it.starts_with('[') && it.contains('%')) {
            return Err(BadServerUrl::Zone);
        }
        let url = Self::kept(text)?;
        if url.0.port() == Some(0) {
            return Err(BadServerUrl::Port);
        }
        match url.0.host() {
            Some(Host::Domain(name)) if !is_dns_name(name) => Err(BadServerUrl::Host),
            _ => Ok(url),
        }
    }
}

/// True if a name can be looked up (RFC 1123, section 2.1). Home networks use underscores, too.
fn is_dns_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> ServerUrl {
        text.parse().expect("an address")
    }

    #[test]
    fn routes_go_below_its_path() {
        for (text, websocket, route) in [
            ("http://h", "ws://h/ws", "http://h/parties/a%2Fb"),
            ("https://h:8443/", "wss://h:8443/ws", "https://h:8443/parties/a%2Fb"),
            ("HTTPS://H/base/", "wss://h/base/ws", "https://h/base/parties/a%2Fb"),
            ("http://[::1]:1/b/c", "ws://[::1]:1/b/c/ws", "http://[::1]:1/b/c/parties/a%2Fb"),
        ] {
            let url = url(text);
            assert_eq!(url.websocket().as_str(), websocket);
            assert_eq!(url.route(&["parties", "a/b"]).as_str(), route);
        }
    }

    #[test]
    fn zones_are_refused_in_words() {
        for text in ["http://[fe80::1%eth0]:8667", "https://[fe80::1%25eth0]/base"] {
            assert_eq!(text.parse::<ServerUrl>(), Err(BadServerUrl::Zone), "{text}");
        }
        assert!("http://h/%5B".parse::<ServerUrl>().is_ok());
    }

    #[test]
    fn equal_server_urls_have_equal_keys() {
        assert_eq!(url("http://H:80/").key(), url("HTTP://h").key());
        assert_eq!(url("https://h/base/").to_string(), "https://h/base");
        assert_ne!(url("http://h").key(), url("https://h").key());
    }

    #[test]
    fn hosts_are_names_or_addresses() {
        for (text, host) in [
            ("http://192.168.1.7:8667", "192.168.1.7"),
            ("http://[fe80::1]", "fe80::1"),
            ("http://my_server.fritz.box", "my_server.fritz.box"),
            ("http://_lan", "_lan"),
            ("http://a--b.example.", "a--b.example."),
            ("http://größe.example", "xn--gre-6ka8i.example"),
            ("http://XN--GRE-6KA8I.example", "xn--gre-6ka8i.example"),
            ("https://大きさ.example", "xn--w8jq2642a.example"),
        ] {
            assert_eq!(url(text).host_and_port().0, host);
        }
    }

    #[test]
    fn a_stored_url_is_still_accepted() {
        for text in ["http://h:0", "http://..", "http://-", "http://h!"] {
            assert_eq!(ServerUrl::kept(text).expect("one that is kept").to_string(), text);
        }
        assert_eq!(ServerUrl::kept("ftp://h"), Err(BadServerUrl::Scheme));
        assert_eq!(ServerUrl::kept("http://u@h"), Err(BadServerUrl::Credentials));
    }

    #[test]
    fn an_invalid_address_is_refused_without_its_password() {
        for (text, words) in [
            ("lan.example.org", "must start with http://"),
            ("ws://lan.example.org", "must start with http://"),
            ("", "must start with http://"),
            ("http://", "must have a host right after ://"),
            ("http:///p", "must have a host right after ://"),
            ("http://\\p", "must have a host right after ://"),
            ("http://:80", "must be a URL"),
            ("http://h:65536", "must be a URL"),
            ("http://h:0", "must have a port from 1 to 65535"),
            ("https://h:0/base", "must have a port from 1 to 65535"),
            ("http://a b", "must have no spaces"),
            (" http://h", "must have no spaces"),
            ("http://h\n", "must have no spaces"),
            ("http://h/a\tb", "must have no spaces"),
            ("http://..", "a DNS name or an IP address"),
            ("http://.h", "a DNS name or an IP address"),
            ("http://-", "a DNS name or an IP address"),
            ("http://h-.example", "a DNS name or an IP address"),
            ("http://h!", "a DNS name or an IP address"),
            (&format!("http://{}", "h".repeat(64)), "a DNS name or an IP address"),
            (&format!("http://{}h", "h.".repeat(127)), "a DNS name or an IP address"),
            ("http://user:secret@h", "no user and no password"),
            ("http://user@h", "no user and no password"),
            ("http://h?a=1", "nothing after"),
            ("http://h/#a", "nothing after"),
            (&format!("http://{}", "h".repeat(2048)), "at most 2048"),
        ] {
            let error = text.parse::<ServerUrl>().expect_err(text).to_string();
            assert!(error.contains(words) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
