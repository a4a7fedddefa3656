//! Settings with a flag and, most of them, an environment variable.

use super::{ConfigError, Environment};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Names of a setting outside the file.
pub(super) struct Setting {
    flag: &'static str,
    variable: Option<&'static str>,
}

const fn setting(flag: &'static str, variable: &'static str) -> Setting {
    Setting { flag, variable: Some(variable) }
}

pub(super) const CONFIG: Setting = setting("--config", "LANRAGE_CONFIG");
pub(super) const SOCKET: Setting = setting("--socket", "LANRAGE_SOCKET");
pub(super) const STATE_DIR: Setting = setting("--state-dir", "LANRAGE_STATE_DIR");
pub(super) const DISCOVERY_FILE: Setting = setting("--discovery-file", "LANRAGE_DISCOVERY_FILE");
pub(super) const SERVER: Setting = setting("--server", "LANRAGE_CONTROL_SERVER");
pub(super) const PROXY: Setting = setting("--proxy", "LANRAGE_PROXY");
/// The control server's socket has no variable: `LANRAGE_SOCKET` means the daemon's.
pub(super) const SERVER_SOCKET: Setting = Setting { flag: "--socket", variable: None };

impl Setting {
    /// Returns the path of the flag, else of the variable, made absolute from the working
    /// directory.
    pub(super) fn given(
        &self,
        flag: Option<&Path>,
        env: &Environment,
    ) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.given_by(flag, env)?.map(|(path, _)| path))
    }

    /// Returns the given value, as [`Setting::given`] does, with the name of the flag or variable
    /// that gave it.
    pub(super) fn given_by(
        &self,
        flag: Option<&Path>,
        env: &Environment,
    ) -> Result<Option<(PathBuf, &'static str)>, ConfigError> {
        let Some((path, by)) = self.raw(flag.map(Path::as_os_str), env) else { return Ok(None) };
        let path = PathBuf::from(path);
        if path.to_str().is_none() {
            return Err(ConfigError::NotUtf8 { path, by });
        }
        match std::path::absolute(&path) {
            Ok(absolute) => Ok(Some((absolute, by))),
            Err(error) => Err(ConfigError::BadPath { path, by, error }),
        }
    }

    /// Returns the text of the flag, else of the variable, with the name of the source.
    pub(super) fn text(
        &self,
        flag: Option<&str>,
        env: &Environment,
    ) -> Option<(String, &'static str)> {
        let (text, by) = self.raw(flag.map(OsStr::new), env)?;
        Some((text.to_string_lossy().into_owned(), by))
    }

    fn raw(&self, flag: Option<&OsStr>, env: &Environment) -> Option<(OsString, &'static str)> {
        let of_env = || self.variable.and_then(|variable| Some((env.get(variable)?, variable)));
        flag.map(|flag| (flag.to_owned(), self.flag)).or_else(of_env)
    }
}
