//! Results of the steps, printed for people as they happen and for programs at the end.

use std::future::Future;
use std::time::Instant;

use serde::Serialize;

use crate::cli::exit::Failure;
use crate::cli::output::Output;

/// All steps, in their order.
const STEPS: [&str; 11] = [
    "daemon", "url", "proxy", "name", "connect", "tls", "http", "clock", "register", "upgrade",
    "token",
];

/// Result of a successful step.
pub(super) enum Finding<T> {
    /// Data for the next steps, and a message.
    Good(T, String),
    /// The step was skipped, for this reason.
    Skipped(String),
}

/// Fault that a step found.
#[derive(Debug)]
pub(super) struct CheckFailure {
    words: String,
    fix: String,
}

impl CheckFailure {
    pub(super) fn new(words: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { words: words.into(), fix: fix.into() }
    }
}

/// Reason to stop.
pub(super) enum End {
    /// A step has failed.
    Failed,
    /// Nothing can be printed any more.
    Unread(Failure),
}

/// Steps so far.
pub(super) struct Report {
    output: Output,
    pub(super) server_url: Option<String>,
    /// Reason for skipping the remaining steps.
    rest: &'static str,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    step: &'static str,
    /// `null` if the step was skipped.
    ok: Option<bool>,
    took_ms: Option<u64>,
    detail: String,
    fix: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    server_url: Option<&'a str>,
    steps: &'a [Step],
}

impl Report {
    pub(super) fn new(output: Output) -> Self {
        Self { output, server_url: None, rest: "a step before it failed", steps: Vec::new() }
    }

    /// Skips the remaining steps, for this reason.
    pub(super) fn is_done(&mut self, why: &'static str) {
        self.rest = why;
    }

    /// Runs a step that later ones need.
    ///
    /// # Errors
    /// The step failed.
    pub(super) async fn step<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<Finding<T>, CheckFailure>>,
    ) -> Result<Option<T>, End> {
        self.take(name, work).await?.map_err(|()| End::Failed)
    }

    /// Runs a step that no other one needs.
    pub(super) async fn passable<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = Result<Finding<T>, CheckFailure>>,
    ) -> Result<(), End> {
        self.take(name, work).await.map(drop)
    }

    async fn take<T>(
        &mut self,
        step: &'static str,
        work: impl Future<Output = Result<Finding<T>, CheckFailure>>,
    ) -> Result<Result<Option<T>, ()>, End> {
        let begun = Instant::now();
        let found = work.await;
        let took_ms = Some(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        let (step, result) = match found {
            Ok(Finding::Good(value, detail)) => {
                (Step { step, ok: Some(true), took_ms, detail, fix: None }, Ok(Some(value)))
            }
            Ok(Finding::Skipped(why)) => (skipped(step, why), Ok(None)),
            Err(CheckFailure { words: detail, fix }) => {
                (Step { step, ok: Some(false), took_ms, detail, fix: Some(fix) }, Err(()))
            }
        };
        self.record(step).map_err(End::Unread)?;
        Ok(result)
    }

    /// Reports the skipped steps. Returns `true` if no step failed.
    pub(super) fn finish(mut self) -> Result<bool, Failure> {
        for step in &STEPS[self.steps.len()..] {
            self.record(skipped(step, self.rest.to_owned()))?;
        }
        let ok = self.steps.iter().all(|step| step.ok != Some(false));
        if self.output.json {
            let server_url = self.server_url.as_deref();
            self.output.document(&Document { ok, server_url, steps: &self.steps })?;
        }
        Ok(ok)
    }

    fn record(&mut self, step: Step) -> Result<(), Failure> {
        debug_assert_eq!(STEPS[self.steps.len()], step.step);
        if !self.output.json {
            self.output.page(|page| {
                let mark = match step.ok {
                    Some(true) => "ok",
                    Some(false) => "FAILED",
                    None => "skipped",
                };
                let took = step.took_ms.map(|took| format!("{took} ms")).unwrap_or_default();
                let (name, detail) = (step.step, &step.detail);
                page.line(format_args!("{mark:<7}  {name:<8}  {took:>8}  {detail}"));
                if let Some(fix) = &step.fix {
                    page.line(format_args!("{:<29}fix: {fix}", ""));
                }
            })?;
        }
        self.steps.push(step);
        Ok(())
    }
}

fn skipped(step: &'static str, detail: String) -> Step {
    Step { step, ok: None, took_ms: None, detail, fix: None }
}
