//! The file that the relays' key is in.

use crate::config::{ConfigError, Environment, Secret};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The most bytes that are read: room for a key with white space around it.
const MOST_BYTES: u64 = 4096;

/// The key in the file at `path`, without the white space around it. Warns if others than the owner may read it.
pub(super) fn read(path: &Path, env: &Environment) -> Result<Secret, ConfigError> {
    let refused = |why: String| ConfigError::RelayKeyFile { path: path.to_path_buf(), why };
    let mut text = String::new();
    let open = File::open(path).map_err(|error| refused(format!("cannot be read: {error}")))?;
    // The service manager gives its credentials to the service alone, by an access list that looks like a group's right.
    let handed_over = env.directory("CREDENTIALS_DIRECTORY").is_some_and(|of| path.starts_with(of));
    if !handed_over && is_open_to_others(&open) {
        log::warn!(
            "auth.relay_key_file: others than its owner may read {}: chmod 600 it",
            path.display()
        );
    }
    open.take(MOST_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    Secret::new(text.trim()).ok_or_else(|| refused(format!("the key in it {}", Secret::RULE)))
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o044 != 0)
}

/// Elsewhere rights are inherited from the directory, and no mode tells them.
#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> bool {
    false
}
