//! Environment variables, as an argument.

use std::ffi::OsString;
use std::path::PathBuf;

type Lookup = dyn Fn(&str) -> Option<OsString> + Send;

/// Source of environment variables: the process, or a caller's own.
pub(crate) struct Environment {
    lookup: Box<Lookup>,
}

impl Environment {
    /// Returns the environment of this process.
    pub(crate) fn process() -> Self {
        Self::new(|name| std::env::var_os(name))
    }

    /// Returns an environment with the variables that `lookup` knows.
    pub(crate) fn new(lookup: impl Fn(&str) -> Option<OsString> + Send + 'static) -> Self {
        Self { lookup: Box::new(lookup) }
    }

    /// Returns the value of a variable; an empty one counts as unset.
    pub(crate) fn get(&self, name: &str) -> Option<OsString> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// Returns the directory that a variable names. The XDG specification ignores relative paths.
    /// Paths that are not UTF-8 are ignored, too: they could not be shown, sent or written to a
    /// file.
    pub(super) fn directory(&self, name: &str) -> Option<PathBuf> {
        self.get(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute() && path.to_str().is_some())
    }
}

#[cfg(test)]
impl Environment {
    /// Returns an environment of just these variables.
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let variables: Vec<(String, OsString)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        Self::new(move |name| {
            let (_, value) = variables.iter().find(|(known, _)| known == name)?;
            Some(value.clone())
        })
    }
}
