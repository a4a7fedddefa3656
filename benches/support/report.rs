//! Rows of the report: printed as they come, and kept in `benches/RESULTS.md` if that is asked for.

use std::fs;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// File of the kept report.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/RESULTS.md");

/// Lines of the report so far.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Begins a part of the report.
pub(crate) fn part(name: &str) {
    print(format!("\n## {name}\n"));
    print("| work | figure | ours | limit | ratio | spread |".to_owned());
    print("|---|---|--:|--:|--:|---|".to_owned());
}

/// Adds a row: a figure of ours beside that of the limit. `spread` tells how noisy both are.
pub(crate) fn row(work: &str, figure: &str, [ours, limit]: [f64; 2], unit: &str, spread: &str) {
    let ratio = ours / limit;
    let [ours, limit] = [ours, limit].map(|value| number(value, unit));
    print(format!("| {work} | {figure} | {ours} | {limit} | x{ratio:.2} | {spread} |"));
}

/// Adds a row without a limit.
pub(crate) fn fact(work: &str, figure: &str, told: &str) {
    print(format!("| {work} | {figure} | {told} | | | |"));
}

/// Formats a value with its unit.
fn number(value: f64, unit: &str) -> String {
    match value {
        _ if value.abs() >= 100.0 => format!("{value:.0} {unit}"),
        _ => format!("{value:.1} {unit}"),
    }
}

fn print(line: String) {
    println!("{line}");
    LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

/// Keeps the report, with its machine and date.
pub(crate) fn save() -> anyhow::Result<()> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
    let cpus = std::thread::available_parallelism()?;
    let head = format!(
        "# Results\n\nOne run of `cargo bench --bench main -- --save`, in release mode. The limit is measured in the\n\
         same run, in turn with ours; the ratio is ours by the limit. CPU is the processor time of all\n\
         threads of the server. The spread is the middle half of the rounds by their median, ours and the\n\
         limit's. Times of a shared machine are noisy: compare ratios.\n\n\
         - date: {}\n- commit: {}\n- machine: {cpus} cores, {}, {}\n",
        told("date", &["-u", "+%Y-%m-%d"]),
        told("git", &["describe", "--always", "--dirty"]),
        model().unwrap_or_default(),
        told("uname", &["-sr"]),
    );
    Ok(fs::write(RESULTS, format!("{head}{lines}\n"))?)
}

/// Returns the first line that a command prints.
fn told(command: &str, args: &[&str]) -> String {
    let output = Command::new(command).args(args).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// Returns the model of the processor.
fn model() -> Option<String> {
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(": ")?.1.to_owned())
}
