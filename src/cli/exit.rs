//! Results of commands: exit codes and error output.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use lanrage_ipc::{ErrorCode, RpcError};
use serde::Serialize;

use super::output::{RED, coloured, paint};
use crate::config::ConfigError;
use crate::terminal::{visible, visible_json};

/// Exit codes other than 0, which scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// The daemon refused, or the command failed.
    Failed = 1,
    /// The command line or the configuration is invalid.
    Usage = 2,
    /// The daemon is absent or gone.
    Unreachable = 3,
    /// The caller may not do this.
    Denied = 4,
    /// The time limit has passed.
    TimedOut = 5,
    /// The daemon speaks another protocol version.
    Protocol = 6,
}

/// Failure of a command.
#[derive(Debug)]
pub(super) enum Failure {
    /// Error to print.
    Error(Exit, Box<Report>),
    /// The error is printed already.
    Told(Exit),
    /// The reader of the output is gone: nothing is left to do or to print.
    NobodyReads,
}

/// Error in the format of the daemon's replies, from any source.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// JSON-RPC number; `null` if the error is not the daemon's.
    code: Option<i32>,
    message: String,
    data: ReportData,
}

#[derive(Debug, Serialize)]
struct ReportData {
    code: String,
    retryable: bool,
    hint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl Failure {
    /// Creates an error of this program.
    pub(super) fn new(
        exit: Exit,
        code: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let retryable = matches!(exit, Exit::Unreachable | Exit::TimedOut);
        let data = ReportData { code: code.to_owned(), retryable, hint: hint.into(), field: None };
        Self::Error(exit, Box::new(Report { code: None, message: message.into(), data }))
    }

    /// Returns the failure of an invalid command line.
    pub(super) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", message, hint)
    }

    /// Returns the failure of a file, or of standard input or output.
    pub(super) fn file(what: &str, error: &io::Error) -> Self {
        Self::new(Exit::Failed, "io", format!("{what}: {error}"), "")
    }

    /// Replaces the hint of an error with that code.
    pub(super) fn hint(mut self, code: ErrorCode, hint: &str) -> Self {
        if let Self::Error(_, report) = &mut self
            && report.code == Some(code.number())
        {
            report.data.hint = hint.to_owned();
        }
        self
    }

    /// Returns the message and the hint.
    pub(super) fn into_words(self) -> (String, String) {
        match self {
            Self::Error(_, report) => (report.message, report.data.hint),
            Self::Told(_) | Self::NobodyReads => Default::default(),
        }
    }

    /// Converts the failure to that of a timeout.
    pub(super) fn timed_out(self, patience: Duration) -> Self {
        let Self::Error(_, mut report) = self else { return self };
        report.message = format!("waited {patience:?} in vain: {}", report.message);
        report.code = None;
        report.data.code = ErrorCode::Timeout.as_str().to_owned();
        report.data.retryable = true;
        Self::Error(Exit::TimedOut, report)
    }

    /// Prints the failure on standard error.
    pub(super) fn report(self, json: bool) -> ExitCode {
        let (exit, report) = match self {
            Self::Error(exit, report) => (exit, report),
            Self::Told(exit) => return ExitCode::from(exit as u8),
            Self::NobodyReads => return ExitCode::SUCCESS,
        };
        let text = if json {
            #[derive(Serialize)]
            struct Document {
                error: Report,
            }
            let document = serde_json::to_string(&Document { error: *report });
            visible_json(&document.unwrap_or_default())
        } else {
            report.for_people(coloured(io::stderr().is_terminal()))
        };
        // There is no other place for the message.
        let _ = writeln!(io::stderr(), "{text}");
        ExitCode::from(exit as u8)
    }
}

impl Report {
    fn for_people(&self, colour: bool) -> String {
        let mut lines = self.message.lines();
        let first = visible(lines.next().unwrap_or_default());
        let mut text = format!("{} {first}", paint(colour, RED, "lanragectl:"));
        for line in lines {
            text.push_str(&format!("\n  {}", visible(line)));
        }
        if !self.data.hint.is_empty() {
            text.push_str(&format!("\nhint: {}", visible(&self.data.hint)));
        }
        text
    }
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        let RpcError { code, message, data } = error;
        let exit = match data.code {
            ErrorCode::PermissionDenied => Exit::Denied,
            ErrorCode::Timeout => Exit::TimedOut,
            ErrorCode::UnsupportedProtocol => Exit::Protocol,
            ErrorCode::ShuttingDown => Exit::Unreachable,
            _ => Exit::Failed,
        };
        let data = ReportData {
            code: data.code.as_str().to_owned(),
            retryable: data.retryable,
            hint: match data.hint == data.code.hint() {
                true => hint(data.code).to_owned(),
                false => data.hint,
            },
            field: data.field,
        };
        Self::Error(exit, Box::new(Report { code: Some(code), message, data }))
    }
}

/// Returns the usual remedy. The daemon's hints name methods; these name commands.
fn hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidParams => "correct the field that the message names",
        ErrorCode::PartyNotFound => "`lanragectl party list` shows the parties",
        ErrorCode::PeerNotFound => "`lanragectl peer list PARTY` shows its peers",
        ErrorCode::NotAMember => "join with `lanragectl party join PARTY` first",
        ErrorCode::PartyExists => "choose another --party-id, or leave it out",
        ErrorCode::Offline => "`lanragectl wait --for online` waits until the connection is back",
        ErrorCode::UnknownMethod => "`lanragectl raw rpc.discover` describes the methods",
        code => code.hint(),
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, "invalid_config", error.to_string(), "")
    }
}

/// Prints clap's message: help is no failure.
pub(super) fn refuse_usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().take_while(|arg| arg != "--").any(|arg| arg == "--json");
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let message = match text.strip_prefix("error: ") {
            Some(text) => text.split("\n\n").next().unwrap_or(text),
            None => "a command is missing",
        };
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        return Failure::usage(message, "--help shows what there is").report(true);
    }
    let text = error.render().to_string();
    // The error may repeat an untrusted argument; then it is printed without colours.
    let shown = text.lines().map(visible).collect::<Vec<_>>().join("\n") + "\n";
    // There is no other place for the message.
    let _ = match shown.trim_end() == text.trim_end() {
        true => error.print(),
        false => write!(io::stderr(), "{shown}"),
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(failure: Failure) -> (Exit, Report) {
        match failure {
            Failure::Error(exit, report) => (exit, *report),
            Failure::Told(_) | Failure::NobodyReads => panic!("nothing to tell"),
        }
    }

    #[test]
    fn error_codes_of_the_daemon_map_to_exit_codes() {
        for code in ErrorCode::ALL {
            let expected = match code.as_str() {
                "permission_denied" => 4,
                "timeout" => 5,
                "unsupported_protocol" => 6,
                "shutting_down" => 3,
                _ => 1,
            };
            let (exit, report) = parts(RpcError::new(*code, "no").into());
            assert_eq!(exit as u8, expected, "{code:?}");
            assert_eq!(report.code, Some(code.number()));
            assert!(!report.data.hint.contains("party.list"), "{code:?} speaks of methods");
        }
    }

    #[test]
    fn command_s_hint_replaces_a_default_hint_of_the_daemon_only() {
        let error = RpcError::new(ErrorCode::PartyNotFound, "no").hint("because");
        assert_eq!(parts(error.into()).1.data.hint, "because");
        let failure = || Failure::from(RpcError::new(ErrorCode::FrameTooLarge, "no"));
        assert_eq!(parts(failure().hint(ErrorCode::FrameTooLarge, "x")).1.data.hint, "x");
        assert_ne!(parts(failure().hint(ErrorCode::Internal, "x")).1.data.hint, "x");
    }

    #[test]
    fn error_text_for_people_escapes_control_characters() {
        let failure = Failure::new(Exit::Failed, "c", "one\u{1b}[2J\ntwo", "three");
        let text = parts(failure).1.for_people(false);
        assert_eq!(text, "lanragectl: one\\u{1b}[2J\n  two\nhint: three");
    }
}
