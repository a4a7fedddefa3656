use std::os::unix::fs::{PermissionsExt, symlink};

use nix::unistd::{geteuid, mkfifo};
use tempfile::TempDir;

use super::*;

// The harness of the tests from outside has the one rule for skipped tests.
#[path = "../../../tests/harness/skip.rs"]
mod skip;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        // An earlier directory may be closed to this user.
        fs::remove_file(&path).ok();
        fs::write(&path, "content").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

fn refusal(path: &Path, rule: Rule) -> String {
    let error = open(path, rule).expect_err("a refusal");
    assert!(Distrust::is_in(&error), "{error}");
    error.to_string()
}

const ALL: [Rule; 4] = [Rule::Own, Rule::Named, Rule::Secret, Rule::Shared];

#[test]
fn modes_decide_by_rule() {
    let folder = Folder::new();
    for (mode, own, secret) in [
        (0o600, true, true),
        (0o400, true, true),
        (0o640, true, true),
        (0o644, true, false),
        (0o604, true, false),
        (0o620, false, false),
        (0o602, false, false),
        (0o666, false, false),
    ] {
        let path = folder.file("f", mode);
        let opens = |rule| read(&path, rule, 7).is_ok_and(|bytes| bytes == b"content");
        assert_eq!((opens(Rule::Own), opens(Rule::Named)), (own, own), "{mode:o}");
        assert_eq!(opens(Rule::Secret), secret, "{mode:o}");
        assert!(opens(Rule::Shared), "{mode:o}");
    }
    let told = refusal(&folder.file("f", 0o666), Rule::Own);
    let uid = geteuid();
    assert!(
        told.contains(&format!(
            "/f may be written by others than its owner (uid {uid}, mode 0666)"
        )),
        "{told}"
    );
}

#[test]
fn special_file_is_refused_without_blocking() {
    let folder = Folder::new();
    mkfifo(&folder.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(folder.path("directory")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
    for name in ["pipe", "directory", "socket"] {
        for rule in ALL {
            let told = refusal(&folder.path(name), rule);
            assert!(
                told.contains(&format!("/{name} is a {name}, and must be a regular")),
                "{told}"
            );
            assert!(Distrust::is_in(&open_or_create(&folder.path(name), rule, 0o600).unwrap_err()));
        }
    }
    assert!(refusal(Path::new("/dev/null"), Rule::Own).contains("is a device"));
}

#[test]
fn symbolic_links_are_followed_to_named_files_alone() {
    let folder = Folder::new();
    let file = folder.file("file", 0o600);
    symlink("middle", folder.path("link")).unwrap();
    symlink("file", folder.path("middle")).unwrap();
    for rule in [Rule::Named, Rule::Secret] {
        assert_eq!(read(&folder.path("link"), rule, 100).unwrap(), b"content");
    }
    for rule in [Rule::Own, Rule::Shared] {
        assert!(refusal(&folder.path("link"), rule).contains("/link is a symbolic link"));
        assert!(Distrust::is_in(&open_or_create(&folder.path("link"), rule, 0o600).unwrap_err()));
    }
    // The target must be trusted itself.
    folder.file("file", 0o666);
    assert!(refusal(&folder.path("link"), Rule::Named).contains("/file may be written by others"));
    fs::remove_file(file).unwrap();
    assert_eq!(open(&folder.path("link"), Rule::Named).unwrap_err().kind(), ErrorKind::NotFound);
    symlink("loop", folder.path("loop")).unwrap();
    assert!(open(&folder.path("loop"), Rule::Named).is_err());
    symlink("/dev/null", folder.path("device")).unwrap();
    assert!(refusal(&folder.path("device"), Rule::Named).contains("is a device"));
}

#[test]
fn own_files_are_not_written_under_a_second_name() {
    let folder = Folder::new();
    let file = folder.file("file", 0o600);
    fs::hard_link(&file, folder.path("link")).unwrap();
    let error = open_or_create(&folder.path("link"), Rule::Own, 0o600).unwrap_err();
    assert!(Distrust::is_in(&error));
    assert!(error.to_string().contains("/link has 2 names, and must have this one alone"));
    let error = check_to_write(&folder.path("link")).unwrap_err();
    assert!(error.to_string().contains("/link has 2 names"), "{error}");
    // Its content is trusted as before; an operator may name any file.
    assert!(open(&folder.path("link"), Rule::Own).is_ok());
    assert!(open_or_create(&folder.path("link"), Rule::Named, 0o600).is_ok());
    fs::remove_file(file).unwrap();
    assert!(open_or_create(&folder.path("link"), Rule::Own, 0o600).is_ok());
    assert!(check_to_write(&folder.path("link")).is_ok());
    assert!(check_to_write(&folder.path("file")).is_ok(), "none is there");
}

#[test]
fn files_and_links_of_other_users_are_refused() {
    if !skip::has_root("to have files of another user") {
        return;
    }
    let folder = Folder::new();
    let file = folder.file("file", 0o600);
    std::os::unix::fs::chown(&file, Some(12_345), None).unwrap();
    for rule in [Rule::Own, Rule::Named, Rule::Secret] {
        let told = refusal(&file, rule);
        assert!(told.contains("/file belongs to uid 12345 (mode 0600)"), "{told}");
    }
    assert!(open(&file, Rule::Shared).is_ok());
    folder.file("own", 0o600);
    symlink("own", folder.path("link")).unwrap();
    std::os::unix::fs::lchown(folder.path("link"), Some(12_345), None).unwrap();
    assert!(refusal(&folder.path("link"), Rule::Named).contains("is a symbolic link of uid 12345"));
}

#[test]
fn directories_in_which_others_put_files_are_refused() {
    let folder = Folder::new();
    let directory = folder.path("d");
    fs::create_dir(&directory).unwrap();
    for (mode, strict, sticky) in [
        (0o700, true, true),
        (0o755, true, true),
        (0o770, false, false),
        (0o777, false, false),
        (0o1777, false, true),
    ] {
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(check_directory(&directory, false).is_ok(), strict, "{mode:o}");
        assert_eq!(check_directory(&directory, true).is_ok(), sticky, "{mode:o}");
    }
    let file = folder.file("f", 0o600);
    assert!(check_directory(&file, true).unwrap_err().to_string().contains("must be a directory"));
}

#[test]
fn length_is_bounded() {
    let folder = Folder::new();
    let path = folder.file("f", 0o600);
    assert_eq!(read(&path, Rule::Own, 7).unwrap(), b"content");
    assert_eq!(read(&path, Rule::Own, 6).unwrap_err().kind(), ErrorKind::FileTooLarge);
}

#[test]
fn new_files_have_their_mode_and_replace_nothing() {
    let folder = Folder::new();
    let path = folder.path("f");
    create_new(&path, 0o644).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
    assert_eq!(create_new(&path, 0o600).unwrap_err().kind(), ErrorKind::AlreadyExists);
    symlink("nowhere", folder.path("link")).unwrap();
    assert!(create_new(&folder.path("link"), 0o600).is_err());
    assert!(!folder.path("nowhere").exists());
}
