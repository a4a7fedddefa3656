//! The fenced blocks of a document.

use std::fs;
use std::path::Path;

/// A fenced block.
#[derive(Clone)]
pub(super) struct Block {
    /// Its document and first line, for people.
    pub(super) place: String,
    pub(super) language: String,
    pub(super) text: String,
}

/// A command of a `console` block with the output that the document shows.
pub(super) struct Command<'a> {
    pub(super) command: &'a str,
    /// Lines in which `…` stands for anything. Empty: any output.
    pub(super) output: Vec<&'a str>,
}

impl Block {
    /// Returns the commands of a `console` block.
    pub(super) fn commands(&self) -> Vec<Command<'_>> {
        let mut commands = Vec::<Command<'_>>::new();
        for line in self.text.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push(Command { command, output: Vec::new() }),
                (None, Some(last)) => last.output.push(line),
                (None, None) => panic!("{}: output without a command", self.place),
            }
        }
        commands
    }
}

/// Returns the blocks of a document of the repository, from the top.
pub(super) fn blocks(document: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = fs::read_to_string(path).expect("the document");
    let (mut blocks, mut open) = (Vec::new(), None::<Block>);
    for (index, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                let (language, text) = (language.to_owned(), String::new());
                let place = format!("{document}, line {}", index + 2);
                open = Some(Block { place, language, text });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document}: the last block does not end");
    blocks
}

/// True if a text matches a document's: `…` stands for any text, on a line of its own for any
/// number of lines. The width of spaces does not count.
pub(super) fn is_shown(shown: &[&str], text: &[String]) -> bool {
    match (shown, text) {
        ([], []) => true,
        (["…", rest @ ..], _) => (0..=text.len()).any(|skipped| is_shown(rest, &text[skipped..])),
        ([first, rest @ ..], [line, lines @ ..]) => {
            is_line(&words(first), &words(line)) && is_shown(rest, lines)
        }
        _ => false,
    }
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_line(shown: &str, line: &str) -> bool {
    let Some((before, rest)) = shown.split_once('…') else {
        return shown == line;
    };
    let Some(line) = line.strip_prefix(before) else {
        return false;
    };
    line.char_indices().any(|(at, _)| is_line(rest, &line[at..])) || is_line(rest, "")
}

#[test]
fn shown_output_has_gaps() {
    let shows = |shown: &[&str], text: &[&str]| {
        is_shown(shown, &text.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    };
    assert!(shows(&["version  …, up …", "…", "end"], &["version 0.1.0, up 1s", "a", "b", "end"]));
    assert!(shows(&["up …"], &["up 1s"]) && shows(&["…"], &[]));
    assert!(!shows(&["up … s"], &["up 1m"]) && !shows(&["up …"], &["up 1s", "more"]));
}
