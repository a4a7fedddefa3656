//! Tests of the link.

mod backoff;
mod endurance;
mod loss;
mod online;
mod properties;
mod states;
mod world;

use std::time::Duration;

use lanrage_ipc::model::ConnectionState;

use super::*;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const NANO: Duration = Duration::from_nanos(1);

fn settings() -> LinkSettings {
    LinkSettings {
        backoff_initial: secs(1),
        backoff_max: secs(60),
        max_attempts: 3,
        probe: secs(300),
        connect_timeout: secs(10),
    }
}

fn lost(words: &str) -> Loss {
    Loss::new(words)
}

fn refused(words: &str) -> Loss {
    Loss { is_final: true, ..lost(words) }
}

/// A link with its own clock and constant jitter.
struct Bench {
    link: LinkMachine,
    now: Duration,
    jitter: f64,
}

impl Bench {
    fn new(settings: LinkSettings) -> Self {
        Self { link: LinkMachine::new(settings), now: secs(1000), jitter: 0.5 }
    }

    /// Returns a link in its first attempt.
    fn trying() -> Self {
        Self::trying_with(settings())
    }

    fn trying_with(settings: LinkSettings) -> Self {
        let mut bench = Self::new(settings);
        bench.input(Input::Start);
        bench
    }

    fn online() -> Self {
        let mut bench = Self::trying();
        bench.welcome();
        bench
    }

    /// Returns a link that waits after `times` failed attempts.
    fn failed(times: u32) -> Self {
        let mut bench = Self::trying();
        bench.close(lost("refused"));
        for _ in 1..times {
            bench.reach_deadline();
            bench.close(lost("refused"));
        }
        bench
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        self.link.handle(input, self.now, &mut || self.jitter)
    }

    fn id(&self) -> LinkId {
        self.link.link().expect("a connection")
    }

    fn welcome(&mut self) {
        self.input(Input::Opened(self.id()));
        self.input(Input::Welcomed(self.id()));
        assert!(self.link.is_online());
    }

    fn receive_message(&mut self) {
        assert_eq!(self.input(Input::Heard(self.id())), []);
    }

    fn close(&mut self, lost: Loss) {
        assert_eq!(self.input(Input::Closed(self.id(), lost)), [Output::Changed]);
        assert_eq!(self.link.link(), None);
    }

    fn pass(&mut self, span: Duration) {
        self.now += span;
    }

    /// Advances to the deadline and gives the timer. Checks that just before it nothing happens.
    fn reach_deadline(&mut self) -> Vec<Output> {
        let deadline = self.link.deadline().expect("a deadline");
        assert!(deadline > self.now, "the timer is overdue");
        self.now = deadline - NANO;
        let before = self.link.clone();
        assert_eq!(self.input(Input::Timer), [], "the timer came too early");
        assert_eq!(self.link, before, "the timer came too early");
        self.now = deadline;
        self.input(Input::Timer)
    }

    /// Gives the timer whenever it is due, and a sign of life each second, for `span`.
    fn stay_up(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.now = (self.now + secs(1)).min(end);
            self.receive_message();
            if self.link.deadline().is_some_and(|deadline| deadline <= self.now) {
                self.input(Input::Timer);
            }
            assert!(self.link.is_online());
        }
    }

    fn state(&self) -> ConnectionState {
        self.link.status().state
    }

    fn attempt(&self) -> u32 {
        self.link.status().attempt
    }

    /// Returns the wait for the next attempt.
    fn wait(&self) -> Duration {
        let retry_at = self.link.status().retry_at.expect("an attempt to come");
        assert_eq!(self.link.deadline(), Some(retry_at));
        retry_at - self.now
    }
}
