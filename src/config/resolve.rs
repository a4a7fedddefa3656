//! Resolution that the daemon and the control server share.

use super::setting::STATE_DIR;
use super::{ConfigError, Environment, paths};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Returns the state directory: that of the flag or the variable, else `of_file`, else the default.
pub(super) fn state_dir(
    flag: Option<&Path>,
    of_file: Option<PathBuf>,
    system: bool,
    env: &Environment,
) -> Result<PathBuf, ConfigError> {
    STATE_DIR
        .given(flag, env)?
        .or(of_file)
        .or_else(|| paths::state_dir(system, env))
        .ok_or(ConfigError::NoStateDir { variables: paths::STATE_DIR_VARIABLES })
}

/// Returns the keys that are marked as changed.
pub(super) fn changed<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    keys.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
}

/// Returns a configuration as a file, which begins with its source.
pub(super) fn effective_toml(config: &impl Serialize, config_file: Option<&Path>) -> String {
    let origin = match config_file {
        Some(path) => format!("# Flags and environment over {path:?} over defaults."),
        None => "# Flags and environment over defaults; there is no configuration file.".to_owned(),
    };
    let keys = toml::to_string(config)
        .expect("every key is a string, and no path is let in that is not UTF-8");
    format!("{origin}\n{keys}")
}
