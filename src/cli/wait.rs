//! `wait`.

use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use lanrage_ipc::client::{Client, ClientError, ErrorKind};
use lanrage_ipc::event::Event;
use lanrage_ipc::method::{ConnectionGet, PartyGet, Ping};
use lanrage_ipc::model::{Connection, ConnectionState, PartyId};
use lanrage_ipc::params::{Empty, PartyParams, SubscribeParams, Topic};
use lanrage_ipc::{ErrorCode, ServerMessage};
use serde_json::value::RawValue;

use super::connection::describe;
use super::daemon::{Daemon, Program};
use super::exit::{Exit, Failure};

/// Default time limit.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Pause before the next attempt to reach an absent daemon.
const INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug, clap::Args)]
pub(super) struct Wait {
    /// What to wait for: that the daemon answers, that there is the party of --party, or that the
    /// control server is reached
    #[arg(long = "for", value_name = "WHAT")]
    what: Condition,
    /// The party's id
    #[arg(long, value_name = "ID", required_if_eq("what", "party"), allow_hyphen_values = true)]
    party: Option<PartyId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Condition {
    Ready,
    Party,
    Online,
}

/// Result of a completed attempt: the awaited answer, or the reason why it can't come any more.
type Outcome = Result<Box<RawValue>, Failure>;

impl Wait {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        let deadline = Deadline::after(daemon.timeout.unwrap_or(TIMEOUT));
        loop {
            // An attempt gets a minimum of time, even if less is left.
            let attempt = daemon
                .reach(deadline.left().max(INTERVAL))
                .and_then(|(client, program)| self.attempt(client, program, deadline));
            match attempt {
                Ok(outcome) => {
                    let found = outcome?;
                    return if daemon.output.json {
                        daemon.output.print_json(found.get())
                    } else {
                        Ok(())
                    };
                }
                Err(error) if !may_pass(&error) => return Err(daemon.failure(error)),
                Err(error) => {
                    thread::sleep(INTERVAL.min(deadline.left()));
                    if deadline.left().is_zero() {
                        return Err(in_vain(daemon, deadline.patience, error));
                    }
                }
            }
        }
    }

    fn attempt(
        &self,
        mut client: Client,
        program: Program,
        deadline: Deadline,
    ) -> Result<Outcome, ClientError> {
        match (self.what, &self.party) {
            (Condition::Party, Some(party)) => wait_for_party(client, party, deadline),
            (Condition::Online, _) if program == Program::Server => {
                let message = "this is a control server's socket: it follows no other server";
                let hint = "name the daemon's socket: --socket PATH";
                Ok(Err(Failure::new(Exit::Failed, "control_server", message, hint)))
            }
            (Condition::Online, _) => wait_until_online(client, deadline),
            _ => client.call_for_text::<Ping>(&Empty {}).map(Ok),
        }
    }
}

/// Returns the failure of a timeout, with the result of the last attempt.
fn in_vain(daemon: &Daemon, patience: Duration, error: ClientError) -> Failure {
    match error {
        ClientError::TimedOut { doing, .. } => {
            daemon.failure(ClientError::TimedOut { doing, after: patience })
        }
        error => daemon.failure(error).timed_out(patience),
    }
}

/// Waits until a party exists.
fn wait_for_party(
    mut client: Client,
    party: &PartyId,
    deadline: Deadline,
) -> Result<Outcome, ClientError> {
    // The party may appear between the query and the first event, so the subscription comes first.
    subscribe(&mut client, Topic::Party)?;
    let params = PartyParams { party_id: party.clone() };
    loop {
        client.set_timeout(deadline.left());
        match client.call_for_text::<PartyGet>(&params) {
            Err(ClientError::Rpc(error)) if error.data.code == ErrorCode::PartyNotFound => {}
            outcome => return outcome.map(Ok),
        }
        if !wait_for_event(&mut client, deadline, |event| event.party_id() == Some(party))? {
            let hint = "`lanragectl party list` shows the parties";
            return Ok(Err(deadline.passed(format!("party {party} does not exist yet"), hint)));
        }
    }
}

/// Waits until the daemon is online.
fn wait_until_online(mut client: Client, deadline: Deadline) -> Result<Outcome, ClientError> {
    // As above: it may be online before the first event.
    subscribe(&mut client, Topic::Connection)?;
    loop {
        client.set_timeout(deadline.left());
        let answer = client.call_for_text::<ConnectionGet>(&Empty {})?;
        let mut connection: Connection = serde_json::from_str(answer.get())
            .map_err(|error| ClientError::Protocol(format!("connection.get: {error}")))?;
        match connection.state {
            ConnectionState::Online => return Ok(Ok(answer)),
            ConnectionState::Local => {
                let message = "the daemon is in local mode: it follows no control server";
                let hint = "name one: `lanragectl connection set URL`";
                return Ok(Err(Failure::new(Exit::Failed, "local_mode", message, hint)));
            }
            _ => {}
        }
        let decides = |event: &Event| {
            if let Event::ConnectionChanged(now) = event {
                connection = now.clone();
            }
            matches!(connection.state, ConnectionState::Online | ConnectionState::Local)
        };
        if !wait_for_event(&mut client, deadline, decides)? {
            let hint = "`lanragectl doctor` finds the cause";
            return Ok(Err(deadline.passed(describe(&connection), hint)));
        }
    }
}

fn subscribe(client: &mut Client, topic: Topic) -> Result<(), ClientError> {
    let params = SubscribeParams { topics: Some(vec![topic]), party_id: None, snapshot: false };
    client.subscribe(&params).map(drop)
}

/// Waits for an event that `concerns` accepts; returns `false` on a timeout.
fn wait_for_event(
    client: &mut Client,
    deadline: Deadline,
    mut concerns: impl FnMut(&Event) -> bool,
) -> Result<bool, ClientError> {
    loop {
        match client.next_message(deadline.left())? {
            None => return Ok(false),
            Some(ServerMessage::Event(event)) if !concerns(&event.event) => {}
            Some(ServerMessage::Goaway(_) | ServerMessage::Unknown(_)) => {}
            Some(ServerMessage::Event(_) | ServerMessage::Reset(_)) => return Ok(true),
        }
    }
}

/// True if another attempt may succeed.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Rpc(error) => error.data.retryable,
        error => {
            matches!(error.kind(), ErrorKind::NotRunning | ErrorKind::Gone | ErrorKind::TimedOut)
        }
    }
}

/// End of a time limit; never, if it is too far away to represent.
#[derive(Debug, Clone, Copy)]
struct Deadline {
    patience: Duration,
    at: Option<Instant>,
}

impl Deadline {
    fn after(patience: Duration) -> Self {
        Self { patience, at: Instant::now().checked_add(patience) }
    }

    fn left(self) -> Duration {
        self.at.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }

    /// Returns the failure of a passed deadline.
    fn passed(self, message: String, hint: &str) -> Failure {
        Failure::new(Exit::TimedOut, "timeout", message, hint).timed_out(self.patience)
    }
}
