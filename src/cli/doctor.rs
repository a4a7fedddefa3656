//! `doctor`: checks the path to the control server step by step, and reports the first fault.
//!
//! `checks` has the steps beyond this machine, `exchange` their requests, `certificate` the expiry
//! time of a certificate, `report` the results.

mod certificate;
mod checks;
mod exchange;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use lanrage_ipc::method::ConnectionGet;
use lanrage_ipc::model::Connection;
use lanrage_ipc::params::Empty;

use super::connection::{describe, read};
use super::daemon::Daemon;
use super::exit::{Exit, Failure};
use crate::config::Environment;
use crate::remote::transport::proxy::{Proxies, ProxyChoice, SystemProxies};
use crate::server_url::ServerUrl;
use checks::ServerProbe;
use report::{CheckFailure, End, Finding, Report};

/// Default time limit of a step.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// The control server's URL [default: the one that the daemon follows]
    // Checked later: a usage error would repeat it, and it may have a password.
    url: Option<String>,
    /// Certificates, as PEM, to trust beside those that this system trusts
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// HTTP proxy on the way: its URL, none, or system for what HTTPS_PROXY and
    /// its like say [default: the daemon's]
    // Checked later: a usage error would repeat it, and it may have a password.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
}

impl Doctor {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::file("this program's event loop", &error))?;
        let mut report = Report::new(daemon.output);
        let end = runtime.block_on(self.examine(daemon, &mut report));
        // The program does not wait for a name lookup that is still running.
        runtime.shutdown_background();
        match end {
            Err(End::Unread(failure)) => return Err(failure),
            Ok(()) | Err(End::Failed) => {}
        }
        if report.finish()? { Ok(()) } else { Err(Failure::Told(Exit::Failed)) }
    }

    /// Runs the steps until one fails that the next ones need.
    async fn examine(self, daemon: &Daemon, report: &mut Report) -> Result<(), End> {
        let patience = daemon.timeout.unwrap_or(TIMEOUT);
        let connection =
            report.step("daemon", async { ask(daemon, patience, self.url.is_some()) }).await?;
        let followed = connection.as_ref().and_then(|connection| connection.server_url.clone());
        let Some(url) = self.url.clone().or_else(|| followed.clone()) else {
            report.is_done("there is nothing to check in local mode");
            return Ok(());
        };
        let Some(url) = report.step("url", async { check_url(&url) }).await? else { return Ok(()) };
        report.server_url = Some(url.to_string());
        // The daemon's settings apply, as far as it reports them.
        let known = connection.as_ref();
        let ca_file = self.ca_file.or_else(|| known?.ca_file.clone().map(PathBuf::from));
        let is_followed = self.url.is_none() || self.url == followed;
        let proxy = self.proxy.as_deref();
        let told = known.filter(|connection| is_followed && connection.transport.is_some());
        let proxies = report.step("proxy", async { choose_proxy(proxy, told, &url) }).await?;
        let mut way = ServerProbe::new(url, patience, proxies.unwrap_or_default());
        report.step("name", way.resolve()).await?;
        report.step("connect", way.connect()).await?;
        report.step("tls", way.secure(ca_file.as_deref())).await?;
        report.step("http", way.greet()).await?;
        report.passable("clock", async { way.compare_clocks() }).await?;
        report.step("register", way.register()).await?;
        report.step("upgrade", way.upgrade()).await?;
        report.step("token", way.show_token(connection.as_ref())).await?;
        Ok(())
    }
}

/// Asks the daemon for its control server. An absent daemon is no fault if it `may_be_gone`.
fn ask(
    daemon: &Daemon,
    patience: Duration,
    may_be_gone: bool,
) -> Result<Finding<Connection>, CheckFailure> {
    let connection = daemon
        .reach(patience)
        .and_then(|(mut client, _)| client.call_for_text::<ConnectionGet>(&Empty {}))
        .map_err(|error| daemon.failure(error).into_words())
        .and_then(|raw| {
            let newer =
                |error| (format!("connection.get: {error}"), "update lanragectl".to_owned());
            serde_json::from_str::<Connection>(raw.get()).map_err(newer)
        });
    match connection {
        Err((words, _)) if may_be_gone => Ok(Finding::Skipped(words)),
        Err((words, hint)) => {
            Err(CheckFailure::new(words, format!("{hint}; or name the server's URL")))
        }
        Ok(connection) => {
            let words = describe(&connection);
            Ok(Finding::Good(connection, words))
        }
    }
}

/// Chooses the proxy: the given one, the daemon's, or the environment's.
fn choose_proxy(
    given: Option<&str>,
    daemon: Option<&Connection>,
    url: &ServerUrl,
) -> Result<Finding<Proxies>, CheckFailure> {
    let env = Environment::process();
    let system = SystemProxies::of(|name| env.get(name)?.into_string().ok());
    let here = Proxies::new(ProxyChoice::System, system.clone());
    let choice = match (given, daemon) {
        (Some(given), _) => given.parse(),
        (None, Some(Connection { proxy: Some(proxy), .. })) => {
            // The daemon does not reveal its password; the environment may have it.
            let is_same = here.to(url).is_some_and(|known| known.to_string() == *proxy);
            if is_same { Ok(ProxyChoice::System) } else { proxy.parse() }
        }
        (None, Some(_)) => Ok(ProxyChoice::None),
        (None, None) => Ok(ProxyChoice::System),
    };
    let choice =
        choice.map_err(|why| CheckFailure::new(format!("--proxy: {why}"), "correct --proxy"))?;
    let source = match choice {
        ProxyChoice::System => here.describe(url),
        ProxyChoice::None => "none".to_owned(),
        ProxyChoice::Always(ref proxy) => proxy.to_string(),
    };
    let proxies = Proxies::new(choice, system);
    Ok(match proxies.to(url) {
        Some(_) => {
            Finding::Good(proxies, format!("{source}: the next two steps are about this proxy"))
        }
        None => Finding::Skipped(source),
    })
}

fn check_url(url: &str) -> Result<Finding<ServerUrl>, CheckFailure> {
    let url = read(url).map_err(|failure| {
        let (words, hint) = failure.into_words();
        CheckFailure::new(words, hint)
    })?;
    let (host, _) = url.host_and_port();
    let is_here = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let words = match url.is_secure() || is_here {
        true => url.to_string(),
        false => format!("{url}, whose traffic others on the way can read and change"),
    };
    Ok(Finding::Good(url, words))
}
