//! The command line of the daemon, and the part of the client's that finds the daemon.
//!
//! The environment is not read by clap but by the resolution, where an empty variable counts as unset.

use std::path::PathBuf;

/// Keeps the parties of this machine's games and serves them over a local socket
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Parser)]
#[command(name = "lanragectl-d", version)]
pub struct DaemonArgs {
    /// Configuration file [env: LANRAGE_CONFIG] [default: lanrage/lanragectl-d.toml in $XDG_CONFIG_HOME, or in /etc
    /// with --system]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Socket to serve [env: LANRAGE_SOCKET] [default: lanrage/control.sock in $XDG_RUNTIME_DIR, or in /run with
    /// --system]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Directory of the database and its backups [env: LANRAGE_STATE_DIR] [default: lanrage in $XDG_STATE_HOME, or in
    /// /var/lib with --system]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// File that announces parties to this machine's other daemons [env: LANRAGE_DISCOVERY_FILE] [default:
    /// discovery.json in the state directory]
    #[arg(long, value_name = "PATH")]
    pub discovery_file: Option<PathBuf>,

    /// Serve the whole machine: the default paths are the system's
    #[arg(long)]
    pub system: bool,

    /// Print the effective configuration and exit: 0 when it is good, 2 when not
    #[arg(long)]
    pub check_config: bool,
}

/// How the client finds the daemon.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct CliArgs {
    /// Configuration file [env: LANRAGE_CONFIG] [default: lanrage/lanragectl.toml in $XDG_CONFIG_HOME, or in /etc with
    /// --system]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// The daemon's socket [env: LANRAGE_SOCKET] [default: lanrage/control.sock in $XDG_RUNTIME_DIR, or in /run with
    /// --system]
    #[arg(long, value_name = "PATH", global = true)]
    pub socket: Option<PathBuf>,

    /// Talk to the daemon of the whole machine: the default paths are the system's
    #[arg(long, global = true)]
    pub system: bool,
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
        Cli::command().debug_assert();
    }

    #[test]
    fn daemon_takes_every_flag() {
        let line = "lanragectl-d --config c --socket s --state-dir d --discovery-file f --system --check-config";
        let args = DaemonArgs::try_parse_from(line.split(' ')).unwrap();
        let expected = DaemonArgs {
            config: Some("c".into()),
            socket: Some("s".into()),
            state_dir: Some("d".into()),
            discovery_file: Some("f".into()),
            system: true,
            check_config: true,
        };
        assert_eq!(args, expected);
        let bare = DaemonArgs::try_parse_from(["lanragectl-d"]).unwrap();
        assert_eq!(bare, DaemonArgs::default());
    }

    #[test]
    fn version_names_the_program() {
        let error = DaemonArgs::try_parse_from(["lanragectl-d", "--version"]).unwrap_err();
        assert_eq!(error.to_string(), format!("lanragectl-d {}\n", env!("CARGO_PKG_VERSION")));
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
