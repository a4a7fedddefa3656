//! The command line client.

use std::process::ExitCode;

fn main() -> ExitCode {
    lanragectl::cli::main()
}
