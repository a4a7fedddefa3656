//! `party …`.

use lanrage_ipc::ErrorCode;
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::method::{
    PartyDiscover, PartyGet, PartyJoin, PartyLeave, PartyList, PartyRegister,
};
use lanrage_ipc::model::{Name, Party, PartyId, Sync};
use lanrage_ipc::params::{
    Empty, PartyJoinParams, PartyListParams, PartyParams, PartyRegisterParams,
};
use lanrage_ipc::results::{LeaveStatus, PartyDiscoverResult, PartyResult};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::daemon::{Daemon, DaemonSession};
use super::exit::Failure;
use super::output::Page;
use super::peer::{self, Joining, Member};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a party, with a peer of yours as its host
    Register {
        /// What to call the party
        #[arg(value_name = "NAME")]
        party_name: Name,
        /// The party's id [default: one that the daemon chooses]
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        party_id: Option<PartyId>,
        #[command(flatten, next_help_heading = "The host, unknown where left out")]
        host: Joining,
    },
    /// Add a peer of yours to a party, or update it there
    Join {
        /// The party's id
        #[arg(allow_hyphen_values = true)]
        party: PartyId,
        #[command(flatten, next_help_heading = "The peer, unknown where left out")]
        peer: Joining,
    },
    /// Take a peer out of a party; the party ends with its host
    Leave(Member),
    /// Show a party and its peers
    Show {
        /// The party's id
        #[arg(allow_hyphen_values = true)]
        party: PartyId,
    },
    /// Show the parties that the daemon knows
    List,
    /// Show the parties that are announced on this machine
    Discover,
}

impl Command {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        match self {
            Self::Register { party_name, party_id, host } => {
                let explain = host.explain();
                let (host, keepalive) = host.peer()?;
                let params = PartyRegisterParams { name: party_name, host, party_id, keepalive };
                daemon.connect()?.show::<PartyRegister>(&params, show).map_err(explain)?;
                peer::warn_of_key(daemon.output, &params.host.public_key);
                Ok(())
            }
            Self::Join { party, peer } => {
                let explain = peer.explain();
                let (peer, keepalive) = peer.peer()?;
                let params = PartyJoinParams { party_id: party, peer, keepalive };
                daemon.connect()?.show::<PartyJoin>(&params, show).map_err(explain)?;
                peer::warn_of_key(daemon.output, &params.peer.public_key);
                Ok(())
            }
            Self::Leave(member) => {
                let params = member.params()?;
                let left = daemon.connect()?.show::<PartyLeave>(&params, |page, result| {
                    page.line(match result.status {
                        LeaveStatus::Left => format!("{} left {}", params.peer_id, params.party_id),
                        LeaveStatus::PartyDeleted => {
                            format!("{} left {}, which has ended", params.peer_id, params.party_id)
                        }
                        LeaveStatus::Unknown => format!(
                            "{}: this program does not know the status of {}",
                            params.party_id, params.peer_id
                        ),
                    });
                });
                let members = "`lanragectl peer list PARTY` shows the members";
                left.map_err(|failure| failure.hint(ErrorCode::NotAMember, members))
            }
            Self::Show { party } => {
                daemon.connect()?.show::<PartyGet>(&PartyParams { party_id: party }, show)
            }
            Self::List => list(daemon),
            Self::Discover => daemon.connect()?.show::<PartyDiscover>(&Empty {}, show_discovered),
        }
    }
}

fn show(page: &mut Page, result: &PartyResult) {
    let party = &result.party;
    page.fields([
        ("party", party.party_id.to_string()),
        ("name", party.name.to_string()),
        ("host", party.host_id.to_string()),
        ("created", page.date(party.created_at)),
        ("origin", origin(party)),
    ]);
    page.line("");
    peer::table(page, &party.party_id, &party.peers);
}

/// Page of parties, each as received.
#[derive(Deserialize)]
struct Listed {
    parties: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// All pages in one document.
#[derive(Serialize)]
struct All {
    parties: Vec<Box<RawValue>>,
}

fn list(daemon: &Daemon) -> Result<(), Failure> {
    let mut session = daemon.connect()?;
    let mut all = All { parties: Vec::new() };
    let mut cursor = None;
    loop {
        let params = PartyListParams { cursor, limit: None };
        let raw = session.ask::<PartyList>(&params)?;
        let page: Listed = read(&session, &raw)?;
        all.parties.extend(page.parties);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    if daemon.output.json {
        return daemon.output.document(&all);
    }
    let parties: Result<Vec<Party>, _> =
        all.parties.iter().map(|raw| read(&session, raw)).collect();
    let parties = parties?;
    daemon.output.page(|page| table(page, &parties))
}

fn read<'a, T: Deserialize<'a>>(
    session: &DaemonSession<'_>,
    raw: &'a RawValue,
) -> Result<T, Failure> {
    session.read("party.list", raw)
}

fn table(page: &mut Page, parties: &[Party]) {
    let row = |party: &Party| {
        [
            party.party_id.to_string(),
            party.name.to_string(),
            party.host_id.to_string(),
            party.peers.len().to_string(),
            page.ago(party.created_at),
            origin(party),
        ]
    };
    let rows: Vec<_> = parties.iter().map(row).collect();
    page.table(["PARTY", "NAME", "HOST", "PEERS", "CREATED", "ORIGIN"], rows, "no parties");
}

/// Returns the origin of a party, and `pending` while the control server has not confirmed a
/// change.
pub(super) fn origin(party: &Party) -> String {
    match party.sync {
        Sync::Synced => party.origin.to_string(),
        sync => format!("{}, {sync}", party.origin),
    }
}

fn show_discovered(page: &mut Page, result: &PartyDiscoverResult) {
    let rows = result.parties.iter().map(|found| {
        let party = &found.party;
        [
            party.party_id.clone(),
            party.name.clone(),
            party.host_id.clone(),
            party.peers.len().to_string(),
            party.created_at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            found.source.to_string(),
        ]
    });
    let header = ["PARTY", "NAME", "HOST", "PEERS", "CREATED", "SEEN IN"];
    page.table(header, rows, "no parties are announced");
}

/// Returns the reason for a removal in words.
pub(super) fn because(reason: RemovalReason) -> &'static str {
    match reason {
        RemovalReason::Left => "left",
        RemovalReason::Expired => "was silent for too long",
        RemovalReason::HostLeft => "the host left",
        RemovalReason::Removed => "was removed",
        RemovalReason::Unknown => "for a reason that is newer than this program",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pending_party_is_marked_as_pending() {
        for (origin_word, sync, words) in [
            ("local", "synced", "local"),
            ("remote", "synced", "remote"),
            ("remote", "pending", "remote, pending"),
            ("local", "pending", "local, pending"),
            ("orbit", "disputed", "unknown, unknown"),
        ] {
            let party = json!({
                "party_id": "q", "name": "Quake", "host_id": "ann", "peers": {},
                "created_at": "2026-01-02T03:04:05Z", "epoch": "e", "seq": 1,
                "origin": origin_word, "sync": sync,
            });
            assert_eq!(origin(&serde_json::from_value(party).unwrap()), words);
        }
    }
}
