//! Default paths, the only difference between operating systems.

pub(super) use os::{
    STATE_DIR_VARIABLES, config_file, makeshift_directory, server_socket, socket, state_dir,
};

#[cfg(unix)]
mod os {
    use crate::config::Environment;
    use std::path::{Path, PathBuf};

    /// Variables that [`state_dir`] needs one of, for the error message.
    pub(in crate::config) const STATE_DIR_VARIABLES: &str = "XDG_STATE_HOME or HOME";

    /// Returns the configuration file of `program`; `None` for a user without a home.
    pub(in crate::config) fn config_file(
        program: &str,
        system: bool,
        env: &Environment,
    ) -> Option<PathBuf> {
        let directory = if system {
            PathBuf::from("/etc")
        } else {
            of_user("XDG_CONFIG_HOME", ".config", env)?
        };
        Some(directory.join(format!("lanrage/{program}.toml")))
    }

    /// Returns the socket. Its directory belongs to the user alone, which matters below the
    /// temporary directory.
    pub(in crate::config) fn socket(system: bool, env: &Environment) -> PathBuf {
        let directory = if system {
            PathBuf::from("/run/lanrage")
        } else if let Some(runtime) = env.directory("XDG_RUNTIME_DIR") {
            runtime.join("lanrage")
        } else {
            makeshift_directory(env)
        };
        directory.join("control.sock")
    }

    /// Returns the control server's socket. It is in the state directory, so that each server of a
    /// user has its own.
    pub(in crate::config) fn server_socket(system: bool, state_dir: &Path) -> PathBuf {
        if system {
            "/run/lanragectl-server/control.sock".into()
        } else {
            state_dir.join("server.sock")
        }
    }

    /// Returns the socket's directory for a user without a runtime directory: any user might create
    /// it first.
    pub(in crate::config) fn makeshift_directory(env: &Environment) -> PathBuf {
        let temporary = env.directory("TMPDIR").unwrap_or_else(|| "/tmp".into());
        temporary.join(format!("lanrage-{}", nix::unistd::geteuid()))
    }

    /// Returns the state directory; `None` for a user without a home.
    pub(in crate::config) fn state_dir(system: bool, env: &Environment) -> Option<PathBuf> {
        if system {
            return Some("/var/lib/lanrage".into());
        }
        Some(of_user("XDG_STATE_HOME", ".local/state", env)?.join("lanrage"))
    }

    fn of_user(variable: &str, below_home: &str, env: &Environment) -> Option<PathBuf> {
        env.directory(variable).or_else(|| Some(env.directory("HOME")?.join(below_home)))
    }
}

#[cfg(windows)]
mod os {
    use crate::config::Environment;
    use std::path::{Path, PathBuf};

    /// Variables that [`state_dir`] needs, for the error message.
    pub(in crate::config) const STATE_DIR_VARIABLES: &str = "LOCALAPPDATA";

    /// Returns the configuration file of `program`; `None` for a user without application data.
    pub(in crate::config) fn config_file(
        program: &str,
        system: bool,
        env: &Environment,
    ) -> Option<PathBuf> {
        let directory = if system { of_system(env) } else { env.directory("APPDATA")? };
        Some(directory.join("lanrage").join(format!("{program}.toml")))
    }

    /// Returns the named pipe. All users' pipes share one name space, so the user's own pipe
    /// includes the user's name.
    pub(in crate::config) fn socket(system: bool, env: &Environment) -> PathBuf {
        let user = env.get("USERNAME").filter(|_| !system);
        let suffix = user.map(|user| format!("-{}", user.to_string_lossy()));
        format!(r"\\.\pipe\lanrage{}", suffix.unwrap_or_default()).into()
    }

    /// Returns the control server's named pipe. It is named after the state directory, so that each
    /// server of a user has its own.
    pub(in crate::config) fn server_socket(system: bool, state_dir: &Path) -> PathBuf {
        if system {
            return r"\\.\pipe\lanrage-server".into();
        }
        // A backslash would begin another part of the name.
        let name = state_dir.to_string_lossy().replace(['\\', '/', ':'], "-");
        format!(r"\\.\pipe\lanrage-server-{name}").into()
    }

    /// Returns `None`: pipes are in no directory.
    pub(in crate::config) fn makeshift_directory(_: &Environment) -> PathBuf {
        PathBuf::new()
    }

    /// Returns the state directory; `None` for a user without application data.
    pub(in crate::config) fn state_dir(system: bool, env: &Environment) -> Option<PathBuf> {
        let directory = if system { of_system(env) } else { env.directory("LOCALAPPDATA")? };
        Some(directory.join("lanrage"))
    }

    fn of_system(env: &Environment) -> PathBuf {
        env.directory("ProgramData").unwrap_or_else(|| r"C:\ProgramData".into())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::config::Environment;
    use std::path::{Path, PathBuf};

    #[test]
    fn system_paths_need_no_environment() {
        let env = Environment::of(&[("XDG_RUNTIME_DIR", "/run/user/1"), ("HOME", "/home/ann")]);
        let file = config_file("lanragectl-d", true, &env).unwrap();
        assert_eq!(file, PathBuf::from("/etc/lanrage/lanragectl-d.toml"));
        assert_eq!(socket(true, &env), PathBuf::from("/run/lanrage/control.sock"));
        assert_eq!(state_dir(true, &env).unwrap(), PathBuf::from("/var/lib/lanrage"));
    }

    #[test]
    fn control_servers_of_a_user_have_their_own_sockets() {
        let system = server_socket(true, Path::new("/s"));
        assert_eq!(system, PathBuf::from("/run/lanragectl-server/control.sock"));
        assert_eq!(server_socket(false, Path::new("/s")), PathBuf::from("/s/server.sock"));
    }

    #[test]
    fn user_paths_follow_xdg() {
        let env = Environment::of(&[
            ("HOME", "/home/ann"),
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
        ]);
        let file = config_file("lanragectl", false, &env).unwrap();
        assert_eq!(file, PathBuf::from("/c/lanrage/lanragectl.toml"));
        assert_eq!(socket(false, &env), PathBuf::from("/run/user/1/lanrage/control.sock"));
        assert_eq!(state_dir(false, &env).unwrap(), PathBuf::from("/s/lanrage"));
    }

    #[test]
    fn home_stands_in_for_unset_empty_and_relative_xdg_directories() {
        let env = Environment::of(&[
            ("HOME", "/home/ann"),
            ("XDG_CONFIG_HOME", ""),
            ("XDG_STATE_HOME", "state"),
        ]);
        let file = config_file("lanragectl", false, &env).unwrap();
        assert_eq!(file, PathBuf::from("/home/ann/.config/lanrage/lanragectl.toml"));
        assert_eq!(
            state_dir(false, &env).unwrap(),
            PathBuf::from("/home/ann/.local/state/lanrage")
        );
    }

    #[test]
    fn socket_without_a_runtime_directory_is_in_a_directory_of_the_user() {
        let uid = nix::unistd::geteuid();
        for (variables, temporary) in [
            (&[("TMPDIR", "/var/tmp")][..], "/var/tmp"),
            (&[("XDG_RUNTIME_DIR", ""), ("TMPDIR", "")][..], "/tmp"),
            (&[("XDG_RUNTIME_DIR", "run"), ("TMPDIR", "tmp")][..], "/tmp"),
        ] {
            assert_eq!(
                socket(false, &Environment::of(variables)),
                PathBuf::from(format!("{temporary}/lanrage-{uid}/control.sock"))
            );
        }
    }

    #[test]
    fn without_a_home_there_is_no_place() {
        let env = Environment::of(&[]);
        assert_eq!(config_file("lanragectl", false, &env), None);
        assert_eq!(state_dir(false, &env), None);
    }
}

#[cfg(all(test, windows))]
mod tests {
    use super::*;
    use crate::config::Environment;
    use std::path::{Path, PathBuf};

    #[test]
    fn paths_of_a_user() {
        let env = Environment::of(&[
            ("USERNAME", "ann"),
            ("APPDATA", r"C:\Roaming"),
            ("LOCALAPPDATA", r"C:\Local"),
        ]);
        assert_eq!(
            config_file("lanragectl", false, &env).unwrap(),
            PathBuf::from(r"C:\Roaming\lanrage\lanragectl.toml")
        );
        assert_eq!(socket(false, &env), PathBuf::from(r"\\.\pipe\lanrage-ann"));
        assert_eq!(state_dir(false, &env).unwrap(), PathBuf::from(r"C:\Local\lanrage"));
    }

    #[test]
    fn control_servers_of_a_user_have_their_own_pipes() {
        let system = server_socket(true, Path::new(r"C:\s"));
        assert_eq!(system, PathBuf::from(r"\\.\pipe\lanrage-server"));
        let own = server_socket(false, Path::new(r"C:\s\t"));
        assert_eq!(own, PathBuf::from(r"\\.\pipe\lanrage-server-C--s-t"));
    }

    #[test]
    fn paths_of_the_system() {
        let env = Environment::of(&[("USERNAME", "ann"), ("ProgramData", r"D:\Data")]);
        assert_eq!(
            config_file("lanragectl-d", true, &env).unwrap(),
            PathBuf::from(r"D:\Data\lanrage\lanragectl-d.toml")
        );
        assert_eq!(socket(true, &env), PathBuf::from(r"\\.\pipe\lanrage"));
        assert_eq!(state_dir(true, &env).unwrap(), PathBuf::from(r"D:\Data\lanrage"));
    }
}
