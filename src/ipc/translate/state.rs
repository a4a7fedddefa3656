//! Requests about the whole state: backup, export, import.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use lanrage_ipc::params::{self, StateImportParams};
use lanrage_ipc::results::{StateBackupResult, StateExportResult, StateImportResult};
use lanrage_ipc::{ErrorCode, Reply, RpcError, lanrage};

use super::Translator;
use crate::control_plane::Ask;
use crate::core::{ImportMode, command};
use crate::ipc::errors::EXPORT_TOO_LONG;

impl Translator {
    pub(super) async fn backup(&self, path: String) -> Result<Reply, RpcError> {
        let bytes = self.ask(|reply| Ask::Backup(PathBuf::from(&path), reply)).await?;
        Ok(Reply::StateBackup(StateBackupResult { path, bytes }))
    }

    pub(super) async fn export(&self) -> Result<Reply, RpcError> {
        let too_long = |error: RpcError| match error.data.code {
            ErrorCode::FrameTooLarge => error.hint(EXPORT_TOO_LONG),
            _ => error,
        };
        let parties = self.all_parties().await.map_err(too_long)?;
        let zone = TimeZone::system();
        let parties = parties
            .iter()
            .map(|party| (party.party_id.to_string(), lanrage::AnnouncedParty::new(party, &zone)));
        Ok(Reply::StateExport(StateExportResult {
            state: lanrage::State {
                parties: parties.collect(),
                my_peer_id: None,
                my_party_id: None,
            },
        }))
    }

    pub(super) async fn import(&self, params: StateImportParams) -> Result<Reply, RpcError> {
        let salvage = lanrage::Records::of_state(params.state.0.get().as_bytes())
            .salvage(&TimeZone::system());
        if let Some(damage) = salvage.damage {
            return Err(RpcError::invalid_params("state", damage));
        }
        let mode = match params.mode {
            params::ImportMode::Merge => ImportMode::Merge,
            params::ImportMode::Replace => ImportMode::Replace,
        };
        let parties = salvage.parties;
        let counts = self.ask(command!(Import { parties, mode })).await?;
        let mut rejected = salvage.rejected;
        rejected.extend(counts.rejected);
        Ok(Reply::StateImport(StateImportResult {
            parties: counts.parties,
            peers: counts.peers,
            skipped: counts.skipped,
            removed: counts.removed,
            rejected,
        }))
    }
}
