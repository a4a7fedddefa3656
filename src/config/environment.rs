//! The environment variables, as an argument.

use std::ffi::OsString;
use std::path::PathBuf;

type Lookup = dyn Fn(&str) -> Option<OsString> + Send;

/// Where environment variables come from: the process, or whatever a caller makes up.
pub(crate) struct Environment {
    lookup: Box<Lookup>,
}

impl Environment {
    /// The environment of this process.
    pub(crate) fn process() -> Self {
        Self::new(|name| std::env::var_os(name))
    }

    /// The variables that `lookup` knows.
    pub(crate) fn new(lookup: impl Fn(&str) -> Option<OsString> + Send + 'static) -> Self {
        Self { lookup: Box::new(lookup) }
    }

    /// The value of a variable; an empty one counts as unset.
    pub(crate) fn get(&self, name: &str) -> Option<OsString> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// The directory that a variable names. As the XDG specification wants it, a relative path is ignored; so is one
    /// that is not UTF-8, which could not be shown, sent or written to a file.
    pub(super) fn directory(&self, name: &str) -> Option<PathBuf> {
        self.get(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute() && path.to_str().is_some())
    }
}

#[cfg(test)]
impl Environment {
    /// An environment of just these variables.
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let variables: Vec<(String, OsString)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        Self::new(move |name| {
            let (_, value) = variables.iter().find(|(known, _)| known == name)?;
            Some(value.clone())
        })
    }
}
