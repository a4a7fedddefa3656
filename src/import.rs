//! The first start beside a LANrage that was here before.

use std::path::Path;
use std::{fs, io};

use anyhow::Context as _;
use jiff::tz::TimeZone;
use lanrage_ipc::lanrage::Records;

use crate::control_plane::ControlPlane;
use crate::core::{Caller, ImportMode, command};
use crate::os::files::{self, Rule};

/// LANrage's state file.
const STATE: &str = "control_state.json";
/// What it is called once it has been taken in: it is kept, with whatever could not come in.
const IMPORTED: &str = "control_state.json.imported";
/// A longer one is none of LANrage's.
const LONGEST: u64 = 256 * 1024 * 1024;
/// Most entries that could not be taken in that the log names one by one.
const MOST_TOLD: usize = 100;

/// Takes in the state that LANrage left in the state directory, once.
///
/// # Errors
/// When it can't be read or its parties can't be stored: it is left for the next start.
pub(crate) async fn first_state(
    dir: &Path,
    control_plane: &ControlPlane,
    itself: Caller,
) -> anyhow::Result<()> {
    let (path, imported) = (dir.join(STATE), dir.join(IMPORTED));
    if !exists(&path) {
        return Ok(());
    }
    if exists(&imported) {
        log::warn!(
            "{} was not taken in, since one was before: use `lanragectl state import`",
            path.display()
        );
        return Ok(());
    }
    let file = path.clone();
    let reading = move || {
        let document = files::read(&file, Rule::Own, LONGEST)?;
        Ok::<_, io::Error>(Records::of_state(&document).salvage(&TimeZone::system()))
    };
    let salvage = tokio::task::spawn_blocking(reading).await?.with_context(|| cant_read(&path))?;
    if let Some(damage) = &salvage.damage {
        log::error!("{}: {damage}: only what came before is taken in", path.display());
    }
    let import = command!(Import { parties: salvage.parties, mode: ImportMode::Merge });
    let counts = control_plane.ask(itself, import).await?;
    let rejected: Vec<_> = salvage.rejected.iter().chain(&counts.rejected).collect();
    for rejected in rejected.iter().take(MOST_TOLD) {
        let peer = rejected.peer_id.as_ref().map(|id| format!(", peer {id}")).unwrap_or_default();
        let (file, party, reason) = (path.display(), &rejected.party_id, &rejected.reason);
        log::error!("{file}: party {party}{peer} was not taken in: {reason}");
    }
    if rejected.len() > MOST_TOLD {
        let more = rejected.len() - MOST_TOLD;
        log::error!("{}: {more} more entries were not taken in", path.display());
    }
    // Renamed, it would be passed over once its fault is mended.
    let nothing_came = counts.parties == 0 && counts.skipped == 0;
    if nothing_came && (!rejected.is_empty() || salvage.damage.is_some()) {
        log::error!(
            "nothing was taken in from {}: it keeps its name; mend it and start again, or move it away",
            path.display()
        );
        return Ok(());
    }
    fs::rename(&path, &imported)
        .with_context(|| format!("can't rename {} to {IMPORTED}", path.display()))?;
    log::info!(
        "{} parties with {} peers were taken in from {}, which is now {IMPORTED}",
        counts.parties,
        counts.peers,
        path.display()
    );
    Ok(())
}

fn cant_read(path: &Path) -> String {
    format!("can't read {}: make it readable, or move it away", path.display())
}

/// Whether a file is there, for those who only look.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
