//! The floors, and who names whom.
//!
//! An import goes to a lower floor or stays in its own room. Rooms on one floor do not know each other; only on the
//! ground, where the words of all others are kept, may one build on another, and there not in a circle.

use std::collections::BTreeMap;

use crate::code;

/// Every room of the house and its floor. A new room is a decision: it goes in here and in `ARCHITECTURE.md`.
const FLOORS: &[(&str, u8)] = &[
    // The binary, on the roof; `cli` is its own and reaches the rest through the library.
    ("main", 8),
    ("cli", 7),
    ("server", 6),
    ("connection", 5),
    ("http", 5),
    ("router", 4),
    ("outbox", 3),
    ("sessions", 3),
    ("store", 3),
    ("room", 2),
    ("protocol", 2),
    ("model", 1),
    ("config", 1),
    ("limits", 1),
    ("metrics", 1),
    ("clock", 1),
    ("shutdown", 1),
];

/// The floor whose rooms may know each other.
const GROUND: u8 = 1;

/// One room naming another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) path: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// What a source file names of the crate, its own room left out; or what is wrong with the file's place.
pub(crate) fn imports(path: &str, source: &str) -> Result<Vec<Import>, String> {
    let inner = path.strip_prefix("src/").and_then(|inner| inner.strip_suffix(".rs")).unwrap_or(path);
    let module: Vec<_> = inner.split('/').filter(|part| *part != "mod").collect();
    // The root only lists the rooms.
    if module == ["lib"] {
        return Ok(Vec::new());
    }
    let from = module[0];
    if floor(from).is_none() {
        return Err(format!("{path}: `{from}` has no floor; give it one in tests/tidy/floors.rs"));
    }

    let tests_begin = code::tests_begin(source);
    let code = code::only(source);
    for (at, line) in code.lines().enumerate() {
        // A module of unit tests is one deeper than its file.
        let depth = module.len() + usize::from(at > tests_begin);
        if line.contains(&"super::".repeat(depth)) {
            return Err(format!("{path}:{}: climbs to the crate's root by `super`", at + 1));
        }
    }
    // The binary's own files name the library from outside.
    let named = ["crate::", "linehub::"].into_iter().flat_map(|prefix| roots(&code, prefix));
    let mut found: Vec<_> = named.filter(|to| to != from).collect();
    found.sort();
    found.dedup();
    Ok(found.into_iter().map(|to| Import { path: path.to_owned(), from: from.to_owned(), to }).collect())
}

/// The imports that go up, sideways, to the crate's root or in a circle.
pub(crate) fn wrong(imports: &[Import]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut ground: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Import { path, from, to } in imports {
        match (floor(from), floor(to)) {
            (Some(GROUND), Some(GROUND)) => ground.entry(from).or_default().push(to),
            (Some(above), Some(below)) if below < above => {}
            (Some(_), Some(same)) if floor(from) == Some(same) => {
                complaints.push(format!("{path}: `{from}` names its neighbour `{to}`"));
            }
            (Some(_), Some(_)) => complaints.push(format!("{path}: `{from}` names `{to}`, which is above it")),
            _ => complaints.push(format!("{path}: `crate::{to}` is no room: name the one that owns it")),
        }
    }
    for &room in ground.keys() {
        if reaches(&ground, room, room, &mut Vec::new()) {
            complaints.push(format!("`{room}` needs itself, by way of its neighbours on the ground"));
        }
    }
    complaints
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|&(_, floor)| floor)
}

fn reaches<'a>(edges: &BTreeMap<&'a str, Vec<&'a str>>, from: &str, goal: &str, seen: &mut Vec<&'a str>) -> bool {
    edges.get(from).into_iter().flatten().any(|&next| {
        if next == goal {
            return true;
        }
        if seen.contains(&next) {
            return false;
        }
        seen.push(next);
        reaches(edges, next, goal, seen)
    })
}

/// The first names after each `crate::`, also of a group in braces.
fn roots(code: &str, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(group) => found.extend(items(group).into_iter().map(word)),
        }
    }
    found
}

/// The items of a group, up to its closing brace.
fn items(group: &str) -> Vec<&str> {
    let (mut depth, mut start) = (0, 0);
    let mut found = Vec::new();
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(group[start..at].trim());
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.retain(|item| !item.is_empty());
    found
}

fn word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, source: &str) -> Vec<String> {
        match imports(path, source) {
            Ok(imports) => wrong(&imports),
            Err(complaint) => vec![complaint],
        }
    }

    #[test]
    fn an_import_that_goes_down_is_fine() {
        assert_eq!(
            complaints("src/router/mod.rs", "use crate::model::Nick; use crate::{room, router::x, store::Y};"),
            [""; 0]
        );
        assert_eq!(complaints("src/main.rs", "use linehub::cli;"), [] as [&str; 0], "the binary names the library");
    }

    #[test]
    fn an_import_that_goes_up_is_found() {
        assert_eq!(complaints("src/room/mod.rs", "use crate::router::Router;").len(), 1);
        assert_eq!(complaints("src/outbox.rs", "fn f() { crate::connection::go() }").len(), 1);
    }

    #[test]
    fn an_import_hidden_in_a_group_is_found() {
        let source = "use crate::{\n    model::{Nick, Seq},\n    server::Server,\n};";
        assert_eq!(complaints("src/router/state.rs", source).len(), 1);
    }

    #[test]
    fn rooms_on_one_floor_do_not_know_each_other() {
        assert_eq!(complaints("src/room/mod.rs", "use crate::protocol::Wire;").len(), 1);
        assert_eq!(complaints("src/protocol/json/mod.rs", "use crate::room::Room;").len(), 1);
    }

    #[test]
    fn the_ground_may_build_on_itself_but_not_in_a_circle() {
        let config = imports("src/config/mod.rs", "use crate::model::Kind;").expect("a known room");
        assert_eq!(wrong(&config), [""; 0]);
        let mut both = imports("src/model/mod.rs", "use crate::config::Limits;").expect("a known room");
        both.extend(config);
        assert_eq!(wrong(&both).len(), 2);
    }

    #[test]
    fn the_crates_root_is_not_imported_and_not_climbed_to() {
        assert_eq!(complaints("src/server/mod.rs", "use crate::Config;").len(), 1);
        assert_eq!(complaints("src/cli/serve.rs", "use linehub::Config;").len(), 1);
        assert_eq!(complaints("src/room/fanout.rs", "use super::super::router::Router;").len(), 1);
        assert_eq!(complaints("src/outbox.rs", "use super::router::Router;").len(), 1);
    }

    #[test]
    fn unit_tests_may_climb_to_their_own_file() {
        assert_eq!(complaints("src/outbox.rs", "#[cfg(test)]\nmod tests {\n    use super::Outbox;\n}"), [""; 0]);
    }

    #[test]
    fn a_room_without_a_floor_is_found() {
        assert_eq!(complaints("src/util.rs", "").len(), 1);
    }

    #[test]
    fn what_a_comment_says_is_no_import() {
        assert_eq!(complaints("src/model/mod.rs", "// as crate::router does\n/// [`crate::server`]"), [""; 0]);
    }
}
