//! `relay …`.

use std::net::{IpAddr, SocketAddr};

use lanrage_ipc::method::{RelayList, RelayRegister};
use lanrage_ipc::model::{Name, Relay, RelayId};
use lanrage_ipc::params::{RelayListParams, RelayRegisterParams};

use super::daemon::Daemon;
use super::exit::Failure;
use super::output::Page;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Announce a relay, change it, or tell that it is still there
    Register {
        /// The relay's id
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        relay: RelayId,
        /// Where it listens
        #[arg(long, value_name = "IP")]
        public_ip: IpAddr,
        /// The port it listens on
        #[arg(long)]
        port: u16,
        /// Where in the world it stands [default: unknown]
        #[arg(long)]
        region: Option<Name>,
        /// How many peers it takes [default: 100]
        #[arg(long, value_name = "PEERS")]
        capacity: Option<u32>,
    },
    /// Show the relays
    List {
        /// Only those of this region
        #[arg(long)]
        region: Option<Name>,
    },
}

impl Command {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        match self {
            Self::Register { relay, public_ip, port, region, capacity } => {
                let params =
                    RelayRegisterParams { relay_id: relay, public_ip, port, region, capacity };
                daemon.connect()?.show::<RelayRegister>(&params, |page, result| {
                    table(page, std::slice::from_ref(&result.relay));
                })
            }
            Self::List { region } => {
                let params = RelayListParams { region };
                daemon
                    .connect()?
                    .show::<RelayList>(&params, |page, result| table(page, &result.relays))
            }
        }
    }
}

/// Prints relays, one a row.
pub(super) fn table(page: &mut Page, relays: &[Relay]) {
    let row = |relay: &Relay| {
        [
            relay.relay_id.to_string(),
            relay.region.to_string(),
            SocketAddr::new(relay.public_ip, relay.port).to_string(),
            relay.capacity.to_string(),
            page.ago(relay.registered_at),
        ]
    };
    let rows: Vec<_> = relays.iter().map(row).collect();
    page.table(["RELAY", "REGION", "ADDRESS", "CAPACITY", "REGISTERED"], rows, "no relays");
}
