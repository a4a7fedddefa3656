//! The address of a control server.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use url::{Host, Url};

use crate::core::ServerKey;

/// The address of a control server: `http://` or `https://`, a host, perhaps a port and a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// Where its WebSocket is: `ws(s)://host/base/ws`.
    pub fn websocket(&self) -> Url {
        let mut url = self.route(&["ws"]);
        let scheme = if self.is_secure() { "wss" } else { "ws" };
        // Between special schemes that always works.
        url.set_scheme(scheme).ok();
        url
    }

    /// Where one of its routes is: `http(s)://host/base/segment/…`, each segment escaped.
    pub fn route(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Whether it is spoken to through TLS.
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Its host, without the brackets of an IPv6 address, and its port.
    pub fn host_and_port(&self) -> (String, u16) {
        let host = match self.0.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) => host.to_string(),
            None => String::new(),
        };
        (host, self.0.port_or_known_default().unwrap_or_default())
    }

    /// What credentials for it are kept under.
    pub fn key(&self) -> ServerKey {
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

/// Why a text is no address of a control server. It never repeats a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadServerUrl {
    /// It does not say how to speak to the server.
    #[error("must start with http:// or https://")]
    Scheme,
    /// It has a user or a password in it.
    #[error("must have no user and no password in it: the daemon gets its own tokens")]
    Credentials,
    /// It says more than where the server is.
    #[error("must end with its host or its path: nothing after ? or #")]
    Surplus,
    /// It is too long.
    #[error("must be at most 2048 characters")]
    TooLong,
    /// It is something else.
    #[error("must be a URL such as https://lan.example.org: {0}")]
    Malformed(String),
}

impl FromStr for ServerUrl {
    type Err = BadServerUrl;

    fn from_str(text: &str) -> Result<Self, BadServerUrl> {
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
    fn one_server_has_one_key() {
        assert_eq!(url("http://H:80/").key(), url("HTTP://h").key());
        assert_eq!(url("https://h/base/").to_string(), "https://h/base");
        assert_ne!(url("http://h").key(), url("https://h").key());
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_password() {
        for (text, words) in [
            ("lan.example.org", "must start with http://"),
            ("ws://lan.example.org", "must start with http://"),
            ("", "must start with http://"),
            ("http://", "must be a URL"),
            ("http://a b", "must be a URL"),
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
