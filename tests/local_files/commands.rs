//! Files that the command line client reads and writes.

use std::fs;

use super::{FAULTS, Fault, look};
use crate::harness::Setup;

#[test]
fn documents_are_no_files_of_others() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    for command in ["import", "export"] {
        for fault in FAULTS {
            let path = daemon.setup.path(&format!("{command}-{fault:?}.json"));
            if fault == Fault::Symlink || !fault.plant(&path) {
                continue;
            }
            let before = look(&path);
            let ran = ctl.run(&format!("state {command} {}", path.display()));
            assert_eq!(ran.code, Some(1), "{command} {fault:?}: {ran:?}");
            let told = format!("{} {}", path.display(), fault.words());
            assert!(ran.stderr.contains(&told), "{told:?} is not in {ran:?}");
            assert_eq!(look(&path), before, "{command} {fault:?}");
        }
    }
    let path = daemon.setup.path("state.json");
    ctl.text(&format!("state export {}", path.display()));
    assert!(Fault::Symlink.plant(&path));
    ctl.text(&format!("state import {}", path.display()));
    ctl.text(&format!("state export {}", path.display()));
    assert!(fs::symlink_metadata(&path).expect("the link").is_symlink());
}

#[test]
fn configuration_of_the_client_is_no_file_of_others() {
    let daemon = Setup::new().start();
    for fault in [Fault::Pipe, Fault::WorldWritable, Fault::Foreign] {
        let path = daemon.setup.path(&format!("{fault:?}.toml"));
        if !fault.plant(&path) {
            continue;
        }
        let ran = daemon.ctl().run(&format!("status --config {}", path.display()));
        assert_eq!(ran.code, Some(2), "{fault:?}: {ran:?}");
        assert!(ran.stderr.contains(&format!("{} {}", path.display(), fault.words())), "{ran:?}");
    }
}
