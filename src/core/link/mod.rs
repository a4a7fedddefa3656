//! Interim.
#![allow(missing_docs)]
use lanrage_ipc::model::ConnectionState;
use std::time::Duration;
#[derive(Debug, Clone)]
pub struct Settings {
    pub backoff_initial: Duration,
    pub backoff_max: Duration,
    pub max_attempts: u32,
    pub probe: Duration,
    pub connect_timeout: Duration,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkId(pub u64);
#[derive(Debug, Clone)]
pub struct Lost {
    pub words: String,
    pub retry_after: Option<Duration>,
    pub is_final: bool,
}
#[derive(Debug)]
pub enum Input {
    Start,
    Opened(LinkId),
    Welcomed(LinkId),
    Heard(LinkId),
    Closed(LinkId, Lost),
    Timer,
    Retry,
    Stop,
    Detach,
    Settings(Settings),
}
#[derive(Debug)]
pub enum Output {
    Connect(LinkId),
    Hangup(LinkId),
    Ping(LinkId),
    Changed,
}
#[derive(Debug, Clone)]
pub struct Standing {
    pub state: ConnectionState,
    pub since: Duration,
    pub attempt: u32,
    pub retry_at: Option<Duration>,
    pub last_error: Option<String>,
}
#[derive(Debug)]
pub struct Link {
    s: Settings,
    id: u64,
    up: bool,
    heard: Duration,
    pinged: bool,
    st: Standing,
}
impl Link {
    pub fn new(s: Settings) -> Self {
        Self {
            s,
            id: 0,
            up: false,
            heard: Duration::ZERO,
            pinged: false,
            st: Standing {
                state: ConnectionState::Local,
                since: Duration::ZERO,
                attempt: 0,
                retry_at: None,
                last_error: None,
            },
        }
    }
    fn connect(&mut self) -> Vec<Output> {
        self.id += 1;
        self.st.retry_at = None;
        vec![Output::Connect(LinkId(self.id)), Output::Changed]
    }
    fn fail(&mut self, l: Lost, now: Duration, j: &mut dyn FnMut() -> f64) -> Vec<Output> {
        self.up = false;
        self.id += 1;
        self.st.attempt += 1;
        self.st.last_error = Some(l.words);
        self.st.since = now;
        if l.is_final {
            self.st.state = ConnectionState::AuthFailed;
            return vec![Output::Changed];
        }
        if self.st.attempt >= self.s.max_attempts {
            self.st.state = ConnectionState::Fallback;
            self.st.retry_at = Some(now + self.s.probe);
        } else {
            self.st.state = ConnectionState::Reconnecting;
            self.st.retry_at = Some(
                now + l.retry_after.unwrap_or_default()
                    + self.s.backoff_initial.mul_f64(j().max(0.1)),
            );
        }
        vec![Output::Changed]
    }
    pub fn handle(
        &mut self,
        input: Input,
        now: Duration,
        j: &mut dyn FnMut() -> f64,
    ) -> Vec<Output> {
        match input {
            Input::Start => {
                self.st.state = ConnectionState::Connecting;
                self.connect()
            }
            Input::Welcomed(i) if i.0 == self.id => {
                self.up = true;
                self.heard = now;
                self.st.state = ConnectionState::Online;
                self.st.attempt = 0;
                self.st.last_error = None;
                self.st.since = now;
                vec![Output::Changed]
            }
            Input::Heard(i) if i.0 == self.id => {
                self.heard = now;
                self.pinged = false;
                vec![]
            }
            Input::Closed(i, l) if i.0 == self.id => self.fail(l, now, j),
            Input::Timer if self.st.retry_at.is_some() => self.connect(),
            Input::Timer if self.up => {
                if self.pinged {
                    let id = self.id;
                    let mut o = vec![Output::Hangup(LinkId(id))];
                    o.extend(self.fail(
                        Lost { words: "silent".into(), retry_after: None, is_final: false },
                        now,
                        j,
                    ));
                    o
                } else {
                    self.pinged = true;
                    vec![Output::Ping(LinkId(self.id))]
                }
            }
            Input::Retry
                if self.st.retry_at.is_some() || self.st.state == ConnectionState::AuthFailed =>
            {
                self.connect()
            }
            Input::Stop | Input::Detach => {
                let stop = matches!(input, Input::Stop);
                let id = self.id;
                self.id += 1;
                self.up = false;
                self.st.retry_at = None;
                self.st.attempt = 0;
                self.st.state =
                    if stop { ConnectionState::Stopping } else { ConnectionState::Local };
                vec![Output::Hangup(LinkId(id)), Output::Changed]
            }
            Input::Settings(s) => {
                self.s = s;
                vec![]
            }
            _ => vec![],
        }
    }
    pub fn deadline(&self) -> Option<Duration> {
        self.st.retry_at.or(self
            .up
            .then_some(self.heard + Duration::from_secs(if self.pinged { 14 } else { 9 })))
    }
    pub fn standing(&self) -> &Standing {
        &self.st
    }
}
