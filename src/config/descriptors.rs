//! Connections within the limit of open files. Each takes one descriptor. The descriptors of all
//! other uses are reserved: otherwise one client could leave none for other clients, the database
//! and the administrators.

use super::{ConfigError, DaemonConfig, Limits, ServerConfig};

/// Descriptors of everything but connections and event loops: standard streams, listeners, locks,
/// the database, a backup in progress, the discovery file, the connection to a control server, and
/// local connections being refused or evicted.
const RESERVED: usize = 64;
const PER_EVENT_LOOP: usize = 4;
/// Two connections of the local socket may await the lookup of their user's groups for each
/// admitted one.
const PER_LOCAL_CONNECTION: usize = 3;
/// Minimum of connections: fewer are refused at the start.
const FEWEST_HTTP: usize = 64;
const FEWEST_LOCAL: usize = 8;

/// Configuration that fits into the limit of open files.
#[derive(Debug)]
pub(crate) struct Fitted<C> {
    /// Configuration, with fewer connections if necessary.
    pub(crate) config: C,
    /// Names of the lowered keys, and the remedy.
    pub(crate) warning: Option<String>,
}

/// Lowers the connections of a server to fit a limit of open files. `None` is no limit.
///
/// The result for `http.connections` depends on that key and the limit alone, so that a reload of
/// other keys keeps it.
///
/// # Errors
/// The limit has room for too few connections.
pub(crate) fn fit_server(
    config: &ServerConfig,
    limit: Option<usize>,
    event_loops: usize,
) -> Result<Fitted<ServerConfig>, ConfigError> {
    let mut config = config.clone();
    let Some(limit) = limit else { return Ok(Fitted { config, warning: None }) };
    let free = free(limit, event_loops);
    let mut lowered = Lowered::default();
    let http = &mut config.http;
    let (wanted, per_address) = (http.connections, http.connections_per_address);
    http.connections = wanted.min(http_connections(free - free / 4));
    http.connections_per_address = share(per_address, wanted, http.connections, 4);
    lowered.note("http.connections", wanted, http.connections);
    lowered.note("http.connections_per_address", per_address, http.connections_per_address);
    let left = free.saturating_sub(http.connections + closing_connections(http.connections));
    let has_local_room = fit_local(&mut config.limits.shared, config.system, left, &mut lowered);
    if config.http.connections < wanted.min(FEWEST_HTTP) || !has_local_room {
        return Err(ConfigError::FewDescriptors { limit });
    }
    Ok(Fitted { warning: lowered.warning(limit), config })
}

/// Lowers the connections of a daemon to fit a limit of open files. `None` is no limit.
///
/// # Errors
/// The limit has room for too few connections.
pub(crate) fn fit_daemon(
    config: &DaemonConfig,
    limit: Option<usize>,
) -> Result<Fitted<DaemonConfig>, ConfigError> {
    let mut config = config.clone();
    let Some(limit) = limit else { return Ok(Fitted { config, warning: None }) };
    let mut lowered = Lowered::default();
    match fit_local(&mut config.limits, config.system, free(limit, 1), &mut lowered) {
        true => Ok(Fitted { warning: lowered.warning(limit), config }),
        false => Err(ConfigError::FewDescriptors { limit }),
    }
}

/// Returns the open files of a server with all connections that its limits admit.
pub(super) fn server_files(config: &ServerConfig, event_loops: usize) -> usize {
    let (http, shared) = (config.http.connections, &config.limits.shared);
    let connections = http + closing_connections(http) + local_files(shared);
    // A quarter is kept from HTTP.
    let of_http = closing_connections(0) + http.div_ceil(8) * 9;
    reserved(event_loops) + connections.max(of_http.div_ceil(3) * 4)
}

/// Returns the open files of a daemon with all connections that its limits admit.
pub(super) fn daemon_files(config: &DaemonConfig) -> usize {
    reserved(1) + local_files(&config.limits)
}

fn local_files(limits: &Limits) -> usize {
    PER_LOCAL_CONNECTION * limits.connections
}

fn reserved(event_loops: usize) -> usize {
    RESERVED + PER_EVENT_LOOP * event_loops
}

/// Lowers the connections of the local socket to fit that many descriptors. The users of a system's
/// program share them. Returns `false` if there is room for too few.
fn fit_local(
    limits: &mut Limits,
    is_system: bool,
    descriptors: usize,
    lowered: &mut Lowered,
) -> bool {
    let wanted = limits.connections;
    let connections = wanted.min(descriptors / PER_LOCAL_CONNECTION);
    limits.connections = connections;
    lowered.note("limits.connections", wanted, connections);
    if is_system {
        for (key, value, parts) in [
            ("limits.connections_per_uid", &mut limits.connections_per_uid, 4),
            ("limits.observers_per_uid", &mut limits.observers_per_uid, 16),
        ] {
            let of_one = *value;
            *value = share(of_one, wanted, connections, parts);
            lowered.note(key, of_one, *value);
        }
    }
    connections >= wanted.min(FEWEST_LOCAL)
}

/// Lowers the connections of one client in proportion to those of all, from `of_one`. The result is
/// at least one part of `parts`, so that a higher total makes no share smaller.
fn share(of_one: usize, wanted: usize, lowered: usize, parts: usize) -> usize {
    if lowered == wanted {
        return of_one;
    }
    (of_one.saturating_mul(lowered) / wanted).max(lowered / parts).max(1).min(of_one)
}

/// Connections beyond the limit for a moment: those accepted and not yet admitted, and those being
/// closed for new ones.
pub(crate) fn closing_connections(connections: usize) -> usize {
    connections / 8 + 32
}

/// Returns the most HTTP connections that fit into that many descriptors, including those being
/// closed.
fn http_connections(descriptors: usize) -> usize {
    descriptors.saturating_sub(closing_connections(0)) / 9 * 8
}

/// Returns the descriptors available to connections.
fn free(limit: usize, event_loops: usize) -> usize {
    limit.saturating_sub(reserved(event_loops))
}

/// Returns the keys whose values were lowered.
#[derive(Default)]
struct Lowered(Vec<String>);

impl Lowered {
    fn note(&mut self, key: &str, wanted: usize, value: usize) {
        if value < wanted {
            self.0.push(format!("{key} is {value} instead of {wanted}"));
        }
    }

    fn warning(self, limit: usize) -> Option<String> {
        let keys = self.0.join(", ");
        (!keys.is_empty()).then(|| {
            format!(
                "the limit of open files is {limit}: {keys}; raise the limit (LimitNOFILE= of the unit, ulimit -Hn of a \
                 shell), or lower these keys"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DaemonArgs, Environment, ServerArgs, load, load_server};

    fn configurations() -> (ServerConfig, DaemonConfig) {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().to_str().unwrap();
        let env = Environment::of(&[("HOME", home), ("LOCALAPPDATA", home)]);
        let server = load_server(&ServerArgs::default(), &env).unwrap();
        (server, load(&DaemonArgs::default(), &env).unwrap())
    }

    #[test]
    fn every_limit_that_admits_a_start_has_room_for_all_connections() {
        let (server, daemon) = configurations();
        let (mut started, mut lowered) = (0, 0);
        for limit in 0..20_000 {
            if let Ok(Fitted { config, warning }) = fit_server(&server, Some(limit), 2) {
                let (http, local) = (&config.http, config.limits.shared.connections);
                let open = http.connections + closing_connections(http.connections);
                let open = open + PER_LOCAL_CONNECTION * local + RESERVED + 2 * PER_EVENT_LOOP;
                assert!(open <= limit, "{open} of {limit}");
                assert!(http.connections >= FEWEST_HTTP && local >= FEWEST_LOCAL, "{limit}");
                assert!(http.connections_per_address <= http.connections / 4, "{limit}");
                assert_eq!(warning.is_some(), config != server, "{limit}");
                started += 1;
                lowered += usize::from(config != server);
            }
            if let Ok(Fitted { config, .. }) = fit_daemon(&daemon, Some(limit)) {
                let local = config.limits.connections;
                assert!(PER_LOCAL_CONNECTION * local + RESERVED + PER_EVENT_LOOP <= limit);
                assert!(local >= FEWEST_LOCAL, "{limit}");
            }
        }
        assert!(started > lowered && lowered > 0, "{lowered} of {started}");
    }

    #[test]
    fn limit_of_the_units_admits_the_defaults() {
        let (server, daemon) = configurations();
        assert_eq!(fit_server(&server, Some(65_536), 64).unwrap().config, server);
        assert_eq!(fit_daemon(&daemon, Some(4_096)).unwrap().config, daemon);
        assert_eq!(fit_server(&server, None, 64).unwrap().config, server);
    }

    #[test]
    fn told_open_files_admit_all_connections_and_one_less_does_not() {
        let (mut server, daemon) = configurations();
        server.http.connections = 100_000;
        let files = server_files(&server, 8);
        assert!(fit_server(&server, Some(files), 8).unwrap().warning.is_none());
        assert!(fit_server(&server, Some(files - 9), 8).unwrap().warning.is_some());
        let files = daemon_files(&daemon);
        assert!(fit_daemon(&daemon, Some(files)).unwrap().warning.is_none());
        assert!(fit_daemon(&daemon, Some(files - 1)).unwrap().warning.is_some());
    }

    #[test]
    fn warning_names_the_limit_both_values_and_the_remedy() {
        let warning = fit_server(&configurations().0, Some(256), 2).unwrap().warning.unwrap();
        let lowered = "the limit of open files is 256: http.connections is 88 instead of 8192, \
                       http.connections_per_address is 22 instead of 2048, \
                       limits.connections is 17 instead of 256; raise the limit (LimitNOFILE= ";
        assert!(warning.starts_with(lowered), "{warning}");
    }

    #[test]
    fn users_of_the_system_keep_their_shares_and_a_users_own_program_has_one() {
        let (mut server, mut daemon) = configurations();
        let of_users = |limits: &Limits| (limits.connections_per_uid, limits.observers_per_uid);
        let fitted = |server: &ServerConfig, daemon: &DaemonConfig, limit| {
            let daemon = fit_daemon(daemon, limit).unwrap();
            (fit_server(server, limit, 2).unwrap().config, daemon.config, daemon.warning)
        };
        let (own_server, own_daemon, _) = fitted(&server, &daemon, Some(256));
        assert_eq!(of_users(&own_daemon.limits), (64, 8));
        assert_eq!(of_users(&own_server.limits.shared), (64, 8));

        (server.system, daemon.system) = (true, true);
        let (of_server, of_daemon, warning) = fitted(&server, &daemon, Some(256));
        assert_eq!((of_daemon.limits.connections, of_users(&of_daemon.limits)), (62, (15, 3)));
        let shared = &of_server.limits.shared;
        assert_eq!((shared.connections, of_users(shared)), (17, (4, 1)));
        let told = "limits.connections is 62 instead of 256, \
                    limits.connections_per_uid is 15 instead of 64, \
                    limits.observers_per_uid is 3 instead of 8; raise the limit";
        assert!(warning.as_ref().unwrap().contains(told), "{warning:?}");

        let (of_server, of_daemon, warning) = fitted(&server, &daemon, None);
        assert_eq!((of_server, of_daemon, warning), (server, daemon, None));
    }

    #[test]
    fn more_connections_make_no_share_smaller() {
        let (mut server, mut daemon) = configurations();
        daemon.system = true;
        for limit in [256, 1_024, 5_000, 20_000] {
            let shares = |server: &ServerConfig, daemon: &DaemonConfig| {
                let limits = fit_daemon(daemon, Some(limit)).unwrap().config.limits;
                let http = fit_server(server, Some(limit), 2).unwrap().config.http;
                [http.connections_per_address, limits.connections_per_uid, limits.observers_per_uid]
            };
            let (http, local) = (server.http.connections, daemon.limits.connections);
            let at_default = shares(&server, &daemon);
            for times in [2, 100] {
                (server.http.connections, daemon.limits.connections) =
                    (times * http, times * local);
                let raised = shares(&server, &daemon);
                let is_kept = raised.iter().zip(at_default).all(|(raised, kept)| *raised >= kept);
                assert!(is_kept, "{limit}: {raised:?}, by default {at_default:?}");
            }
            (server.http.connections, daemon.limits.connections) = (http, local);
        }
    }

    #[test]
    fn few_connections_that_were_asked_for_need_few_descriptors() {
        let (mut server, _) = configurations();
        server.http.connections = 16;
        server.limits.shared.connections = 2;
        assert!(fit_server(&server, Some(160), 2).unwrap().warning.is_none());
    }
}
