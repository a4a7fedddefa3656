//! `wait`.

use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use lanrage_ipc::client::{Client, ClientError, ErrorKind};
use lanrage_ipc::method::{Method, PartyGet, Ping};
use lanrage_ipc::model::PartyId;
use lanrage_ipc::params::{SubscribeParams, Topic};
use lanrage_ipc::{ErrorCode, ServerMessage};
use serde_json::value::RawValue;

use super::daemon::Daemon;
use super::exit::{Exit, Failure};

/// How long to wait, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How soon to look again for a daemon that is not there.
const INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug, clap::Args)]
pub(super) struct Wait {
    /// What to wait for: that the daemon answers, or that there is the party of --party
    #[arg(long = "for", value_name = "WHAT")]
    what: What,
    /// The party's id
    #[arg(long, value_name = "ID", required_if_eq("what", "party"))]
    party: Option<PartyId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Ready,
    Party,
}

impl Wait {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        let patience = daemon.timeout.unwrap_or(TIMEOUT);
        let deadline = Deadline(Instant::now().checked_add(patience));
        let party = self.party.filter(|_| self.what == What::Party);
        loop {
            // However little time is left, an attempt is worth a moment.
            let attempt =
                daemon.reach(deadline.left().max(INTERVAL)).and_then(|client| match &party {
                    Some(party) => come(client, party, deadline),
                    None => ready(client),
                });
            match attempt {
                Ok(Some(found)) if daemon.output.json => return daemon.output.print(found.get()),
                Ok(Some(_)) => return Ok(()),
                Ok(None) => return Err(missing(party.as_ref()).timed_out(patience)),
                Err(error) if !may_pass(&error) => return Err(daemon.failure(error)),
                Err(error) => {
                    thread::sleep(INTERVAL.min(deadline.left()));
                    if deadline.left().is_zero() {
                        return Err(in_vain(daemon, patience, error));
                    }
                }
            }
        }
    }
}

/// Time is over, and that is how the last attempt went.
fn in_vain(daemon: &Daemon, patience: Duration, error: ClientError) -> Failure {
    match error {
        ClientError::TimedOut { doing, .. } => {
            daemon.failure(ClientError::TimedOut { doing, after: patience })
        }
        error => daemon.failure(error).timed_out(patience),
    }
}

fn missing(party: Option<&PartyId>) -> Failure {
    let id = party.map_or("", PartyId::as_str);
    let hint = "`lanragectl party list` shows the parties";
    Failure::new(Exit::TimedOut, "timeout", format!("party {id} has not come"), hint)
}

fn ready(mut client: Client) -> Result<Option<Box<RawValue>>, ClientError> {
    client.call_raw(Ping::NAME, "{}").map(Some)
}

/// Waits for a party to come; `None` when time is over.
fn come(
    mut client: Client,
    party: &PartyId,
    deadline: Deadline,
) -> Result<Option<Box<RawValue>>, ClientError> {
    // It may come between the look and the first event: the subscription has to be there before.
    client.subscribe(&SubscribeParams {
        topics: Some(vec![Topic::Party]),
        party_id: None,
        snapshot: false,
    })?;
    let id = party.as_str();
    loop {
        client.set_timeout(deadline.left());
        match client.call_raw(PartyGet::NAME, &format!("{{\"party_id\":\"{id}\"}}")) {
            Err(ClientError::Rpc(error)) if error.data.code == ErrorCode::PartyNotFound => {}
            outcome => return outcome.map(Some),
        }
        if !is_news(&mut client, party, deadline)? {
            return Ok(None);
        }
    }
}

/// Waits until the daemon says something that may concern the party; `false` when time is over.
fn is_news(client: &mut Client, party: &PartyId, deadline: Deadline) -> Result<bool, ClientError> {
    loop {
        match client.next_message(deadline.left())? {
            None => return Ok(false),
            Some(ServerMessage::Event(event)) if event.event.party_id() != Some(party) => {}
            Some(ServerMessage::Goaway(_) | ServerMessage::Unknown(_)) => {}
            Some(ServerMessage::Event(_) | ServerMessage::Reset(_)) => return Ok(true),
        }
    }
}

/// Whether the next attempt may fare better.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Rpc(error) => error.data.retryable,
        error => {
            matches!(error.kind(), ErrorKind::NotRunning | ErrorKind::Gone | ErrorKind::TimedOut)
        }
    }
}

/// When patience ends; never, when that is too far away to be told.
#[derive(Debug, Clone, Copy)]
struct Deadline(Option<Instant>);

impl Deadline {
    fn left(self) -> Duration {
        self.0.map_or(Duration::MAX, |at| at.saturating_duration_since(Instant::now()))
    }
}
