//! Import at the first start, from an earlier LANrage.

use std::path::Path;
use std::{fs, io};

use anyhow::Context as _;
use jiff::tz::TimeZone;
use lanrage_ipc::lanrage::Records;

use crate::control_plane::ControlPlane;
use crate::core::{Caller, ImportMode, command};
use crate::os::files::{self, Rule};

/// Name of LANrage's state file.
const STATE: &str = "control_state.json";
/// Name of the file after its import: it is kept, with the entries that were refused.
const IMPORTED: &str = "control_state.json.imported";
/// Size limit of the file: LANrage's own is smaller.
const LONGEST: u64 = 256 * 1024 * 1024;
/// Limit of refused entries that the log names one by one.
const MOST_TOLD: usize = 100;

/// Imports the state that LANrage left in the state directory, once.
///
/// # Errors
/// The state can't be read or stored: the file stays for the next start.
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
        log::error!("{}: {damage}: only the entries before it are taken in", path.display());
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
    // A renamed file would be skipped after its fault is fixed.
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

/// True if a file exists; for checks without an open.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
