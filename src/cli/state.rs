//! `state …`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lanrage_ipc::ErrorCode;
use lanrage_ipc::lanrage::{StateDocument, to_json};
use lanrage_ipc::method::{StateBackup, StateExport, StateImport};
use lanrage_ipc::params::{
    ExportFormat, ImportMode, StateBackupParams, StateExportParams, StateImportParams,
};
use lanrage_ipc::results::{StateExportResult, StateImportResult};
use lanrage_ipc::unicode::strip_bom;

use super::daemon::Daemon;
use super::exit::{Exit, Failure};
use super::input::{LONGEST, one_of, standard_input};
use super::output::Page;
use crate::os::files::{self, Rule};

/// Mode of a new document, within the umask.
const DOCUMENT: u32 = 0o666;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Write the parties as a LANrage control_state.json
    Export {
        /// Where to; left out, they are printed
        file: Option<PathBuf>,
    },
    /// Take in the parties of a LANrage control_state.json
    Import {
        /// The file; - reads standard input
        file: PathBuf,
        /// What becomes of the parties that are here already: merge keeps them, replace removes
        /// them first
        #[arg(long, default_value = "merge")]
        #[arg(value_parser = one_of::<ImportMode>(ImportMode::WORDS))]
        mode: ImportMode,
    },
    /// Let the daemon write a verified copy of its database
    Backup {
        /// Where to: a path at which nothing is yet, where the daemon may write
        path: PathBuf,
    },
}

impl Command {
    pub(super) fn run(self, daemon: &Daemon) -> Result<(), Failure> {
        match self {
            Self::Export { file } => export(daemon, file.as_deref()),
            Self::Import { file, mode } => import(daemon, &file, mode),
            Self::Backup { path } => {
                let params = StateBackupParams { path: absolute(&path)? };
                daemon.connect()?.show::<StateBackup>(&params, |page, result| {
                    let bytes = result.bytes.to_string();
                    page.fields([("file", result.path.clone()), ("bytes", bytes)]);
                })
            }
        }
    }
}

fn export(daemon: &Daemon, file: Option<&Path>) -> Result<(), Failure> {
    let mut session = daemon.connect()?;
    let params = StateExportParams { format: ExportFormat::Lanrage };
    let raw = session.ask::<StateExport>(&params)?;
    let StateExportResult { state } = session.decode::<StateExport>(&raw)?;
    let document =
        to_json(&state).map_err(|error| Failure::file("the document", &error.into()))? + "\n";
    if let Some(file) = file {
        write(file, &document)
            .map_err(|error| Failure::file(&file.display().to_string(), &error))?;
    }
    match file {
        _ if daemon.output.json => daemon.output.print_json(raw.get()),
        None => daemon.output.print_json(&document),
        Some(file) => daemon.output.page(|page| {
            let parties = state.parties.len().to_string();
            page.fields([("file", file.display().to_string()), ("parties", parties)]);
        }),
    }
}

/// Writes a document for its user, replacing an existing one.
fn write(path: &Path, document: &str) -> io::Result<()> {
    let mut file = files::open_or_create(path, Rule::Named, DOCUMENT)?;
    file.set_len(0)?;
    file.write_all(document.as_bytes())
}

fn import(daemon: &Daemon, file: &Path, mode: ImportMode) -> Result<(), Failure> {
    let (name, text) = match file.to_str() {
        Some("-") => ("standard input".to_owned(), standard_input()),
        _ => (file.display().to_string(), files::read(file, Rule::Named, LONGEST)),
    };
    let text = text.map_err(|error| Failure::file(&name, &error))?;
    let json = strip_bom(&text);
    let state = serde_json::from_slice(json).map(StateDocument).map_err(|error| {
        let hint = "a LANrage control_state.json is wanted, as `lanragectl state export` writes it";
        Failure::new(Exit::Failed, "not_json", format!("{name}: not JSON: {error}"), hint)
    })?;
    let smaller = "let the daemon read longer lines: limits.frame_in; or import in parts";
    daemon
        .connect()?
        .show::<StateImport>(&StateImportParams { state, mode }, show_import)
        .map_err(|failure| failure.hint(ErrorCode::FrameTooLarge, smaller))
}

fn show_import(page: &mut Page, result: &StateImportResult) {
    page.fields([
        ("parties", result.parties.to_string()),
        ("peers", result.peers.to_string()),
        ("skipped", result.skipped.to_string()),
        ("removed", result.removed.to_string()),
    ]);
    for rejected in &result.rejected {
        let peer = rejected.peer_id.as_ref().map(|peer| format!(", peer {peer}"));
        page.line(format_args!(
            "rejected: party {}{}: {}",
            rejected.party_id,
            peer.unwrap_or_default(),
            rejected.reason
        ));
    }
}

/// Makes a path absolute: the daemon has another working directory.
fn absolute(path: &Path) -> Result<String, Failure> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Failure::file(&path.display().to_string(), &error))?;
    absolute.into_os_string().into_string().map_err(|path| {
        Failure::usage(format!("PATH: {path:?} is not UTF-8"), "choose another path")
    })
}
