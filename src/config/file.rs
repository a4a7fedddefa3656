//! Search for the configuration file, and reading of its text.

use super::reader::{self, Table};
use super::{ConfigError, Environment, Mistake, paths, setting};
use crate::os::files::{self, Distrust, Rule};
use lanrage_ipc::unicode::strip_bom;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Largest file in bytes: far more than any configuration needs.
const MOST_BYTES: u64 = 1024 * 1024;

/// Path of a program's configuration file, existing or not.
pub(super) struct Place {
    path: Option<PathBuf>,
    /// Flag or variable that names the file.
    by: Option<&'static str>,
}

impl Place {
    /// Returns the file of `program`: the named one, else the one at the default path.
    pub(super) fn of(
        program: &str,
        flag: Option<&Path>,
        system: bool,
        env: &Environment,
    ) -> Result<Self, ConfigError> {
        Ok(match setting::CONFIG.given_by(flag, env)? {
            Some((path, by)) => Self { path: Some(path), by: Some(by) },
            None => Self { path: paths::config_file(program, system, env), by: None },
        })
    }

    /// Reads the file by `schema`. Without a file, `schema` sees an empty table. Also returns the
    /// path of an existing file.
    pub(super) fn read<T>(
        self,
        schema: impl FnOnce(&mut Table<'_>) -> T,
    ) -> Result<(Option<PathBuf>, T), ConfigError> {
        let file = match self.path {
            Some(path) => text_of(&path, self.by)?.map(|text| (path, text)),
            None => None,
        };
        let Some((path, text)) = file else {
            return Ok((None, schema(&mut Table::empty())));
        };
        let directory = path.parent().unwrap_or(&path);
        match reader::read(&text, directory, schema) {
            Ok(value) => Ok((Some(path), value)),
            Err(mistakes) => Err(ConfigError::Malformed { path, mistakes }),
        }
    }
}

/// Returns the text of the file; `None` if it does not exist.
fn text_of(path: &Path, by: Option<&'static str>) -> Result<Option<String>, ConfigError> {
    let bytes = match files::read(path, Rule::Named, MOST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => {
            // A path through a file gives the second error, such as XDG_CONFIG_HOME=/dev/null.
            let missing = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
            let path = path.to_path_buf();
            return match by {
                None if missing => Ok(None),
                Some(by) if missing => {
                    log::warn!(
                        "there is no {}, which {by} names: going on without it",
                        path.display()
                    );
                    Ok(None)
                }
                _ if path.is_dir() => Err(ConfigError::Directory { path }),
                _ if error.kind() == ErrorKind::FileTooLarge => {
                    Err(ConfigError::TooLarge { path, limit: MOST_BYTES })
                }
                _ if Distrust::is_in(&error) => Err(ConfigError::Untrusted { error }),
                _ => Err(ConfigError::Unreadable { path, error }),
            };
        }
    };
    match String::from_utf8(strip_bom(&bytes).to_vec()) {
        Ok(text) => Ok(Some(text)),
        Err(error) => Err(ConfigError::Malformed {
            path: path.to_path_buf(),
            mistakes: vec![not_utf8(&error)],
        }),
    }
}

fn not_utf8(error: &std::string::FromUtf8Error) -> Mistake {
    let (before, rest) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
    let before = String::from_utf8_lossy(before);
    let (line, column) = reader::position(&before, before.len());
    Mistake {
        line,
        column: Some(column),
        message: format!(
            "byte 0x{:02x} is not UTF-8: save the file as UTF-8",
            rest.first().copied().unwrap_or_default()
        ),
    }
}
