//! `lanragectl`, the command line client.

use std::process::ExitCode;

fn main() -> ExitCode {
    lanragectl::programs::lanragectl()
}
