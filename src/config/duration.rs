//! Durations in text: `"250ms"`, `"5s"`, `"1h30m"`.

use jiff::SignedDuration;
use jiff::fmt::friendly::{Spacing, SpanParser, SpanPrinter};
use std::time::Duration;

/// Parses a duration; a number needs its unit.
pub(super) fn parse(text: &str) -> Option<SignedDuration> {
    SpanParser::new().parse_duration(text).ok()
}

/// Formats a duration so that [`parse`] reads it back.
pub(super) fn short(duration: Duration) -> String {
    SpanPrinter::new().spacing(Spacing::None).unsigned_duration_to_string(&duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_in_all_units() {
        for (text, millis) in [
            ("250ms", 250),
            ("5s", 5_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("2 hours 5 minutes", 7_500_000),
            ("0s", 0),
            ("-5s", -5_000),
        ] {
            assert_eq!(parse(text), Some(SignedDuration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn an_invalid_duration_is_refused() {
        for text in ["", "5", "0", "5 parsecs", "s", "5s!", "1 month", "1d", "∞"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn writes_the_short_form() {
        for (millis, text) in
            [(250, "250ms"), (60_000, "1m"), (90_500, "1m30s500ms"), (86_400_000, "24h"), (0, "0s")]
        {
            assert_eq!(short(Duration::from_millis(millis)), text);
        }
    }

    proptest! {
        #[test]
        fn short_form_reads_back(seconds in 0..=u64::from(u32::MAX), nanos in 0..1_000_000_000_u32) {
            let duration = Duration::new(seconds, nanos);
            let read = parse(&short(duration)).unwrap();
            prop_assert_eq!(Duration::try_from(read).unwrap(), duration);
        }
    }
}
