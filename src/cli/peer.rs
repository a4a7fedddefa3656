//! `peer …`, and the options that describe a peer.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::method::{
    PeerDiscover, PeerHeartbeat, PeerList, PeerRelease, PeerTrust, PeerUpdate,
};
use lanrage_ipc::model::{
    Address, Keepalive, KeyChange, Name, NatType, PartyId, Peer, PeerId, PeerInput, PublicKey,
};
use lanrage_ipc::params::{
    MemberParams, PartyParams, PeerParams, PeerTrustParams, PeerUpdateParams,
};
use lanrage_ipc::results::PeerResult;

use super::daemon::Daemon;
use super::exit::Failure;
use super::identity;
use super::input::one_of;
use super::output::{Output, Page, span};

/// Hint for a default peer id that the control server refuses.
const DEFAULT_ID_TAKEN: &str = "the peer id is your login and host name: if another machine has the same two, choose another id here: --peer-id ID";

/// Hint for a chosen peer id that the control server refuses.
const ID_TAKEN: &str = "if the peer id is taken, choose another: --peer-id ID";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the peers of a party
    List {
        /// The party's id
        #[arg(allow_hyphen_values = true)]
        party: PartyId,
    },
    /// Show a peer, with its public key
    Show {
        /// The party's id
        #[arg(allow_hyphen_values = true)]
        party: PartyId,
        /// The peer's id
        #[arg(allow_hyphen_values = true)]
        peer: PeerId,
    },
    /// Change what a peer says of itself; what is not given stays as it is
    Update {
        #[command(flatten)]
        member: Member,
        /// Its WireGuard public key
        #[arg(long, value_name = "KEY")]
        public_key: Option<PublicKey>,
        /// Its name, for people
        #[arg(long)]
        name: Option<Name>,
        #[command(flatten)]
        details: Details,
    },
    /// Accept the public key that a peer from another machine has now
    Trust {
        /// The party's id
        #[arg(allow_hyphen_values = true)]
        party: PartyId,
        /// The peer's id
        #[arg(allow_hyphen_values = true)]
        peer: PeerId,
        /// The key to accept, as its owner told you
        #[arg(value_name = "KEY")]
        public_key: PublicKey,
    },
    /// Give a peer's sign of life, as one that joined with --keepalive manual has to
    Heartbeat(Member),
    /// End all that makes a peer id somebody's: its tokens, connections, memberships and relays. For
    /// the administrator
    Release {
        /// The peer's id
        #[arg(allow_hyphen_values = true)]
        peer: PeerId,
    },
}

/// A peer in a party, as whom one acts.
#[derive(Debug, clap::Args)]
pub(super) struct Member {
    /// The party's id
    #[arg(allow_hyphen_values = true)]
    party: PartyId,
    /// The peer's id [default: your login and host name]
    #[arg(allow_hyphen_values = true)]
    peer: Option<PeerId>,
    /// As PEER, for those used to it from join
    #[arg(long, value_name = "ID", conflicts_with = "peer", hide = true)]
    #[arg(allow_hyphen_values = true)]
    peer_id: Option<PeerId>,
}

impl Member {
    pub(super) fn params(self) -> Result<MemberParams, Failure> {
        let peer_id = self.peer.or(self.peer_id).map_or_else(identity::peer_id, Ok)?;
        Ok(MemberParams { party_id: self.party, peer_id })
    }
}

/// A peer that joins.
#[derive(Debug, clap::Args)]
pub(super) struct Joining {
    /// The peer's id [default: your login and host name]
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    peer_id: Option<PeerId>,
    /// Its WireGuard public key
    #[arg(long, value_name = "KEY")]
    public_key: PublicKey,
    /// Its name, for people [default: its id]
    #[arg(long)]
    name: Option<Name>,
    #[command(flatten)]
    details: Details,
    /// What keeps the peer alive: this program's connection, which ends with it; the daemon, until
    /// the peer leaves; or nothing but `peer heartbeat`
    #[arg(long, default_value = "daemon", value_name = "WHAT")]
    #[arg(value_parser = one_of::<Keepalive>(Keepalive::WORDS))]
    keepalive: Keepalive,
}

/// Optional fields of a peer's description.
#[derive(Debug, clap::Args)]
pub(super) struct Details {
    /// What its NAT does
    #[arg(long, value_name = "TYPE", value_parser = one_of::<NatType>(NatType::WORDS))]
    nat_type: Option<NatType>,
    /// Its address as the Internet sees it, or unknown
    #[arg(long, value_name = "IP")]
    public_ip: Option<Address>,
    /// Its UDP port as the Internet sees it; 0 is unknown
    #[arg(long, value_name = "PORT")]
    public_port: Option<u16>,
    /// Its address in its own network, or unknown
    #[arg(long, value_name = "IP")]
    local_ip: Option<Address>,
    /// Its UDP port in its own network; 0 is unknown
    #[arg(long, value_name = "PORT")]
    local_port: Option<u16>,
}

impl Joining {
    /// Returns a function that adds a hint to a refusal by the control server: usually the id is
    /// taken.
    pub(super) fn explain(&self) -> impl Fn(Failure) -> Failure + use<> {
        let is_default = self.peer_id.is_none();
        let taken = if is_default { DEFAULT_ID_TAKEN } else { ID_TAKEN };
        move |failure| failure.hint(ErrorCode::ServerRejected, taken)
    }

    /// Returns the peer and its keepalive.
    pub(super) fn peer(self) -> Result<(PeerInput, Keepalive), Failure> {
        let peer_id = self.peer_id.map_or_else(identity::peer_id, Ok)?;
        let mut peer = PeerInput {
            name: self.name.map_or_else(|| identity::name(&peer_id), Ok)?,
            peer_id,
            public_key: self.public_key,
            nat_type: NatType::Unknown,
            public_ip: Address::Unknown,
            public_port: 0,
            local_ip: Address::Unknown,
            local_port: 0,
        };
        self.details.put_into(&mut peer);
        Ok((peer, self.keepalive))
    }
}

impl Details {
    /// Applies the given options.
    fn put_into(self, peer: &mut PeerInput) {
        put(self.nat_type, &mut peer.nat_type);
        put(self.public_ip, &mut peer.public_ip);
        put(self.public_port, &mut peer.public_port);
        put(self.local_ip, &mut peer.local_ip);
        put(self.local_port, &mut peer.local_port);
    }
}

fn put<T>(given: Option<T>, place: &mut T) {
    if let Some(value) = given {
        *place = value;
    }
}

impl Command {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        match self {
            Self::List { party } => {
                let params = PartyParams { party_id: party };
                let party = &params.party_id;
                daemon.connect()?.show::<PeerList>(&params, |page, found| {
                    table(page, party, &found.peers);
                })
            }
            Self::Show { party, peer } => {
                let params = MemberParams { party_id: party, peer_id: peer };
                let party = &params.party_id;
                daemon.connect()?.show::<PeerDiscover>(&params, |page, found| {
                    show(page, party, found);
                })
            }
            Self::Update { member, public_key, name, details } => {
                let member = member.params()?;
                let mut session = daemon.connect()?;
                let mut peer = session.call::<PeerDiscover>(&member)?.peer.info;
                let is_other_key = public_key.is_some();
                put(public_key, &mut peer.public_key);
                put(name, &mut peer.name);
                details.put_into(&mut peer);
                let params = PeerUpdateParams { party_id: member.party_id, peer };
                let party = &params.party_id;
                session.show::<PeerUpdate>(&params, |page, found| show(page, party, found))?;
                if is_other_key {
                    warn_of_key(daemon.output, &params.peer.public_key);
                }
                Ok(())
            }
            Self::Trust { party, peer, public_key } => {
                let params = PeerTrustParams { party_id: party, peer_id: peer, public_key };
                let party = &params.party_id;
                daemon.connect()?.show::<PeerTrust>(&params, |page, found| show(page, party, found))
            }
            Self::Heartbeat(member) => {
                let params = member.params()?;
                daemon.connect()?.show::<PeerHeartbeat>(&params, |page, result| {
                    let time = span(Duration::from_millis(result.expires_in_ms));
                    page.line(format_args!("{} may be silent for {time}", params.peer_id));
                })
            }
            Self::Release { peer } => {
                let params = PeerParams { peer_id: peer };
                daemon.connect()?.show::<PeerRelease>(&params, |page, result| {
                    page.fields([
                        ("tokens", result.tokens.to_string()),
                        ("parties", result.parties.to_string()),
                        ("connections", result.connections.to_string()),
                    ]);
                })
            }
        }
    }
}

/// Warns of a key that is no WireGuard key. It is accepted, because LANrage's clients send others.
pub(super) fn warn_of_key(output: Output, key: &PublicKey) {
    let is_key = STANDARD.decode(key.as_str()).is_ok_and(|bytes| bytes.len() == 32);
    if !is_key {
        output.warn("the public key is not 32 bytes in base64: WireGuard takes no such key");
    }
}

/// Prints the peers of a party, one a row.
pub(super) fn table(page: &mut Page, party: &PartyId, peers: &BTreeMap<PeerId, Peer>) {
    let row = |peer: &Peer| {
        let info = &peer.info;
        [
            info.peer_id.to_string(),
            info.name.to_string(),
            peer.virtual_ip.to_string(),
            info.nat_type.to_string(),
            endpoint(info.public_ip, info.public_port),
            endpoint(info.local_ip, info.local_port),
            seen(page, peer),
        ]
    };
    let rows: Vec<_> = peers.values().map(row).collect();
    let header = ["PEER", "NAME", "VIRTUAL IP", "NAT", "PUBLIC", "LOCAL", "SEEN"];
    page.table(header, rows, "no peers");
    for peer in peers.values() {
        if let Some(change) = &peer.key_changed {
            page.line("");
            write_key_change(page, party, peer, change);
        }
    }
}

/// Warns of a key that is not accepted.
fn write_key_change(page: &mut Page, party: &PartyId, peer: &Peer, change: &KeyChange) {
    let KeyChange { previous, held } = change;
    let id = &peer.info.peer_id;
    let key = held.as_ref().unwrap_or(&peer.info.public_key);
    page.line(format_args!("warning: the public key of {id} changed"));
    page.line(format_args!("  from {previous} to {key}"));
    let what =
        if held.is_some() { "the old key stays in force" } else { "the new key is in force" };
    page.line(format_args!(
        "  {what}; ask its owner, then: lanragectl peer trust {party} {id} {key}"
    ));
}

fn show(page: &mut Page, party: &PartyId, result: &PeerResult) {
    let Peer { info, virtual_ip, .. } = &result.peer;
    page.fields([
        ("peer", info.peer_id.to_string()),
        ("name", info.name.to_string()),
        ("virtual ip", virtual_ip.to_string()),
        ("public key", info.public_key.to_string()),
        ("nat", info.nat_type.to_string()),
        ("public", endpoint(info.public_ip, info.public_port)),
        ("local", endpoint(info.local_ip, info.local_port)),
        ("seen", seen(page, &result.peer)),
    ]);
    if let Some(change) = &result.peer.key_changed {
        write_key_change(page, party, &result.peer, change);
    }
}

fn seen(page: &Page, peer: &Peer) -> String {
    let ago = page.ago(peer.last_seen);
    let ago = if peer.connected { ago } else { format!("{ago}, disconnected") };
    if peer.key_changed.is_some() { format!("{ago}, key changed") } else { ago }
}

/// Returns an address with its port, as far as they are known.
fn endpoint(ip: Address, port: u16) -> String {
    match (ip, port) {
        (ip, 0) => ip.to_string(),
        (Address::Known(ip), port) => std::net::SocketAddr::new(ip, port).to_string(),
        (Address::Unknown, port) => format!("unknown:{port}"),
    }
}
