//! The settings that have a flag and, most of them, an environment variable.

use super::{ConfigError, Environment};
use std::path::{Path, PathBuf};

/// A setting's two names outside the file.
pub(super) struct Setting {
    flag: &'static str,
    variable: Option<&'static str>,
}

pub(super) const CONFIG: Setting = Setting { flag: "--config", variable: Some("LANRAGE_CONFIG") };
pub(super) const SOCKET: Setting = Setting { flag: "--socket", variable: Some("LANRAGE_SOCKET") };
pub(super) const STATE_DIR: Setting =
    Setting { flag: "--state-dir", variable: Some("LANRAGE_STATE_DIR") };
pub(super) const DISCOVERY_FILE: Setting =
    Setting { flag: "--discovery-file", variable: Some("LANRAGE_DISCOVERY_FILE") };
/// The control server's own socket has no variable: `LANRAGE_SOCKET` means the daemon's.
pub(super) const SERVER_SOCKET: Setting = Setting { flag: "--socket", variable: None };

impl Setting {
    /// The path that the flag gives, else the variable: made absolute, as seen from the working directory.
    pub(super) fn given(
        &self,
        flag: Option<&Path>,
        env: &Environment,
    ) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.given_by(flag, env)?.map(|(path, _)| path))
    }

    /// As [`Setting::given`], with the name of the flag or variable that gave it.
    pub(super) fn given_by(
        &self,
        flag: Option<&Path>,
        env: &Environment,
    ) -> Result<Option<(PathBuf, &'static str)>, ConfigError> {
        let (path, by) = if let Some(path) = flag {
            (path.to_path_buf(), self.flag)
        } else if let Some((value, variable)) =
            self.variable.and_then(|variable| Some((env.get(variable)?, variable)))
        {
            (PathBuf::from(value), variable)
        } else {
            return Ok(None);
        };
        if path.to_str().is_none() {
            return Err(ConfigError::NotUtf8 { path, by });
        }
        match std::path::absolute(&path) {
            Ok(absolute) => Ok(Some((absolute, by))),
            Err(error) => Err(ConfigError::BadPath { path, by, error }),
        }
    }
}
