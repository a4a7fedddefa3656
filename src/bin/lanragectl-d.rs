//! `lanragectl-d`, the daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    lanragectl::programs::lanragectl_d()
}
