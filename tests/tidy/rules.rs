//! The rules that look at one file at a time, as functions from its text to complaints.

use std::collections::BTreeSet;

use crate::code;

/// Lines of a module doc at least: what it owns, and what it must never do.
const DOC_LINES_MIN: usize = 2;

/// Lines of a source file at most, its unit tests not counted: past this it is two ideas.
const FILE_LINES_MAX: usize = 400;

/// Folders that only a machine of ours has: nobody else can follow them.
const PLACES: [&str; 5] = [
    concat!("/", "home/"),
    concat!("/", "root/"),
    concat!("/", "Users/"),
    concat!("/", "work/"),
    concat!("/", "workspace/"),
];

/// What stands for a thing undone.
const UNDONE: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];

/// The file begins by saying what it is.
pub(crate) fn module_doc(source: &str) -> Vec<String> {
    let lines =
        source.lines().take_while(|line| line.starts_with("//!")).filter(|line| line.len() > "//! ".len()).count();
    if lines >= DOC_LINES_MIN {
        return Vec::new();
    }
    vec![format!("its module doc has {lines} lines; say in {DOC_LINES_MIN} or more what it owns and must never do")]
}

/// The file is one idea long.
pub(crate) fn length(source: &str) -> Vec<String> {
    let lines = code::tests_begin(source);
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![format!("{lines} lines without its tests; past {FILE_LINES_MAX} it is two ideas")]
}

/// Nothing asynchronous in it.
pub(crate) fn runtime(source: &str) -> Vec<String> {
    found(source, |line| words(line).any(|word| word.starts_with("tokio")), "a pure floor names the runtime")
}

/// Tests wait for events, and all of them run. Outside of tests a program may sleep.
pub(crate) fn idle_tests(source: &str, is_test: bool) -> Vec<String> {
    let begin = if is_test { 0 } else { code::tests_begin(source) };
    let is_call = |line: &str| ["sleep", "sleep_until"].iter().any(|name| words(line).any(|word| word == *name));
    let mut complaints = found(source, |line| line.contains("#[ignore"), "an ignored test proves nothing");
    for (at, line) in code::only(source).lines().enumerate().skip(begin) {
        if is_call(line) {
            complaints.push(format!("line {}: a test sleeps; await the event, under a deadline", at + 1));
        }
    }
    complaints
}

/// Every queue has a limit.
pub(crate) fn unbounded(source: &str) -> Vec<String> {
    let is_unbounded = |line: &str| {
        words(line)
            .any(|word| ["unbounded", "unbounded_channel", "UnboundedSender", "UnboundedReceiver"].contains(&word))
            || (line.contains("mpsc::channel()") || line.contains("mpsc::channel::<") && line.contains(">()"))
    };
    found(source, is_unbounded, "a channel without a bound")
}

/// Nothing that only its author can follow.
pub(crate) fn forbidden_words(path: &str, text: &str) -> Vec<String> {
    let scratch = concat!("/", "tmp/");
    let mut complaints = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let places = PLACES.iter().filter(|place| line.contains(**place));
        // Examples and scripts may use the scratch folder that every Unix has; the program asks for it.
        let places = places.chain((path.starts_with("src/") && line.contains(scratch)).then_some(&scratch));
        complaints.extend(places.map(|place| format!("line {}: `{place}` is a place on one machine", at + 1)));
        let undone = UNDONE.iter().filter(|word| words(line).any(|other| other == **word));
        complaints.extend(undone.map(|word| format!("line {}: `{word}`: do it or leave it", at + 1)));
    }
    complaints
}

/// What `deny.toml` bans and where crates may come from, also where cargo-deny is not installed.
pub(crate) fn dependencies(lock: &str, deny: &str) -> Vec<String> {
    let lock: toml::Table = lock.parse().expect("Cargo.lock is TOML");
    let deny: toml::Table = deny.parse().expect("deny.toml is TOML");
    let text = |value: Option<&toml::Value>| value.and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let banned: BTreeSet<_> = deny["bans"]["deny"]
        .as_array()
        .into_iter()
        .flatten()
        // Whom another crate may bring along, only cargo-deny can tell.
        .filter(|ban| ban.get("wrappers").is_none())
        .map(|ban| text(ban.get("crate")))
        .collect();
    assert!(!banned.is_empty(), "deny.toml bans nothing");
    let registries: BTreeSet<_> =
        deny["sources"]["allow-registry"].as_array().into_iter().flatten().map(|url| text(Some(url))).collect();

    let mut complaints = Vec::new();
    for package in lock["package"].as_array().into_iter().flatten() {
        let name = text(package.get("name"));
        if banned.contains(&name) {
            complaints.push(format!("`{name}` is banned by deny.toml"));
        }
        if let Some(source) = package.get("source").and_then(toml::Value::as_str)
            && !source.strip_prefix("registry+").is_some_and(|url| registries.contains(url))
        {
            complaints.push(format!("`{name}` comes from {source}"));
        }
    }
    complaints
}

/// The lines of code that a rule forbids.
fn found(source: &str, is_bad: impl Fn(&str) -> bool, complaint: &str) -> Vec<String> {
    let code = code::only(source);
    let bad = code.lines().enumerate().filter(|(_, line)| is_bad(line));
    bad.map(|(at, _)| format!("line {}: {complaint}", at + 1)).collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_doc_of_one_line_is_found() {
        assert_eq!(module_doc("//! Things.\n//!\nuse x;\n").len(), 1);
        assert_eq!(module_doc("use x;\n").len(), 1);
        assert_eq!(module_doc("//! Owns things.\n//!\n//! Knows no sockets.\n"), [""; 0]);
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_are_not_counted() {
        let long = "x\n".repeat(FILE_LINES_MAX);
        assert_eq!(length(&format!("{long}#[cfg(test)]\nmod tests {{\n{long}}}\n")), [""; 0]);
        assert_eq!(length(&format!("{long}x\n")).len(), 1);
    }

    #[test]
    fn a_runtime_on_a_pure_floor_is_found() {
        assert_eq!(runtime("use tokio::sync::mpsc;").len(), 1);
        assert_eq!(runtime("fn f(c: tokio_util::codec::LinesCodec) {}").len(), 1);
        assert_eq!(runtime("//! Knows no tokio.\nconst T: &str = \"tokio\";"), [""; 0]);
    }

    #[test]
    fn a_test_that_sleeps_is_found_and_a_program_that_does_is_not() {
        let program = "async fn f() { time::sleep(D).await }\n";
        assert_eq!(idle_tests(program, false), [""; 0]);
        assert_eq!(idle_tests(program, true).len(), 1);
        assert_eq!(idle_tests(&format!("#[cfg(test)]\nmod tests {{\n{program}}}\n"), false).len(), 1);
    }

    #[test]
    fn an_ignored_test_is_found() {
        assert_eq!(idle_tests("#[test]\n#[ignore = \"slow\"]\nfn f() {}", false).len(), 1);
    }

    #[test]
    fn a_channel_without_a_bound_is_found() {
        assert_eq!(unbounded("let (a, b) = mpsc::unbounded_channel();").len(), 1);
        assert_eq!(unbounded("let a: UnboundedSender<u8>;").len(), 1);
        assert_eq!(unbounded("let (a, b) = std::sync::mpsc::channel();").len(), 1);
        assert_eq!(unbounded("let (a, b) = mpsc::channel::<u8>();").len(), 1);
        assert_eq!(unbounded("let (a, b) = mpsc::channel(8); // never unbounded"), [""; 0]);
        assert_eq!(unbounded("map.range((Bound::Unbounded, Bound::Unbounded))"), [""; 0]);
    }

    #[test]
    fn a_place_on_one_machine_is_found() {
        let bad = format!("see {}ada/notes", PLACES[0]);
        assert_eq!(forbidden_words("README.md", &bad).len(), 1);
        let scratch = format!("data in {}x", concat!("/", "tmp/"));
        assert_eq!(forbidden_words("src/config/mod.rs", &scratch).len(), 1);
        assert_eq!(forbidden_words("scripts/test", &scratch), [""; 0]);
    }

    #[test]
    fn a_thing_undone_is_found() {
        assert_eq!(forbidden_words("src/lib.rs", &format!("// {}: later", UNDONE[0])).len(), 1);
        assert_eq!(forbidden_words("src/lib.rs", &format!("const {}S: u8 = 1;", UNDONE[0])), [""; 0]);
    }

    #[test]
    fn a_banned_crate_and_a_strange_source_are_found() {
        let deny =
            "[bans]\ndeny = [{ crate = \"openssl\", reason = \"no\" }]\n[sources]\nallow-registry = [\"https://good\"]";
        let package = |name: &str, source: &str| format!("[[package]]\nname = \"{name}\"\nsource = \"{source}\"\n");
        let good = package("serde", "registry+https://good") + "[[package]]\nname = \"linehub\"\n";
        assert_eq!(dependencies(&good, deny), [""; 0]);
        assert_eq!(dependencies(&package("openssl", "registry+https://good"), deny).len(), 1);
        assert_eq!(dependencies(&package("serde", "git+https://good"), deny).len(), 1);
        assert_eq!(dependencies(&package("serde", "registry+https://other"), deny).len(), 1);
    }
}
