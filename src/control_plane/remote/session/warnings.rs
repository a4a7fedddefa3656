//! Warnings of the control server's conduct. Over all connections they are bounded: a server could
//! fill the disk.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::Session;
use crate::core::{Buckets, Rate};

/// Warnings at once. After these there is one each [`EVERY`].
const MOST: usize = 50;

/// See [`MOST`].
const EVERY: Duration = Duration::from_secs(60);

/// Warnings that may still be logged. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Warnings(Rc<Budget>);

#[derive(Debug)]
struct Budget {
    bucket: RefCell<Buckets<()>>,
    /// True while the log says that some are left out.
    is_told: Cell<bool>,
}

/// The place of a warning in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Shown,
    /// The first that is left out: the log says so.
    LeftOutFirst,
    LeftOut,
}

impl Default for Warnings {
    fn default() -> Self {
        let bucket = RefCell::new(Buckets::new(Rate::new(1, EVERY, MOST), 1));
        Self(Rc::new(Budget { bucket, is_told: Cell::default() }))
    }
}

impl Warnings {
    /// Takes the place of one warning. `now` is elapsed time.
    fn admit(&self, now: Duration) -> Admission {
        let is_admitted = self.0.bucket.borrow_mut().take((), now).is_ok();
        match (is_admitted, self.0.is_told.replace(!is_admitted)) {
            (true, _) => Admission::Shown,
            (false, false) => Admission::LeftOutFirst,
            (false, true) => Admission::LeftOut,
        }
    }
}

impl Session {
    /// Logs a warning of the server's conduct. Of too many the rest go to debug, and one line says
    /// so.
    pub(in super::super) fn warn(&self, words: std::fmt::Arguments<'_>) {
        self.warnings.set(self.warnings.get().saturating_add(1));
        let admission = self.around.warnings.admit(self.around.clock.elapsed());
        let level = match admission {
            Admission::Shown => log::Level::Warn,
            Admission::LeftOutFirst | Admission::LeftOut => log::Level::Debug,
        };
        if admission == Admission::LeftOutFirst {
            log::warn!(
                "{} warnings of the control server: the rest are logged at debug, but for one a minute",
                MOST
            );
        }
        log::log!(level, "{words}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_fifty_at_once_and_then_one_a_minute() {
        let warnings = Warnings::default();
        let admit = |seconds| warnings.clone().admit(Duration::from_secs(seconds));
        assert!((0..MOST).all(|_| admit(1) == Admission::Shown));
        assert_eq!([admit(1), admit(1)], [Admission::LeftOutFirst, Admission::LeftOut]);
        assert_eq!([admit(62), admit(62)], [Admission::Shown, Admission::LeftOutFirst]);
    }
}
