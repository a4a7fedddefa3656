//! The command lines of the daemon and of the control server, and the part of the client's that finds the daemon.
//!
//! The environment is not read by clap but by the resolution, where an empty variable counts as unset.

use super::server::parse_listen;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Keeps the parties of this machine's games and serves them over a local socket
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Parser)]
#[command(name = "lanragectl-d", version)]
pub(crate) struct DaemonArgs {
    /// Configuration file [env: LANRAGE_CONFIG] [default: lanrage/lanragectl-d.toml in $XDG_CONFIG_HOME, or in /etc
    /// with --system]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Socket to serve [env: LANRAGE_SOCKET] [default: lanrage/control.sock in $XDG_RUNTIME_DIR, or in /run with
    /// --system]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    /// Directory of the database and its backups [env: LANRAGE_STATE_DIR] [default: lanrage in $XDG_STATE_HOME, or in
    /// /var/lib with --system]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// File that announces parties to this machine's other daemons [env: LANRAGE_DISCOVERY_FILE] [default:
    /// discovery.json in the state directory]
    #[arg(long, value_name = "PATH")]
    pub(crate) discovery_file: Option<PathBuf>,

    /// Control server to follow, such as `https://lan.example.org`; without one, the parties are this machine's own [env:
    /// LANRAGE_CONTROL_SERVER]
    // Checked later: a usage error would repeat it, and it may have a password.
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,

    /// HTTP proxy on the way to the control server: its URL, `none`, or `system` for what HTTPS_PROXY, HTTP_PROXY,
    /// ALL_PROXY and NO_PROXY say [env: LANRAGE_PROXY] [default: system]
    // Checked later, like the server's URL: a usage error would repeat it.
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,

    /// Serve the whole machine: the default paths are the system's
    #[arg(long)]
    pub(crate) system: bool,

    /// Print the effective configuration and exit: 0 when it is good, 2 when not
    #[arg(long)]
    pub(crate) check_config: bool,
}

/// Keeps the parties of many machines' games and serves them over HTTP and WebSocket
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Parser)]
#[command(name = "lanragectl-server", version)]
pub(crate) struct ServerArgs {
    /// Configuration file [env: LANRAGE_CONFIG] [default: lanrage/lanragectl-server.toml in $XDG_CONFIG_HOME, or in /etc
    /// with --system]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Address to serve, such as 127.0.0.1:8667, an IPv6 one in brackets [env: LANRAGE_LISTEN] [default: 127.0.0.1:8667]
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_listen)]
    pub(crate) listen: Option<SocketAddr>,

    /// Directory of the database and its backups [env: LANRAGE_STATE_DIR] [default: lanrage in $XDG_STATE_HOME, or in
    /// /var/lib with --system]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,

    /// Socket for this machine's administrators [default: server.sock in the state directory, or
    /// /run/lanragectl-server/control.sock with --system]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,

    /// Run as the machine's server: the default paths are the system's
    #[arg(long)]
    pub(crate) system: bool,

    /// Print the effective configuration and exit: 0 when it is good, 2 when not
    #[arg(long)]
    pub(crate) check_config: bool,
}

/// Arguments by which the client finds the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct CliArgs {
    /// Configuration file [env: LANRAGE_CONFIG] [default: lanrage/lanragectl.toml in $XDG_CONFIG_HOME, or in /etc with
    /// --system]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,

    /// The daemon's socket [env: LANRAGE_SOCKET] [default: lanrage/control.sock in $XDG_RUNTIME_DIR, or in /run with
    /// --system]
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) socket: Option<PathBuf>,

    /// Talk to the daemon of the whole machine: the default paths are the system's
    #[arg(long, global = true)]
    pub(crate) system: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};
    use std::path::Path;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        common: CliArgs,
        #[command(subcommand)]
        command: Command,
    }

    #[derive(clap::Subcommand)]
    enum Command {
        Status,
    }

    #[test]
    fn command_lines_are_sound() {
        DaemonArgs::command().debug_assert();
        ServerArgs::command().debug_assert();
        Cli::command().debug_assert();
    }

    #[test]
    fn daemon_takes_every_flag() {
        let line = "lanragectl-d --config c --socket s --state-dir d --discovery-file f --server u --proxy p --system --check-config";
        let args = DaemonArgs::try_parse_from(line.split(' ')).unwrap();
        let expected = DaemonArgs {
            config: Some("c".into()),
            socket: Some("s".into()),
            state_dir: Some("d".into()),
            discovery_file: Some("f".into()),
            server: Some("u".into()),
            proxy: Some("p".into()),
            system: true,
            check_config: true,
        };
        assert_eq!(args, expected);
        let bare = DaemonArgs::try_parse_from(["lanragectl-d"]).unwrap();
        assert_eq!(bare, DaemonArgs::default());
    }

    #[test]
    fn server_takes_every_flag() {
        let line = "lanragectl-server --config c --listen [::1]:8667 --state-dir d --socket s --system --check-config";
        let args = ServerArgs::try_parse_from(line.split(' ')).unwrap();
        let expected = ServerArgs {
            config: Some("c".into()),
            listen: Some("[::1]:8667".parse().unwrap()),
            state_dir: Some("d".into()),
            socket: Some("s".into()),
            system: true,
            check_config: true,
        };
        assert_eq!(args, expected);
        let bare = ServerArgs::try_parse_from(["lanragectl-server"]).unwrap();
        assert_eq!(bare, ServerArgs::default());
    }

    #[test]
    fn an_invalid_listen_address_is_a_usage_error() {
        for listen in ["localhost:8667", "127.0.0.1", "8667", "[::1]", "::1:8667", ""] {
            let line = ["lanragectl-server", "--listen", listen];
            let error = ServerArgs::try_parse_from(line).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            assert!(text.contains("--listen <ADDR:PORT>"), "{text}");
            assert!(listen.is_empty() || text.contains("write it as \"127.0.0.1:8667\""), "{text}");
        }
    }

    #[test]
    fn the_zone_of_a_listen_address_is_reported() {
        let line = |listen| ["lanragectl-server", "--listen", listen];
        let error = ServerArgs::try_parse_from(line("[fe80::1%eth0]:8667")).unwrap_err();
        assert!(error.to_string().contains("IPv6 zone by name"), "{error}");
        assert!(ServerArgs::try_parse_from(line("[fe80::1%2]:8667")).is_ok());
    }

    #[test]
    fn version_names_the_program() {
        let version = env!("CARGO_PKG_VERSION");
        let error = DaemonArgs::try_parse_from(["lanragectl-d", "--version"]).unwrap_err();
        assert_eq!(error.to_string(), format!("lanragectl-d {version}\n"));
        let error = ServerArgs::try_parse_from(["lanragectl-server", "--version"]).unwrap_err();
        assert_eq!(error.to_string(), format!("lanragectl-server {version}\n"));
    }

    #[test]
    fn empty_path_is_a_usage_error() {
        let error = DaemonArgs::try_parse_from(["lanragectl-d", "--socket", ""]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--socket <PATH>"), "{error}");
    }

    #[test]
    fn client_flags_stand_before_and_after_the_command() {
        for line in
            ["lanragectl --socket s --system status", "lanragectl status --socket s --system"]
        {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(matches!(cli.command, Command::Status));
            assert_eq!(cli.common.socket.as_deref(), Some(Path::new("s")));
            assert!(cli.common.system);
        }
    }
}
