//! Relays: every program that has one announces it again and again, so that nothing is remembered
//! for the server.

use lanrage_ipc::control::ClientFrame;
use lanrage_ipc::model::Name;

use super::actor::Desk;
use crate::control_plane::{Answer, Ask, Failure, Query};
use crate::core::{Caller, Command};

impl Desk {
    pub(super) async fn register_relay(
        &self,
        caller: Caller,
        command: Command,
    ) -> Result<Answer, Failure> {
        self.registry(caller, Ask::Command(command)).await
    }

    pub(super) async fn list_relays(
        &self,
        caller: Caller,
        region: Option<Name>,
    ) -> Result<Answer, Failure> {
        let _frame = ClientFrame::ListRelays { region: region.clone() };
        self.registry(caller, Ask::Query(Query::Relays(region))).await
    }
}
