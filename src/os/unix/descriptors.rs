//! Open files.

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// Raises the limit of open files as far as possible. Returns it; `None` if there is no limit.
pub(crate) fn raise_file_limit() -> Option<usize> {
    let limits = || getrlimit(Resource::RLIMIT_NOFILE);
    let raised = limits().and_then(|(soft, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        log::debug!("at most {hard} open files (before: {soft})");
        Ok(())
    });
    if let Err(error) = raised {
        log::debug!("can't raise the limit of open files: {error}");
    }
    let (soft, _) = limits().ok()?;
    (soft != RLIM_INFINITY).then(|| usize::try_from(soft).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_may_be_open_as_the_system_lets() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard - 1, hard).unwrap();
        assert_eq!(raise_file_limit(), usize::try_from(hard).ok());
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap(), (hard, hard));
    }
}
