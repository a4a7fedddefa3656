use super::*;
use proptest::prelude::*;
use std::time::Duration;

#[derive(Debug, Default, PartialEq)]
struct Content {
    file: Option<PathBuf>,
    interval: Duration,
    timeout: Duration,
    kept: usize,
    users: Vec<u32>,
}

fn content(text: &str) -> Result<Content, Vec<Mistake>> {
    let range = Duration::from_millis(1)..=Duration::from_secs(3600);
    read(text, Path::new("/etc/lanrage"), |table| {
        let mut content = Content { file: table.path("file"), ..Content::default() };
        table.table("cleanup", |table| {
            content.interval = table.within("interval", Duration::from_secs(60), range.clone());
            content.timeout = table.within("peer_timeout", Duration::from_secs(300), range);
            content.kept = table.within("kept", 24, 1..=24);
            content.users =
                table.list("users", "[1000, 1001]", |value| u32::parse(value, &(0..=9)));
        });
        content
    })
}

/// Returns the mistakes as `LINE: MESSAGE` or `LINE:COLUMN: MESSAGE`.
fn mistakes(text: &str) -> Vec<String> {
    content(text)
        .expect_err(text)
        .into_iter()
        .map(|mistake| match mistake.column {
            Some(column) => format!("{}:{column}: {}", mistake.line, mistake.message),
            None => format!("{}: {}", mistake.line, mistake.message),
        })
        .collect()
}

#[track_caller]
fn assert_mistake(text: &str, expected: &str) {
    assert_eq!(mistakes(text), [expected], "{text:?}");
}

#[test]
fn a_missing_key_has_its_default() {
    let defaults = Content {
        file: None,
        interval: Duration::from_secs(60),
        timeout: Duration::from_secs(300),
        kept: 24,
        users: Vec::new(),
    };
    for text in ["", "# nothing\n", "[cleanup]", "cleanup = {}", "\u{feff}"] {
        assert_eq!(content(text).unwrap(), defaults, "{text:?}");
    }
}

#[test]
fn reads_each_type() {
    let text = "file = 'd.toml'\n[cleanup]\ninterval = \"1m30s\"\npeer_timeout = '1ms'\nkept = 0x1_0\nusers = [0, 9]";
    let expected = Content {
        file: Some("/etc/lanrage/d.toml".into()),
        interval: Duration::from_secs(90),
        timeout: Duration::from_millis(1),
        kept: 16,
        users: vec![0, 9],
    };
    assert_eq!(content(text).unwrap(), expected);
}

#[test]
fn syntax_errors_have_line_and_column() {
    assert_mistake("a", "1:2: key with no value, expected `=`");
    assert_mistake("\n[cleanup\nkept=1", "2:9: unclosed table, expected `]`");
    assert_mistake("a=1\na=2", "2:1: duplicate key");
    assert_mistake("x = 'é' y", "1:9: unexpected key or value, expected newline, `#`");
}

#[test]
fn unknown_keys_get_the_nearest_known_one() {
    for (text, expected) in [
        (
            "[cleanup]\n\nintervall = '5s'",
            "3: cleanup.intervall: unknown key; did you mean `interval`?",
        ),
        (
            "cleanup.peer-timeout = '5s'",
            "1: cleanup.peer-timeout: unknown key; did you mean `peer_timeout`?",
        ),
        ("[nothing]", "1: nothing: unknown key; known here are file, cleanup"),
        ("[cleanups.deep]", "1: cleanups: unknown key; did you mean `cleanup`?"),
        ("'a b' = 1", "1: 'a b': unknown key; known here are file, cleanup"),
        ("\"a\\nb\" = 1", "1: \"a\\nb\": unknown key; known here are file, cleanup"),
    ] {
        assert_mistake(text, expected);
    }
}

#[test]
fn durations_need_unit_and_range() {
    for value in ["5", "1.5", "true", "'5'", "\"5 parsecs\"", "''", "[5]", "1979-05-27"] {
        assert_mistake(
            &format!("[cleanup]\ninterval = {value}"),
            &format!(
                "2: cleanup.interval: {value} is not a duration: write it as \"250ms\", \"5s\" or \"5m\""
            ),
        );
    }
    for value in ["'0s'", "'-5s'", "'5s ago'", "'999us'", "'61m'", "'9999999999h'"] {
        assert_mistake(
            &format!("[cleanup]\ninterval = {value}"),
            &format!("2: cleanup.interval: {value} is out of range: it must be from 1ms to 1h"),
        );
    }
}

#[test]
fn numbers_are_whole_and_in_range() {
    for value in ["'5'", "1.5", "true", "[5]"] {
        assert_mistake(
            &format!("cleanup.kept = {value}"),
            &format!("1: cleanup.kept: {value} is not a whole number"),
        );
    }
    for value in ["0", "25", "-1", "0xff", "99999999999999999999", &"9".repeat(50)] {
        assert_mistake(
            &format!("cleanup.kept = {value}"),
            &format!("1: cleanup.kept: {value} is out of range: it must be from 1 to 24"),
        );
    }
}

#[test]
fn elements_of_lists_have_their_own_place() {
    assert_eq!(
        mistakes("[cleanup]\nusers = [\n1, 'bob',\n-1]"),
        [
            "3: cleanup.users: 'bob' is not a whole number",
            "4: cleanup.users: -1 is out of range: it must be from 0 to 9",
        ]
    );
    assert_mistake(
        "cleanup.users = 5",
        "1: cleanup.users: 5 is not a list: write it as [1000, 1001]",
    );
}

#[test]
fn paths_are_strings_with_something_in_them() {
    assert_mistake("file = 5", "1: file: 5 is not a path: write it in quotes");
    assert_mistake("file = ''", "1: file: '' is not a path: leave the key out for the default");
    assert_mistake("file = \"a\\u0000\"", "1: file: \"a\\u0000\" is not a path: it has a NUL");
    assert_mistake("[file.deep]", "1: file: a table is not a path: write it in quotes");
}

#[test]
fn tables_are_tables() {
    assert_mistake("\ncleanup = 5", "2: cleanup: is not a table, but a number: write [cleanup]");
    assert_mistake(
        "[[cleanup]]\nkept = 1",
        "1: cleanup: is not a table, but a list: write [cleanup]",
    );
}

#[test]
fn mistakes_come_in_the_order_of_the_text() {
    assert_eq!(
        mistakes("fill = 1\ncleanup.kept = 0\ncleanup.kip = 0\nfile = 1"),
        [
            "1: fill: unknown key; did you mean `file`?",
            "2: cleanup.kept: 0 is out of range: it must be from 1 to 24",
            "3: cleanup.kip: unknown key; known here are interval, peer_timeout, kept, users",
            "4: file: 1 is not a path: write it in quotes",
        ]
    );
}

#[test]
fn messages_repeat_one_line_of_bounded_length() {
    let start = "x".repeat(MOST_SHOWN - 1);
    assert_mistake(
        &format!("cleanup.kept = '{start}yz'"),
        &format!("1: cleanup.kept: '{start}… is not a whole number"),
    );
    assert_mistake("cleanup.kept = '''a\nb'''", "1: cleanup.kept: '''a… is not a whole number");
    let many: String = (0..1_000).map(|index| format!("k{index} = 1\n")).collect();
    let told = content(&many).unwrap_err();
    assert_eq!(told.len(), MOST_MISTAKES);
    assert!(told.iter().map(|mistake| mistake.line).eq(1..=MOST_MISTAKES));
}

#[test]
fn depth_is_limited() {
    for deep in ["a=[", "a={a=", "a."] {
        let (first, again) = (deep, deep.trim_start_matches("a="));
        let text = first.to_owned() + &again.repeat(100_000);
        assert_eq!(content(&text).unwrap_err().len(), 1, "{deep}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,40}") {
        let _ = content(&text);
    }

    #[test]
    fn no_near_document_makes_it_panic(
        text in r#"(\[?(cleanup|file|interval|kept|users|x)\]?[.=\[\]{}, \n]?("5s"|'é|5|\[1\]|\{)?\n?){0,8}"#
    ) {
        let _ = content(&text);
    }
}
