//! Links between the documents.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders with documents.
const FOLDERS: &[&str] =
    &["", "docs", "docs/decisions", "ipc-schema", "ipc-schema/vectors", "systemd"];

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = FOLDERS.iter().map(|folder| fs::read_dir(root.join(folder)).expect("a folder"));
    let files = folders.flatten().map(|entry| entry.expect("an entry").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// True if a document has a heading of this anchor, as web pages of repositories make them.
fn has_section(document: &str, anchor: &str) -> bool {
    let headings = document.lines().filter_map(|line| line.strip_prefix('#'));
    headings.map(|heading| heading.trim_start_matches('#').trim().to_lowercase()).any(|heading| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).eq(anchor.chars())
    })
}

#[test]
fn links_of_documents_lead_to_files_and_sections() {
    let mut broken = Vec::new();
    for path in documents() {
        let document = text(&path);
        let targets = document.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => path.clone(),
                file => path.parent().expect("a folder").join(file),
            };
            let leads = file.exists() && (anchor.is_empty() || has_section(&text(&file), anchor));
            if !leads {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
