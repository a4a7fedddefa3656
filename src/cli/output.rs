//! Output of the commands: pages for people, JSON for programs.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::exit::Failure;
use crate::terminal::{visible, visible_json};

pub(super) const BOLD: &str = "\x1b[1m";
pub(super) const DIM: &str = "\x1b[2m";
pub(super) const RED: &str = "\x1b[1;31m";
const PLAIN: &str = "\x1b[0m";

/// Standard output, and its format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    /// True for JSON.
    pub(super) json: bool,
}

impl Output {
    /// Prints a JSON document unchanged, except for escaped characters.
    pub(super) fn print_json(self, document: &str) -> Result<(), Failure> {
        self.print(&visible_json(document))
    }

    /// Prints and flushes lines, since followers wait for them. Text of others is escaped by
    /// [`visible`].
    pub(super) fn print(self, text: &str) -> Result<(), Failure> {
        let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.write_all(end.as_bytes()))
            .and_then(|()| stdout.flush());
        written.map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => Failure::NobodyReads,
            _ => Failure::file("standard output", &error),
        })
    }

    /// Ends the program after the reader closed standard output. For commands that wait: they would
    /// notice only at the next print, and keep their connection until then.
    #[cfg(unix)]
    pub(super) fn exit_when_unread(self) {
        use nix::errno::Errno;
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        std::thread::spawn(|| {
            let stdout = io::stdout();
            // Errors and hang-ups are reported without being requested. A file has neither.
            let mut watched = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
            while poll(&mut watched, PollTimeout::NONE) == Err(Errno::EINTR) {}
            let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
            if watched[0].revents().is_some_and(|reported| reported.intersects(gone)) {
                std::process::exit(0);
            }
        });
    }

    /// Does nothing: a pipe can't be watched here. The next print notices.
    #[cfg(not(unix))]
    pub(super) fn exit_when_unread(self) {}

    /// Warns people on standard error. Programs, which read an error document there, get nothing.
    pub(super) fn warn(self, text: &str) {
        if !self.json {
            let warning = paint(coloured(io::stderr().is_terminal()), BOLD, "warning:");
            // There is no other place for the message.
            let _ = writeln!(io::stderr(), "{warning} {}", visible(text));
        }
    }

    /// Prints one document on one line.
    pub(super) fn document(self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|error| Failure::file("standard output", &error.into()))?;
        self.print_json(&text)
    }

    /// Prints the output of `write`.
    pub(super) fn page(self, write: impl FnOnce(&mut Page)) -> Result<(), Failure> {
        let mut page = Page {
            text: String::new(),
            colour: coloured(io::stdout().is_terminal()),
            now: Timestamp::now(),
        };
        write(&mut page);
        self.print(&page.text)
    }
}

/// Page for people: built completely, then printed.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    colour: bool,
    now: Timestamp,
}

impl Page {
    /// Writes a line.
    pub(super) fn line(&mut self, text: impl Display) {
        self.text.push_str(&visible(&text.to_string()));
        self.text.push('\n');
    }

    /// Writes names and values, one pair a line.
    pub(super) fn fields<'a>(&mut self, fields: impl AsRef<[(&'a str, String)]>) {
        let fields = fields.as_ref();
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in fields {
            let name = paint(self.colour, DIM, &format!("{name:<width$}"));
            self.text.push_str(&format!("{name}  {}\n", visible(value)));
        }
    }

    /// Writes a table, or `none` if it has no rows.
    pub(super) fn table<const N: usize>(
        &mut self,
        header: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
        none: &str,
    ) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(header);
        table.add_rows(rows.into_iter().map(|row| row.map(|cell| visible(&cell))));
        if table.is_empty() {
            return self.line(none);
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for (index, line) in table.lines().enumerate() {
            let line = line.trim_end();
            let line = if index == 0 { paint(self.colour, BOLD, line) } else { line.to_owned() };
            self.text.push_str(&line);
            self.text.push('\n');
        }
    }

    /// Returns the age of a time.
    pub(super) fn ago(&self, then: Timestamp) -> String {
        match Duration::try_from(self.now.duration_since(then)) {
            Ok(passed) if passed.as_secs() > 0 => format!("{} ago", span(passed)),
            _ => "now".to_owned(),
        }
    }

    /// Returns a time, by the local wall clock.
    pub(super) fn date(&self, then: Timestamp) -> String {
        let date = then.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        format!("{date} ({})", self.ago(then))
    }
}

/// Formats a duration in its two largest units.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let (large, small) = match () {
        () if days > 0 => (format!("{days}d"), (hours % 24, 'h')),
        () if hours > 0 => (format!("{hours}h"), (minutes % 60, 'm')),
        () if minutes > 0 => (format!("{minutes}m"), (seconds % 60, 's')),
        () => (format!("{seconds}s"), (0, 's')),
    };
    match small {
        (0, _) => large,
        (count, unit) => format!("{large} {count}{unit}"),
    }
}

/// True if a stream is to be coloured, given if it is a terminal.
pub(super) fn coloured(is_terminal: bool) -> bool {
    let is = |name, value: &str| std::env::var_os(name).is_some_and(|found| found == value);
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_terminal && !plain && !is("TERM", "dumb")
}

/// Returns the text in a style, if wanted.
pub(super) fn paint(colour: bool, style: &str, text: &str) -> String {
    if colour { format!("{style}{text}{PLAIN}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(now: &str) -> Page {
        Page { text: String::new(), colour: false, now: now.parse().unwrap() }
    }

    #[test]
    fn span_has_two_units_at_most() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m 1s"),
            (3600, "1h"),
            (3_725, "1h 2m"),
            (86_400, "1d"),
            (90_061, "1d 1h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn future_time_is_shown_as_now() {
        let page = page("2026-01-02T03:04:05Z");
        assert_eq!(page.ago("2026-01-02T03:02:00Z".parse().unwrap()), "2m 5s ago");
        assert_eq!(page.ago("2026-01-02T03:04:04.5Z".parse().unwrap()), "now");
        assert_eq!(page.ago("2026-01-02T03:05:00Z".parse().unwrap()), "now");
    }

    #[test]
    fn table_aligns_columns_and_escapes_control_characters() {
        let mut page = page("2026-01-02T03:04:05Z");
        page.table(
            ["A", "B"],
            [["名前", "x"], ["a\u{1b}[31m", "\u{202e}"]].map(|row| row.map(String::from)),
            "",
        );
        page.fields([("name", "a\nb".to_owned()), ("id", "c".to_owned())]);
        page.table::<1>(["A"], [], "nothing");
        let lines = [
            "A            B",
            "名前         x",
            "a\\u{1b}[31m  \\u{202e}",
            "name  a\\nb",
            "id    c",
            "nothing",
        ];
        assert_eq!(page.text.lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn painted_text_is_surrounded_by_colour_codes() {
        assert_eq!(paint(true, BOLD, "x"), "\u{1b}[1mx\u{1b}[0m");
        assert_eq!(paint(false, BOLD, "x"), "x");
        assert!(!coloured(false));
    }
}
