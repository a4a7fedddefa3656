//! `signal …`.

use lanrage_ipc::method::{SignalPoll, SignalSend};
use lanrage_ipc::model::{PartyId, PeerId};
use lanrage_ipc::params::SignalSendParams;
use lanrage_ipc::results::SignalPollResult;

use super::daemon::Daemon;
use super::exit::Failure;
use super::identity;
use super::input::Json;
use super::output::Page;
use super::peer::Member;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Leave a signal for a peer, who has to poll for it
    Send {
        /// The party's id
        #[arg(allow_hyphen_values = true)]
        party: PartyId,
        /// The peer that sends [default: your login and host name]
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        from: Option<PeerId>,
        /// The peer that it is for
        #[arg(long, value_name = "ID", allow_hyphen_values = true)]
        to: PeerId,
        /// What to say: any JSON; - reads it from standard input
        #[arg(allow_negative_numbers = true)]
        data: Json,
    },
    /// Take the signals that wait for a peer
    Poll(Member),
}

impl Command {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        match self {
            Self::Send { party, from, to, data } => {
                let params = SignalSendParams {
                    party_id: party,
                    from_peer_id: from.map_or_else(identity::peer_id, Ok)?,
                    to_peer_id: to,
                    signal_data: data.read()?.into(),
                };
                daemon.connect()?.show::<SignalSend>(&params, |page, _| {
                    page.line(format_args!("the signal waits for {}", params.to_peer_id));
                })
            }
            Self::Poll(member) => daemon.connect()?.show::<SignalPoll>(&member.params()?, show),
        }
    }
}

fn show(page: &mut Page, result: &SignalPollResult) {
    let row = |signal: &lanrage_ipc::model::Signal| {
        let data = signal.signal_data.as_json().to_owned();
        [signal.from_peer_id.to_string(), page.ago(signal.sent_at), data]
    };
    let rows: Vec<_> = result.signals.iter().map(row).collect();
    page.table(["FROM", "SENT", "DATA"], rows, "no signals");
}
