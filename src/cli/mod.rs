//! Command line client: a command becomes requests to the daemon, their results a table or JSON.
//!
//! One file per group of commands. Shared: `daemon` connects to the daemon, `output` prints, `exit`
//! maps failures to exit codes, `input` parses values of the command line.

mod completions;
mod connection;
mod daemon;
mod doctor;
mod exit;
mod identity;
mod input;
mod output;
mod party;
mod peer;
mod raw;
mod relay;
mod signal;
mod state;
mod status;
mod wait;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{self, CliArgs, Environment};
use crate::os::guard_memory;
use daemon::Daemon;
use exit::Failure;
use output::Output;

/// Creates, joins and watches the parties that lanragectl-d keeps for games
#[derive(Debug, Parser)]
#[command(name = "lanragectl", version, max_term_width = 80)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Args {
    #[command(flatten, next_help_heading = "Global options")]
    common: Common,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    daemon: CliArgs,

    /// How long to wait for an answer, such as 500ms or 1m [default: 10s, or 30s for wait]
    #[arg(long, value_name = "TIME", global = true, value_parser = input::duration)]
    timeout: Option<Duration>,

    /// Print the result as one JSON document; an error is one on standard error
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show how the daemon is
    Status,
    /// Create, join, leave and find parties
    #[command(subcommand)]
    Party(party::Command),
    /// Show the peers of a party, and act for one
    #[command(subcommand)]
    Peer(peer::Command),
    /// Pass JSON from peer to peer
    #[command(subcommand)]
    Signal(signal::Command),
    /// Announce and show relays
    #[command(subcommand)]
    Relay(relay::Command),
    /// Show how things are, then every change, until interrupted
    Watch(watch::Watch),
    /// Wait for the daemon, a party, or the control server
    Wait(wait::Wait),
    /// Move the daemon's state as a whole
    #[command(subcommand)]
    State(state::Command),
    /// Show and change the connection to the control server
    Connection {
        #[command(subcommand)]
        command: Option<connection::Command>,
    },
    /// Find out what is in the way to the control server
    Doctor(doctor::Doctor),
    /// Call a method of the daemon, and print its result as it came
    Raw(raw::Raw),
    /// Print a script that completes commands in a shell
    Completions(completions::Completions),
}

/// Runs the program: arguments in, exit code out.
pub(crate) fn main() -> ExitCode {
    // An answer of the daemon may contain secrets of its reader.
    guard_memory();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return exit::refuse_usage(&error),
    };
    let output = Output { json: args.common.json };
    match run(args, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(output.json),
    }
}

fn run(args: Args, output: Output) -> Result<(), Failure> {
    if let Command::Completions(completions) = args.command {
        return completions.run(&mut Args::command(), output);
    }
    let Common { daemon: place, timeout, .. } = args.common;
    let config = config::load_cli(&place, &Environment::process())?;
    let daemon = Daemon { config, place, timeout, output };
    match args.command {
        Command::Status => status::run(&daemon),
        Command::Party(command) => command.run(&daemon),
        Command::Peer(command) => command.run(&daemon),
        Command::Signal(command) => command.run(&daemon),
        Command::Relay(command) => command.run(&daemon),
        Command::Watch(watch) => watch.run(&daemon),
        Command::Wait(wait) => wait.run(&daemon),
        Command::State(command) => command.run(&daemon),
        Command::Connection { command } => command.unwrap_or_default().run(&daemon),
        Command::Doctor(doctor) => doctor.run(&daemon),
        Command::Raw(raw) => raw.run(&daemon),
        Command::Completions(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn help_fits_80_columns() {
        fn check(command: &mut clap::Command) {
            for help in [command.render_help(), command.render_long_help()] {
                for line in help.to_string().lines() {
                    assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
                }
            }
            command.get_subcommands_mut().for_each(check);
        }
        let mut command = Args::command();
        command.build();
        check(&mut command);
    }

    #[test]
    fn option_values_match_the_wire() {
        for (line, option) in [
            ("party join p --public-key k", "--keepalive connection,daemon,manual"),
            (
                "party join p --public-key k",
                "--nat-type open,full_cone,restricted_cone,port_restricted_cone,symmetric,unknown",
            ),
            ("watch", "--topic party,peer,signal,relay,connection"),
            ("state import f", "--mode merge,replace"),
            ("wait --party p", "--for ready,party,online"),
        ] {
            let (option, words) = option.split_once(' ').unwrap();
            for word in words.split(',') {
                let args = format!("lanragectl {line} {option} {word}");
                Args::try_parse_from(args.split(' ')).unwrap();
            }
        }
    }

    #[test]
    fn start_command_finds_the_same_socket() {
        for (line, command) in [
            ("", "lanragectl-d"),
            ("--system ", "lanragectl-d --system"),
            ("--socket /s ", "lanragectl-d --socket /s"),
            ("--system --socket /s ", "lanragectl-d --socket /s"),
        ] {
            let args = Args::try_parse_from(format!("lanragectl {line}status").split(' ')).unwrap();
            let place = args.common.daemon;
            let config = config::CliConfig { socket: "/s".into(), config_file: None };
            let output = Output { json: false };
            let daemon = Daemon { config, place, timeout: None, output };
            assert_eq!(daemon.start_command(), command);
        }
    }
}
