//! Extent of a test run, for the unit tests as well.

/// True in a long run (`LANRAGE_LONG=1`).
pub(crate) fn is_long() -> bool {
    std::env::var_os("LANRAGE_LONG").is_some_and(|value| value == "1")
}

/// Returns the number of cases: `short`, or `long` in a long run.
pub(crate) fn cases<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}
