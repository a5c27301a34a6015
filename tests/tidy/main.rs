//! Holds the house in order: module docs, sizes, the direction of imports, and what may stand in no file at all.
//!
//! The checkers are plain functions from text to complaints, in [`code`], [`floors`] and [`rules`], and each is shown bad
//! samples in its own tests: a checker that finds nothing is worth nothing. Here they meet the files of the repository.

mod code;
mod floors;
mod rules;

use std::path::{Path, PathBuf};
use std::process::Command;

use floors::Import;

/// A text file of the repository.
struct File {
    /// Its path from the root, with `/`.
    path: String,
    text: String,
}

impl File {
    /// Whether the whole file is tests.
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }
}

#[test]
fn every_source_file_says_what_it_owns() {
    hold(sources().iter().filter(|file| !file.is_test()).flat_map(|file| at(file, rules::module_doc(&file.text))));
}

#[test]
fn no_source_file_is_longer_than_one_idea() {
    hold(sources().iter().filter(|file| !file.is_test()).flat_map(|file| at(file, rules::length(&file.text))));
}

#[test]
fn imports_go_down_only() {
    let mut imports = Vec::new();
    let mut complaints = Vec::new();
    for file in sources() {
        match floors::imports(&file.path, &file.text) {
            Ok(found) => imports.extend(found),
            Err(complaint) => complaints.push(complaint),
        }
    }
    assert!(imports.iter().any(|Import { to, .. }| to == "model"), "the checker no longer finds imports");
    complaints.extend(floors::wrong(&imports));
    hold(complaints);
}

#[test]
fn the_pure_floors_know_no_runtime() {
    let pure = ["src/model", "src/room", "src/protocol"];
    let files = sources();
    let files: Vec<_> = files.iter().filter(|file| pure.iter().any(|floor| file.path.starts_with(floor))).collect();
    assert!(!files.is_empty());
    hold(files.iter().flat_map(|file| at(file, rules::runtime(&file.text))));
}

#[test]
fn no_test_sleeps_or_is_ignored() {
    let rust = tracked().into_iter().filter(|file| Path::new(&file.path).extension().is_some_and(|end| end == "rs"));
    hold(rust.flat_map(|file| at(&file, rules::idle_tests(&file.text, file.is_test()))));
}

#[test]
fn every_channel_has_a_bound() {
    hold(sources().iter().flat_map(|file| at(file, rules::unbounded(&file.text))));
}

#[test]
fn no_file_names_a_place_on_someones_machine_or_a_thing_undone() {
    hold(tracked().iter().flat_map(|file| at(file, rules::forbidden_words(&file.path, &file.text))));
}

#[test]
fn dependencies_come_from_one_registry_and_none_is_banned() {
    let locks: Vec<_> = tracked().into_iter().filter(|file| file.path.ends_with("Cargo.lock")).collect();
    assert!(locks.len() > 2, "the checker no longer finds what the crates are built from");
    hold(locks.iter().flat_map(|lock| at(lock, rules::dependencies(&lock.text, &read("deny.toml")))));
}

/// Fails with all complaints at once.
fn hold(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<_> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Complaints with the file that they are about.
fn at(file: &File, complaints: Vec<String>) -> Vec<String> {
    complaints.into_iter().map(|complaint| format!("{}: {complaint}", file.path)).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The program's own source.
fn sources() -> Vec<File> {
    let found: Vec<_> = tracked()
        .into_iter()
        .filter(|file| {
            file.path.starts_with("src/") && Path::new(&file.path).extension().is_some_and(|end| end == "rs")
        })
        .collect();
    assert!(!found.is_empty(), "the checker no longer finds the source");
    found
}

/// Every text file that git tracks or would; without git (a source archive) every one that is there.
fn tracked() -> Vec<File> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .ok()
        .filter(|output| output.status.success() && !output.stdout.is_empty())
        .map(|output| String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(str::to_owned).collect());
    let mut paths: Vec<String> = listed.unwrap_or_else(|| walk(&root(), ""));
    paths.sort();
    // A file that is not UTF-8 is data, not text; one that is listed but deleted is on its way out.
    paths
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(root().join(&path)).ok().map(|text| File { path, text }))
        .collect()
}

/// Every file below a folder, by its path from the root; hidden folders and what is built are left out.
fn walk(folder: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the repository can be read").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            if !name.starts_with('.') && name != "target" {
                found.extend(walk(&entry.path(), &format!("{path}/")));
            }
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn without_git_the_same_sources_are_found() {
    let walked = walk(&root(), "");
    for File { path, .. } in sources() {
        assert!(walked.contains(&path), "{path}");
    }
}
