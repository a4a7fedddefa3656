//! `lanragectl-server`, the control server.

use std::process::ExitCode;

fn main() -> ExitCode {
    lanragectl::programs::lanragectl_server()
}
