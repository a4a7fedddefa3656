//! HTTP proxies for control servers.
//!
//! A proxy forwards requests to `http://` servers. Requests to `https://` servers and all
//! WebSockets use a tunnel, by `CONNECT`.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ipnet::IpNet;
use reqwest::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use url::Url;

use super::Loss;
use crate::remote::diagnostics;
use crate::server_url::ServerUrl;

/// Longest head of a proxy's response, in bytes.
const LONGEST_HEAD: usize = 8 << 10;

/// URL of an HTTP proxy: `http://host:port`, optionally with credentials, which are never
/// displayed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ProxyUrl {
    /// URL without credentials.
    address: ServerUrl,
    /// Credentials, as in `user:password`.
    credentials: Option<String>,
}

/// Error of a text that is not a proxy's URL. It does not repeat the text, which may hold a
/// password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the URL of an HTTP proxy, such as http://proxy.example.org:3128")]
pub(crate) struct BadProxyUrl;

/// Setting of the proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum ProxyChoice {
    /// Proxy of the environment variables.
    #[default]
    System,
    /// No proxy.
    None,
    /// This proxy for all servers.
    Always(ProxyUrl),
}

/// Proxies for servers, by the setting and the environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies {
    choice: ProxyChoice,
    system: SystemProxies,
}

/// Proxies of the environment: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in
/// either case.
#[derive(Debug, Clone, Default)]
pub(crate) struct SystemProxies {
    http: Option<ProxyVariable>,
    https: Option<ProxyVariable>,
    /// Entries of `NO_PROXY`, in lower case: hosts without a proxy.
    direct: Vec<String>,
}

/// Environment variable with its proxy; `None` for a proxy of an unsupported kind.
#[derive(Debug, Clone)]
struct ProxyVariable {
    name: &'static str,
    proxy: Option<ProxyUrl>,
}

impl FromStr for ProxyUrl {
    type Err = BadProxyUrl;

    fn from_str(text: &str) -> Result<Self, BadProxyUrl> {
        // Other programs accept a proxy without a scheme, too.
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let mut url = Url::parse(&text).map_err(|_| BadProxyUrl)?;
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
        };
        let user = decoded(url.username());
        let password = decoded(url.password().unwrap_or_default());
        let credentials = !(user.is_empty() && password.is_empty());
        let credentials = credentials.then(|| format!("{user}:{password}"));
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| BadProxyUrl)?;
        if url.scheme() != "http" || !matches!(url.path(), "" | "/") {
            return Err(BadProxyUrl);
        }
        let address = url.as_str().parse().map_err(|_| BadProxyUrl)?;
        Ok(Self { address, credentials })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.address, f)
    }
}

impl ProxyUrl {
    /// Returns the URL without credentials.
    pub(crate) fn address(&self) -> &ServerUrl {
        &self.address
    }

    /// Returns the value of `Proxy-Authorization`, where the URL has credentials.
    pub(crate) fn authorization(&self) -> Option<String> {
        let credentials = BASE64_STANDARD.encode(self.credentials.as_deref()?);
        Some(format!("Basic {credentials}"))
    }

    /// Opens a tunnel to a server: afterwards the stream is connected to the server.
    ///
    /// # Errors
    /// A [`Loss`] if the proxy refuses or fails.
    pub(crate) async fn tunnel<S>(&self, stream: &mut S, url: &ServerUrl) -> Result<(), Loss>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let head = self.exchange(stream, url).await.map_err(|error| {
            Loss::new(format!("the proxy: {}", diagnostics::failure(&error, &self.address)))
        })?;
        let status = status(&head).ok_or_else(|| {
            Loss::new(format!(
                "{} is no HTTP proxy: correct remote.proxy or the variable that names it",
                diagnostics::host_port(&self.address)
            ))
        })?;
        let words = match status {
            status if status.is_success() => return Ok(()),
            StatusCode::PROXY_AUTHENTICATION_REQUIRED if self.credentials.is_some() => {
                "does not take the login: correct the user and the password in its URL"
            }
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                "asks for a login: write the user and the password into its URL, in remote.proxy"
            }
            _ => "does not connect to it: see the proxy's rules, or set remote.proxy = \"none\"",
        };
        let (proxy, server) = (diagnostics::host_port(&self.address), diagnostics::host_port(url));
        let words = format!("the proxy {proxy} on the way to {server} {words} ({status})");
        Err(Loss {
            is_final: status == StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            ..Loss::new(words)
        })
    }

    async fn exchange<S>(&self, stream: &mut S, url: &ServerUrl) -> io::Result<Vec<u8>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let server = diagnostics::host_port(url);
        let mut request = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n");
        if let Some(authorization) = self.authorization() {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        // Byte by byte, because the bytes after the head belong to the server.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == LONGEST_HEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            head.push(stream.read_u8().await?);
        }
        Ok(head)
    }
}

/// Parses the status of a response.
fn status(head: &[u8]) -> Option<StatusCode> {
    let line = head.split(|&byte| byte == b'\r').next()?;
    let rest = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    rest.split(' ').nth(1)?.parse().ok()
}

impl FromStr for ProxyChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "system" => Ok(Self::System),
            "none" => Ok(Self::None),
            url => url.parse().map(Self::Always).map_err(|BadProxyUrl| {
                format!("{BadProxyUrl}, or \"system\" for what HTTPS_PROXY says, or \"none\"")
            }),
        }
    }
}

impl serde::Serialize for ProxyChoice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::System => serializer.serialize_str("system"),
            Self::None => serializer.serialize_str("none"),
            Self::Always(proxy) => serializer.collect_str(proxy),
        }
    }
}

impl SystemProxies {
    /// Reads the variables through `lookup`.
    pub(crate) fn of(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            let found = names.iter().find_map(|name| Some((*name, lookup(name)?)));
            found.map(|(name, url)| ProxyVariable { name, proxy: url.parse().ok() })
        };
        let direct = lookup("no_proxy").or_else(|| lookup("NO_PROXY")).unwrap_or_default();
        Self {
            http: first(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            https: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            direct: direct.split(',').map(|host| host.trim().to_ascii_lowercase()).collect(),
        }
    }

    /// Returns the variable that applies to a server.
    fn variable(&self, url: &ServerUrl) -> Option<&ProxyVariable> {
        let (host, port) = url.host_and_port();
        let variable = if url.is_secure() { &self.https } else { &self.http };
        variable.as_ref().filter(|_| !is_loopback(&host) && !self.is_direct(&host, port))
    }

    /// True for a host without a proxy. An entry is a host name, a parent domain, an address, a
    /// network, or `*` for all; it may end with a port.
    fn is_direct(&self, host: &str, port: u16) -> bool {
        let address: Option<IpAddr> = host.parse().ok();
        let host = host.to_ascii_lowercase();
        self.direct.iter().any(|entry| {
            let entry = entry.strip_suffix(&format!(":{port}")).unwrap_or(entry);
            let name = entry.trim_start_matches("*.").trim_start_matches('.');
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            match (address, bare) {
                (_, "") => false,
                (_, "*") => true,
                (Some(address), bare) => {
                    bare.parse::<IpNet>().is_ok_and(|net| net.contains(&address))
                        || bare.parse() == Ok(address)
                }
                (None, name) => host
                    .strip_suffix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            }
        })
    }
}

impl Proxies {
    /// Creates the proxies of a setting and the environment.
    pub(crate) fn new(choice: ProxyChoice, system: SystemProxies) -> Self {
        Self { choice, system }
    }

    /// Returns the proxy for a server. The environment's proxy does not apply to a server on this
    /// machine.
    pub(crate) fn to(&self, url: &ServerUrl) -> Option<&ProxyUrl> {
        match &self.choice {
            ProxyChoice::None => None,
            ProxyChoice::Always(proxy) => Some(proxy),
            ProxyChoice::System => self.system.variable(url)?.proxy.as_ref(),
        }
    }

    /// Describes the proxy for a server, and the setting or variable that names it.
    pub(crate) fn describe(&self, url: &ServerUrl) -> String {
        match (&self.choice, self.system.variable(url)) {
            (ProxyChoice::None, _) => "none, as remote.proxy says".to_owned(),
            (ProxyChoice::Always(proxy), _) => format!("{proxy}, as remote.proxy says"),
            (ProxyChoice::System, None) => "none".to_owned(),
            (ProxyChoice::System, Some(ProxyVariable { name, proxy: Some(proxy) })) => {
                format!("{proxy}, as {name} says")
            }
            (ProxyChoice::System, Some(ProxyVariable { name, proxy: None })) => {
                format!("none: {name} names one that is no HTTP proxy")
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
