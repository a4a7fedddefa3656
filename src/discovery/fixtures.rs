//! Fixtures of the tests of this module.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Zoned;
use lanrage_ipc::lanrage::AnnouncedParty;
use lanrage_ipc::model::Party;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::disk;
use super::entries::Entries;
use super::file::DiscoveryFile;

/// A time five and a half hours ahead of UTC, so that no mix-up goes unseen.
pub(super) fn now() -> Zoned {
    "2026-11-22T17:18:35.123456+05:30[+05:30]".parse().expect("a time")
}

/// A party whose members were last seen a year before [`now`].
pub(super) fn party(id: &str, host: &str, guests: &[&str]) -> Arc<Party> {
    let peer = |id: &&str| {
        let peer = json!({
            "peer_id": id, "name": "Zoë 🎲", "public_key": "k\"/\\", "nat_type": "open",
            "public_ip": "2001:db8::7", "public_port": 0, "local_ip": "unknown",
            "local_port": 51820, "virtual_ip": "10.66.0.1", "connected": true,
            "last_seen": "2025-11-22T11:48:35.5Z",
        });
        ((*id).to_owned(), peer)
    };
    let party = json!({
        "party_id": id, "name": "Friday", "host_id": host, "created_at": "2026-11-22T11:48:35Z",
        "peers": guests.iter().chain([&host]).map(peer).collect::<serde_json::Map<_, _>>(),
        "origin": "local", "sync": "synced", "epoch": "e", "seq": 1,
    });
    Arc::new(serde_json::from_value(party).expect("a party"))
}

/// The entry of someone else's party, as JSON.
pub(super) fn foreign(id: &str, host: &str) -> Value {
    serde_json::to_value(AnnouncedParty::new(&party(id, host, &[]), now().time_zone()))
        .expect("JSON")
}

pub(super) fn ours(parties: &[&Arc<Party>]) -> Entries {
    within(Entries::default(), parties)
}

/// Adds parties to entries.
pub(super) fn within(mut entries: Entries, parties: &[&Arc<Party>]) -> Entries {
    for party in parties {
        entries.set(&party.party_id, Some(party), now().time_zone()).expect("an entry");
    }
    entries
}

/// A directory with a discovery file, and the state of a daemon.
pub(super) struct Place {
    pub(super) dir: TempDir,
    pub(super) path: PathBuf,
}

impl Place {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { path: dir.path().join("discovery.json"), dir }
    }

    /// The file as one daemon sees it, whose state is of that name.
    pub(super) fn daemon(&self, name: &str) -> DiscoveryFile {
        DiscoveryFile::new(self.path.clone(), self.dir.path().join(name))
    }

    pub(super) fn write(&self, text: &str) {
        fs::write(&self.path, text).expect("written");
    }

    pub(super) fn text(&self) -> String {
        fs::read_to_string(&self.path).expect("a file")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text()).expect("JSON")
    }

    /// The ids in the file.
    pub(super) fn ids(&self) -> Vec<String> {
        self.json().as_object().expect("an object").keys().cloned().collect()
    }

    /// Returns the names of the files that were set aside.
    pub(super) fn set_aside(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).expect("a directory").flatten();
        let is_kept = |path: &PathBuf| path.to_string_lossy().contains(".damaged-");
        let kept = names.map(|entry| entry.path()).filter(is_kept);
        kept.map(|path| fs::read_to_string(path).expect("a file")).collect()
    }

    /// Lets every write fail until the returned directory is removed.
    pub(super) fn obstacle(&self, file: &Path) -> PathBuf {
        let temporary = disk::sibling(file, disk::TEMPORARY);
        fs::create_dir(&temporary).expect("a directory");
        temporary
    }
}

/// Runs a Python program and returns what it prints.
#[cfg(unix)]
pub(super) fn python(program: &str, arguments: &[&Path]) -> String {
    let output = std::process::Command::new("python3")
        .args(["-c", program])
        .args(arguments)
        .output()
        .expect("python3, which these tests need");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}
