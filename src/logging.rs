//! Logs on standard error: with the time for people, with the priority for the systemd journal.
//!
//! One record is one line, for any message: a client's text can't forge another.

use crate::config::Environment;
use crate::terminal::visible;
use env_logger::fmt::Formatter;
use env_logger::{Builder, WriteStyle};
use log::{Level, LevelFilter, Log, Record};
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const DEFAULT_FILTER: &str = "info";
/// Module of the web framework that logs clients' mistakes as errors: any client could fill the
/// log. Logged only by a filter that names it.
const MISTAKES_OF_CLIENTS: &str = "actix_http::h1::dispatcher";
/// Module of the web framework that logs about its threads, which does not help operators.
const FRAMEWORK: &str = "actix_server";
/// Module of the WebSocket library. Lower levels are of no use, and the lowest has tokens in it.
/// Logged at those only by a filter that names it.
const FRAMES: &str = "tungstenite";

/// Target of the web framework's message for each failed attempt to accept a connection: two a second.
const FRAMEWORK_ACCEPT: &str = "actix_server::accept";
/// Pause between two messages about a lasting condition, such as a lack of file descriptors.
pub(crate) const LASTING: Duration = Duration::from_secs(60);

/// Rate limit of a log message.
#[derive(Debug)]
pub(crate) struct Throttle {
    every: Duration,
    last: Mutex<Option<Instant>>,
}

impl Throttle {
    /// Creates a throttle that lets the first message pass.
    pub(crate) const fn new(every: Duration) -> Self {
        Self { every, last: Mutex::new(None) }
    }

    /// True once in each interval.
    pub(crate) fn passes(&self) -> bool {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.duration_since(last) >= self.every);
        if is_due {
            *last = Some(now);
        }
        is_due
    }

    /// Returns `level` once in each interval, else [`Level::Debug`].
    pub(crate) fn level(&self, level: Level) -> Level {
        if self.passes() { level } else { Level::Debug }
    }
}

/// Logger that throttles the framework's messages about failed accepts.
struct Throttled<L> {
    inner: L,
    accept: Throttle,
}

impl<L: Log> Log for Throttled<L> {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if record.target() != FRAMEWORK_ACCEPT || self.accept.passes() {
            self.inner.log(record);
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

/// Starts logging, filtered by `LANRAGE_LOG`, else `RUST_LOG`, else at level `info`. Only the first
/// call counts.
pub(crate) fn init() {
    let env = Environment::process();
    let inner = builder(&env, journal::reads_stderr(&env)).build();
    let most = inner.filter();
    // The error means that a logger exists already.
    if log::set_boxed_logger(Box::new(Throttled { inner, accept: Throttle::new(LASTING) })).is_ok()
    {
        log::set_max_level(most);
    }
}

fn builder(env: &Environment, for_the_journal: bool) -> Builder {
    let mut builder = Builder::new();
    builder
        .filter_module(MISTAKES_OF_CLIENTS, LevelFilter::Off)
        .filter_module(FRAMEWORK, LevelFilter::Warn)
        .filter_module(FRAMES, LevelFilter::Info)
        .parse_filters(&filter(env));
    if for_the_journal {
        builder.write_style(WriteStyle::Never).format(for_journal);
    } else {
        builder.format(for_people);
    }
    builder
}

fn filter(env: &Environment) -> String {
    env.get("LANRAGE_LOG")
        .or_else(|| env.get("RUST_LOG"))
        .map_or_else(|| DEFAULT_FILTER.to_owned(), |filter| filter.to_string_lossy().into_owned())
}

fn for_people(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let time = out.timestamp_millis();
    let style = out.default_level_style(record.level());
    let level = record.level();
    writeln!(out, "{time} {style}{level:<5}{style:#} {}", body(record))
}

fn for_journal(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    writeln!(out, "<{}>{}", priority(record.level()), body(record))
}

/// Returns the syslog priority, which the journal uses.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

fn body(record: &Record<'_>) -> impl Display {
    visible(&format!("{}: {}", record.target(), record.args()))
}

#[cfg(unix)]
mod journal {
    use crate::config::Environment;
    use std::fs::{File, Metadata};
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    /// True if standard error is the journal's. Children inherit the variable, so it must name this
    /// very stream, as `device:inode`.
    pub(super) fn reads_stderr(env: &Environment) -> bool {
        metadata(io::stderr()).is_ok_and(|metadata| is_journal(env, &metadata))
    }

    pub(super) fn is_journal(env: &Environment, stream: &Metadata) -> bool {
        env.get("JOURNAL_STREAM")
            .is_some_and(|journal| *journal == *format!("{}:{}", stream.dev(), stream.ino()))
    }

    fn metadata(stream: impl AsFd) -> io::Result<Metadata> {
        File::from(stream.as_fd().try_clone_to_owned()?).metadata()
    }
}

#[cfg(not(unix))]
mod journal {
    use crate::config::Environment;

    /// Returns `false`: there is no journal here.
    pub(super) fn reads_stderr(_: &Environment) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use env_logger::Target;
    use std::sync::Arc;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the output of a logger for one record.
    fn line(for_the_journal: bool, level: Level, message: &str) -> String {
        let written = Written::default();
        builder(&Environment::of(&[("LANRAGE_LOG", "trace")]), for_the_journal)
            .target(Target::Pipe(Box::new(written.clone())))
            .build()
            .log(
                &Record::builder()
                    .level(level)
                    .target("store")
                    .args(format_args!("{message}"))
                    .build(),
            );
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn journal_line(level: Level, message: &str) -> String {
        line(true, level, message)
    }

    #[test]
    fn only_a_filter_that_names_the_library_shows_tokens() {
        for (filter, is_heard) in [("trace", false), ("tungstenite=trace", true)] {
            let logger = builder(&Environment::of(&[("LANRAGE_LOG", filter)]), false).build();
            let of = log::Metadata::builder()
                .level(Level::Trace)
                .target("tungstenite::protocol")
                .build();
            assert_eq!(logger.enabled(&of), is_heard, "{filter}");
        }
    }

    #[test]
    fn framework_repeats_its_trouble_with_accepting_once_in_an_interval() {
        let logged = |every: Duration| {
            let written = Written::default();
            let inner = builder(&Environment::of(&[]), true)
                .target(Target::Pipe(Box::new(written.clone())))
                .build();
            let logger = Throttled { inner, accept: Throttle::new(every) };
            for target in [FRAMEWORK_ACCEPT, FRAMEWORK_ACCEPT, "store", "store"] {
                let message = format_args!("no");
                let record =
                    Record::builder().level(Level::Error).target(target).args(message).build();
                logger.log(&record);
            }
            let written = written.0.lock().unwrap().clone();
            String::from_utf8(written).unwrap()
        };
        let store = "<3>store: no\n".repeat(2);
        let accept = format!("<3>{FRAMEWORK_ACCEPT}: no\n");
        assert_eq!(logged(LASTING), format!("{accept}{store}"));
        assert_eq!(logged(Duration::ZERO), format!("{accept}{accept}{store}"));
    }

    #[test]
    fn own_filter_goes_before_the_common_one() {
        for (variables, expected) in [
            (&[("LANRAGE_LOG", "debug"), ("RUST_LOG", "trace")][..], "debug"),
            (&[("LANRAGE_LOG", ""), ("RUST_LOG", "trace")][..], "trace"),
            (&[("RUST_LOG", "")][..], "info"),
            (&[][..], "info"),
        ] {
            assert_eq!(filter(&Environment::of(variables)), expected);
        }
    }

    #[test]
    fn journal_lines_carry_the_priority_alone() {
        assert_eq!(journal_line(Level::Error, "lost"), "<3>store: lost\n");
        assert_eq!(journal_line(Level::Warn, "lost"), "<4>store: lost\n");
        assert_eq!(journal_line(Level::Info, "lost"), "<6>store: lost\n");
        assert_eq!(journal_line(Level::Debug, "lost"), "<7>store: lost\n");
        assert_eq!(journal_line(Level::Trace, "lost"), "<7>store: lost\n");
    }

    #[test]
    fn lines_for_people_carry_the_time_in_utc() {
        let line = line(false, Level::Warn, "lost\nfound");
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.ends_with('Z'), "{time}");
        time.parse::<jiff::Timestamp>().unwrap();
        assert_eq!(rest, "WARN  store: lost\\nfound\n");
    }

    #[test]
    fn filter_is_heeded() {
        let env = Environment::of(&[("LANRAGE_LOG", "warn,store=debug")]);
        let logger = builder(&env, false).build();
        let enabled = |target, level| {
            logger.enabled(&log::Metadata::builder().target(target).level(level).build())
        };
        assert!(enabled("store", Level::Debug) && !enabled("store", Level::Trace));
        assert!(enabled("ipc", Level::Warn) && !enabled("ipc", Level::Info));
    }

    #[test]
    fn a_message_forges_no_log_line() {
        assert_eq!(
            journal_line(Level::Info, "name a\n<3>b\r\nc\u{1b}[31md\u{85}e\u{202e}f\u{2028}"),
            "<6>store: name a\\n<3>b\\r\\nc\\u{1b}[31md\\u{85}e\\u{202e}f\\u{2028}\n"
        );
        assert_eq!(journal_line(Level::Info, "Zoë 名"), "<6>store: Zoë 名\n");
    }

    #[cfg(unix)]
    #[test]
    fn journal_is_the_stream_that_the_variable_names() {
        use std::os::unix::fs::MetadataExt;
        let stream = tempfile::tempfile().unwrap().metadata().unwrap();
        let (device, inode) = (stream.dev(), stream.ino());
        for (value, expected) in [
            (format!("{device}:{inode}"), true),
            (format!("{device}:{}", inode + 1), false),
            (format!("{}:{inode}", device + 1), false),
            (format!("{device}:{inode} "), false),
            (String::new(), false),
        ] {
            let env = Environment::of(&[("JOURNAL_STREAM", &value)]);
            assert_eq!(journal::is_journal(&env, &stream), expected, "{value}");
        }
        assert!(!journal::is_journal(&Environment::of(&[]), &stream));
    }
}
