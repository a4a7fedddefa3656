mod effective;
mod remote;

use super::*;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Directory with a configuration file, and arguments that name the file.
struct Configured {
    directory: TempDir,
    args: DaemonArgs,
}

impl Configured {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("d.toml");
        fs::write(&path, text).unwrap();
        let args = DaemonArgs { config: Some(path), ..DaemonArgs::default() };
        Self { directory, args }
    }

    fn path(&self) -> String {
        self.args.config.as_ref().unwrap().display().to_string()
    }

    fn below(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn home(&self) -> Environment {
        let home = self.directory.path().to_str().unwrap();
        Environment::of(&[("HOME", home), ("LOCALAPPDATA", home)])
    }

    fn load(&self) -> Result<DaemonConfig, ConfigError> {
        load(&self.args, &self.home())
    }
}

type Pick = fn(&DaemonConfig) -> &Path;
type Give = fn(&mut DaemonArgs, PathBuf);

const PATHS: [(&str, &str, Give, Pick); 3] = [
    ("socket", "LANRAGE_SOCKET", |args, path| args.socket = Some(path), |config| &config.socket),
    (
        "state_dir",
        "LANRAGE_STATE_DIR",
        |args, path| args.state_dir = Some(path),
        |config| &config.state_dir,
    ),
    (
        "discovery_file",
        "LANRAGE_DISCOVERY_FILE",
        |args, path| args.discovery_file = Some(path),
        |config| &config.discovery_file,
    ),
];

#[test]
fn flag_goes_before_variable_before_file_before_default() {
    for (key, variable, give, pick) in PATHS {
        let mut configured = Configured::new(format!("{key} = 'of-file'"));
        let (of_flag, of_variable) = (configured.below("of-flag"), configured.below("of-env"));
        let home = configured.home();
        let value = of_variable.clone().into_os_string();
        let env =
            Environment::new(
                move |name| {
                    if name == variable { Some(value.clone()) } else { home.get(name) }
                },
            );

        let default = load(&Configured::new("").args, &configured.home()).unwrap();
        assert!(!pick(&default).ends_with("of-file"), "{key}");
        let of_file = configured.load().unwrap();
        assert_eq!(pick(&of_file), configured.below("of-file"), "{key}");
        let loaded = load(&configured.args, &env).unwrap();
        assert_eq!(pick(&loaded), of_variable, "{key}");
        give(&mut configured.args, of_flag.clone());
        let loaded = load(&configured.args, &env).unwrap();
        assert_eq!(pick(&loaded), of_flag, "{key}");
    }
}

#[test]
fn empty_variable_counts_as_unset() {
    for (key, variable, _, pick) in PATHS {
        let configured = Configured::new(format!("{key} = 'of-file'"));
        let home = configured.home();
        let env = Environment::new(
            move |name| {
                if name == variable { Some("".into()) } else { home.get(name) }
            },
        );
        let loaded = load(&configured.args, &env).unwrap();
        assert_eq!(pick(&loaded), configured.below("of-file"), "{key}");
    }
}

#[test]
fn discovery_file_is_in_the_state_directory_in_effect() {
    let mut configured = Configured::new("state_dir = 'of-file'");
    let loaded = configured.load().unwrap();
    assert_eq!(loaded.discovery_file, configured.below("of-file/discovery.json"));
    configured.args.state_dir = Some(configured.below("of-flag"));
    let loaded = configured.load().unwrap();
    assert_eq!(loaded.discovery_file, configured.below("of-flag/discovery.json"));
}

#[test]
fn flags_are_seen_from_the_working_directory() {
    let mut configured = Configured::new("");
    configured.args.socket = Some("control.sock".into());
    let here = std::env::current_dir().unwrap();
    assert_eq!(configured.load().unwrap().socket, here.join("control.sock"));
}

#[test]
fn file_is_read_into_its_tables() {
    let configured = Configured::new(
        "[cleanup]\ninterval = '250ms'\n[store]\nbatch = '1s'\n[addresses]\nsubnet = '10.7.0.0/24'\n\
         [access]\noperators = [1000]\n[limits]\npeers_per_party = 8\n",
    );
    let loaded = configured.load().unwrap();
    assert_eq!(loaded.config_file, configured.args.config);
    assert!(!loaded.system);
    assert_eq!(loaded.cleanup.interval, Duration::from_millis(250));
    assert_eq!(loaded.cleanup.peer_timeout, Duration::from_secs(300));
    assert_eq!(loaded.store.batch, Duration::from_secs(1));
    assert_eq!(loaded.addresses.subnet.to_string(), "10.7.0.0/24");
    assert_eq!(loaded.access.operators, [1000]);
    assert_eq!(loaded.limits.peers_per_party, 8);
}

#[test]
fn mistakes_name_file_line_and_key() {
    let configured = Configured::new("\n[cleanup]\nintervall = '5s'\ninterval = \"5 parsecs\"\n");
    let file = configured.path();
    assert_eq!(
        configured.load().unwrap_err().to_string(),
        format!(
            "{file}:3: cleanup.intervall: unknown key; did you mean `interval`?\n\
             {file}:4: cleanup.interval: \"5 parsecs\" is not a duration: write it as \"250ms\", \"5s\" or \"5m\""
        )
    );
    let configured = Configured::new("\n[cleanup");
    assert_eq!(
        configured.load().unwrap_err().to_string(),
        format!("{}:2:9: unclosed table, expected `]`", configured.path())
    );
    let configured = Configured::new("[addresses]\nsubnet = '10.0.0.0/28'\n");
    assert_eq!(
        configured.load().unwrap_err().to_string(),
        format!(
            "{}:2: addresses.subnet: '10.0.0.0/28' has addresses for 14 peers, but limits.peers_per_party is 64: \
             widen the one or lower the other",
            configured.path()
        )
    );
}

#[test]
fn mistake_counts_even_where_a_flag_overrides_it() {
    let mut configured = Configured::new("socket = 5");
    configured.args.socket = Some("control.sock".into());
    assert_eq!(
        configured.load().unwrap_err().to_string(),
        format!("{}:1: socket: 5 is not a path: write it in quotes", configured.path())
    );
}

#[test]
fn an_unknown_key_is_reported_with_the_known_ones() {
    let known = ["limits", "socket", "state_dir", "discovery_file", "server", "cleanup", "store"];
    let known = [&known[..], &["addresses", "access", "remote"]].concat();
    let nonsense: String = known.iter().map(|key| format!("{key} = true\n")).collect();
    let error = Configured::new(format!("{nonsense}unknown = 1")).load();
    let ConfigError::Malformed { mistakes, .. } = error.unwrap_err() else {
        panic!("no mistakes");
    };
    let unknown = format!("unknown: unknown key; known here are {}", known.join(", "));
    let (last, rest) = mistakes.split_last().unwrap();
    assert_eq!(last.message, unknown);
    assert_eq!(rest.len(), known.len());
    assert!(rest.iter().all(|mistake| !mistake.message.contains("unknown")));
}

#[cfg(unix)]
#[test]
fn system_daemon_has_the_system_paths() {
    let configured = Configured::new("");
    let args = DaemonArgs { system: true, ..configured.args.clone() };
    let loaded = load(&args, &Environment::of(&[])).unwrap();
    assert!(loaded.system);
    assert_eq!(loaded.socket, Path::new("/run/lanrage/control.sock"));
    assert_eq!(loaded.state_dir, Path::new("/var/lib/lanrage"));
    assert_eq!(loaded.discovery_file, Path::new("/var/lib/lanrage/discovery.json"));
}

#[cfg(unix)]
#[test]
fn without_a_home_the_state_directory_has_to_be_given() {
    let nowhere = Environment::of(&[]);
    let error = load(&DaemonArgs::default(), &nowhere).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no place for the state directory: set XDG_STATE_HOME or HOME to an absolute path, or give --state-dir"
    );
    let args = DaemonArgs { state_dir: Some("/s".into()), ..DaemonArgs::default() };
    let loaded = load(&args, &nowhere).unwrap();
    assert_eq!(loaded.state_dir, Path::new("/s"));
    assert_eq!(loaded.config_file, None);
}

#[cfg(unix)]
#[test]
fn path_that_is_not_utf8_is_refused() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let args = DaemonArgs {
        state_dir: Some(OsStr::from_bytes(b"/s\xff").into()),
        ..DaemonArgs::default()
    };
    assert_eq!(
        load(&args, &Environment::of(&[])).unwrap_err().to_string(),
        "--state-dir: \"/s\\xFF\" is not UTF-8"
    );
}

#[test]
fn only_places_and_the_subnet_need_a_restart() {
    let configured = Configured::new("");
    let old = configured.load().unwrap();
    assert_eq!(needs_restart(&old, &old), [""; 0]);
    let live = Configured::new(
        "[cleanup]\ninterval = '1s'\n[store]\nbatch = '1s'\n[access]\ngroup = 'a'\n[limits]\nparties = 1\n\
         [remote]\nheartbeat = '1s'\nbackoff_max = '9s'\nmax_attempts = 1\npoll = '9s'",
    );
    let new = load(&live.args, &configured.home()).unwrap();
    assert_ne!(old, new);
    assert_eq!(needs_restart(&old, &new), [""; 0]);
    let fixed = Configured::new(
        "socket = 's'\nstate_dir = 'd'\ndiscovery_file = 'f'\nserver = 'http://h'\n\
         [addresses]\nsubnet = '10.7.0.0/16'\n[remote]\ntransport = 'ws'\nca_file = 'c'",
    );
    let new = load(&fixed.args, &configured.home()).unwrap();
    assert_eq!(
        needs_restart(&old, &new),
        [
            "socket",
            "state_dir",
            "discovery_file",
            "server",
            "addresses.subnet",
            "remote.transport",
            "remote.ca_file"
        ]
    );
}
