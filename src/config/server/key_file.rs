//! File of the relays' key.

use crate::config::{ConfigError, Environment, Secret};
use crate::os::files::{self, Rule};
use lanrage_ipc::unicode::strip_bom;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes that are read at most: room for a key with white space around it.
const MOST_BYTES: u64 = 4096;

/// Reads the key in the file at `path`, without the white space around it. Warns if others than the
/// owner may read it.
pub(super) fn read(path: &Path, env: &Environment) -> Result<Secret, ConfigError> {
    let refused = |why: String| ConfigError::RelayKeyFile { path: path.to_path_buf(), why };
    let mut bytes = Vec::new();
    let open = files::open(path, Rule::Named)
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    if !is_credential(path, env) && is_open_to_others(&open) {
        log::warn!(
            "auth.relay_key_file: others than its owner may read {}: chmod 600 it",
            path.display()
        );
    }
    open.take(MOST_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| refused(format!("cannot be read: {error}")))?;
    let text = std::str::from_utf8(strip_bom(&bytes))
        .map_err(|_| refused("the key in it is not UTF-8".to_owned()))?;
    Secret::new(text.trim()).ok_or_else(|| refused(format!("the key in it {}", Secret::RULE)))
}

/// True if the service manager passed the file as a credential. Only the service can read it, even
/// where its access list looks like a right of the group.
fn is_credential(path: &Path, env: &Environment) -> bool {
    env.directory("CREDENTIALS_DIRECTORY").is_some_and(|directory| path.starts_with(directory))
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o044 != 0)
}

/// Other systems inherit rights from the directory, and have no mode.
#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn rights_of_the_group_and_of_others_are_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_open_to_others(file.as_file()), open, "{mode:o}");
        }
    }

    #[test]
    fn credentials_are_below_their_directory() {
        let env = Environment::of(&[("CREDENTIALS_DIRECTORY", "/run/credentials/a")]);
        assert!(is_credential(Path::new("/run/credentials/a/key"), &env));
        assert!(!is_credential(Path::new("/run/credentials/ab/key"), &env));
        assert!(!is_credential(Path::new("/key"), &Environment::of(&[])));
    }
}
