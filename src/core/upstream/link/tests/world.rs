//! Environment of a link: its connections, the invariants after each input, and an independent
//! count of failures.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Connection of an input.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Present,
    /// This many before the last one.
    Before(u64),
    /// This many after the last one.
    After(u64),
}

/// Step of a history.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Start,
    Opened(Which),
    Welcomed(Which),
    Heard(Which),
    Closed(Which, Loss),
    Renewed(Which),
    /// The timer comes this long after it was due.
    Due(Duration),
    /// The timer comes early.
    Early,
    Pass(Duration),
    Retry,
    Stop,
    Detach,
    Settings(LinkSettings),
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        8 => Just(Which::Present),
        1 => (0..3_u64).prop_map(Which::Before),
        1 => (1..3_u64).prop_map(Which::After),
    ]
}

fn span(longest: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![1 => Just(Duration::ZERO), 5 => (0..longest * 1000).prop_map(millis)]
}

fn losses() -> impl Strategy<Value = Loss> {
    let retry_after = prop_oneof![
        4 => Just(None),
        2 => span(600).prop_map(Some),
        1 => Just(Some(Duration::MAX)),
    ];
    (retry_after, prop::bool::weighted(0.1)).prop_map(|(retry_after, is_final)| Loss {
        retry_after,
        is_final,
        ..lost("lost")
    })
}

pub(super) fn any_settings() -> impl Strategy<Value = LinkSettings> {
    (span(5), span(120), 0..5_u32, span(600), span(20)).prop_map(
        |(backoff_initial, backoff_max, max_attempts, probe, connect_timeout)| LinkSettings {
            backoff_initial,
            backoff_max,
            max_attempts,
            probe,
            connect_timeout,
        },
    )
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let late = prop_oneof![6 => Just(Duration::ZERO), 2 => span(3), 1 => span(20_000)];
    let step = prop_oneof![
        3 => Just(Step::Start),
        4 => which().prop_map(Step::Opened),
        6 => which().prop_map(Step::Welcomed),
        4 => which().prop_map(Step::Heard),
        5 => (which(), losses()).prop_map(|(which, lost)| Step::Closed(which, lost)),
        1 => which().prop_map(Step::Renewed),
        10 => late.prop_map(Step::Due),
        1 => Just(Step::Early),
        4 => span(20).prop_map(Step::Pass),
        2 => Just(Step::Retry),
        1 => prop::bool::weighted(0.1).prop_map(|stop| if stop { Step::Stop } else { Step::Early }),
        1 => Just(Step::Detach),
        1 => any_settings().prop_map(Step::Settings),
    ];
    prop::collection::vec(step, 1..80)
}

/// A deterministic generator of numbers in [0, 1) (SplitMix64).
#[derive(Clone)]
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

pub(super) struct World {
    pub(super) link: LinkMachine,
    pub(super) now: Duration,
    pub(super) settings: LinkSettings,
    chance: Chance,
    /// Open connections and attempts.
    open: BTreeSet<LinkId>,
    last_id: u64,
    failed: u32,
    /// Start and last sign of life of the connection that is up.
    up: Option<(Duration, Duration)>,
    /// Time at which an open connection without a welcome must be given up, however much it
    /// receives.
    greeted_by: Option<Duration>,
    /// All outputs.
    pub(super) said: Vec<Output>,
}

impl World {
    pub(super) fn new(settings: LinkSettings, seed: u64) -> Self {
        Self {
            link: LinkMachine::new(settings.clone()),
            now: Duration::ZERO,
            settings,
            chance: Chance(seed),
            open: BTreeSet::new(),
            last_id: 0,
            failed: 0,
            up: None,
            greeted_by: None,
            said: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, step: Step) {
        let input = match step {
            Step::Pass(span) => {
                self.now += span;
                return;
            }
            Step::Due(late) => {
                if let Some(deadline) = self.link.deadline() {
                    self.now = self.now.max(deadline + late);
                }
                Input::Timer
            }
            Step::Early => Input::Timer,
            Step::Start => Input::Start,
            Step::Opened(which) => Input::Opened(self.id(which)),
            Step::Welcomed(which) => Input::Welcomed(self.id(which)),
            Step::Heard(which) => Input::Heard(self.id(which)),
            Step::Closed(which, lost) => Input::Closed(self.id(which), lost),
            Step::Renewed(which) => Input::Renewed(self.id(which)),
            Step::Retry => Input::Retry,
            Step::Stop => Input::Stop,
            Step::Detach => Input::Detach,
            Step::Settings(settings) => Input::Settings(settings),
        };
        self.input(input);
    }

    fn id(&self, which: Which) -> LinkId {
        match which {
            Which::Present => self.open.first().copied().unwrap_or(LinkId(self.last_id)),
            Which::Before(count) => LinkId(self.last_id.saturating_sub(count)),
            Which::After(count) => LinkId(self.last_id + count),
        }
    }

    pub(super) fn input(&mut self, input: Input) -> Vec<Output> {
        let before = self.link.clone();
        let chance = &mut self.chance;
        let outputs = self.link.handle(input.clone(), self.now, &mut || chance.next());
        self.said.extend(&outputs);
        if let Some(id) = input.about()
            && !self.open.contains(&id)
        {
            assert_eq!(
                (&outputs, &self.link),
                (&vec![], &before),
                "{input:?} is about another connection"
            );
        }
        self.count(&input, &outputs, &before);
        self.follow(&input, &outputs);
        self.check(&input, &outputs, &before);
        outputs
    }

    /// Counts failures, as seen from outside.
    fn count(&mut self, input: &Input, outputs: &[Output], before: &LinkMachine) {
        let was_stopped = before.status().state == ConnectionState::Stopping;
        let hung_up = outputs.iter().any(|output| matches!(output, Output::Hangup(_)));
        let gone = match input {
            Input::Closed(id, _) => self.open.contains(id),
            Input::Renewed(id) => self.open.contains(id) && self.up.is_none(),
            Input::Timer => hung_up,
            _ => false,
        };
        if let Some((since, heard)) = self.up {
            let looked = match input {
                Input::Timer => true,
                Input::Renewed(id) => self.open.contains(id),
                _ => gone,
            };
            if looked && self.now.min(heard + secs(14)) >= since + secs(30) {
                self.failed = 0;
            }
        }
        if gone {
            self.failed += 1;
        }
        match input {
            _ if gone || hung_up => (self.up, self.greeted_by) = (None, None),
            Input::Renewed(id) if self.open.contains(id) => self.up = None,
            Input::Opened(id)
                if self.open.contains(id) && self.up.is_none() && self.greeted_by.is_none() =>
            {
                let longest = self.settings.connect_timeout.max(secs(120));
                self.greeted_by = Some(self.now + longest);
            }
            Input::Welcomed(id) if self.open.contains(id) && self.up.is_none() => {
                (self.up, self.greeted_by) = (Some((self.now, self.now)), None);
            }
            Input::Heard(id) if self.open.contains(id) => {
                self.up = self.up.map(|(since, _)| (since, self.now));
            }
            Input::Settings(settings) if !was_stopped => self.settings = settings.clone(),
            _ => {}
        }
        if *input == Input::Detach && !was_stopped {
            self.failed = 0;
        }
    }

    /// Updates the open connections.
    fn follow(&mut self, input: &Input, outputs: &[Output]) {
        if let Input::Closed(id, _) | Input::Renewed(id) = input {
            self.open.remove(id);
        }
        for (place, output) in outputs.iter().enumerate() {
            match output {
                Output::Connect(id) => {
                    assert!(self.open.is_empty(), "{id:?} while {:?} is open", self.open);
                    assert!(id.0 > self.last_id, "{id:?} was used before");
                    self.open.insert(*id);
                    self.last_id = id.0;
                }
                Output::Hangup(id) => assert!(self.open.remove(id), "{id:?} is not open"),
                Output::Ping(id) => {
                    assert!(self.open.contains(id) && self.up.is_some(), "{id:?} is not up");
                }
                Output::Changed => assert_eq!(place + 1, outputs.len(), "{outputs:?}"),
            }
        }
    }

    fn check(&self, input: &Input, outputs: &[Output], before: &LinkMachine) {
        use ConnectionState::{
            AuthFailed, Connecting, Fallback, Local, Online, Reconnecting, Stopping,
        };
        let status = self.link.status();
        assert_eq!(outputs.contains(&Output::Changed), status != before.status());
        assert_eq!(status.attempt, self.failed, "after {input:?}");
        assert_eq!(self.link.link(), self.open.first().copied());
        assert_eq!(self.link.is_online(), self.up.is_some());
        assert_eq!(self.link.is_online(), status.state == Online);
        assert!(!self.link.is_online() || status.last_error.is_none());

        let idle = matches!(status.state, Local | AuthFailed | Stopping);
        assert_eq!(self.link.deadline().is_none(), idle, "{status:?}");
        let waits = matches!(status.state, Reconnecting | Fallback) && self.open.is_empty();
        assert_eq!(status.retry_at, if waits { self.link.deadline() } else { None });
        let connected = matches!(status.state, Connecting | Online);
        assert!(!connected || !self.open.is_empty(), "{status:?}");
        assert!(!idle || self.open.is_empty(), "{status:?}");

        let kept = status.state == before.status().state;
        let since = if kept { before.status().since } else { self.now };
        assert_eq!(status.since, since, "{status:?}");
        if let Some(deadline) = self.link.deadline() {
            assert!(self.greeted_by.is_none_or(|limit| deadline <= limit), "{deadline:?}");
            let was_due = before.deadline().is_some_and(|deadline| deadline <= self.now);
            let due = was_due && *input != Input::Timer;
            assert!(deadline > self.now || due, "overdue at {:?} after {input:?}", self.now);
        }
    }

    /// Upper bound of the time until online, if the server answers each attempt from now on.
    fn patience(&self, earlier: &[LinkSettings]) -> Duration {
        let all = || earlier.iter().chain([&self.settings]);
        let longest = |of: fn(&LinkSettings) -> Duration| all().map(of).max().unwrap_or_default();
        let least = millis(10);
        let attempt = longest(|settings| settings.connect_timeout).max(least) * 2;
        let backoff = longest(|settings| settings.backoff_max).max(least) + secs(3600);
        let probe = longest(|settings| settings.probe).max(least).mul_f64(1.2).max(secs(3600));
        attempt + backoff.max(probe) + millis(1)
    }

    /// Answers each attempt from now on, and gives the timer when it is due.
    pub(super) fn recover(&mut self, earlier: &[LinkSettings]) {
        let begin = self.now;
        let mut outputs = self.input(Input::Start);
        for _ in 0..8 {
            if let [Output::Connect(id), ..] = outputs[..] {
                self.input(Input::Opened(id));
                self.input(Input::Welcomed(id));
            }
            if self.link.is_online() {
                let took = self.now - begin;
                assert!(took <= self.patience(earlier), "it took {took:?}");
                return;
            }
            self.now = self.now.max(self.link.deadline().expect("a deadline"));
            outputs = self.input(Input::Timer);
        }
        panic!("it does not come back: {:?}", self.link);
    }
}
