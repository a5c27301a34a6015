//! A disk in memory that knows what was synced, and what is left of it when the power goes.
//!
//! It is as strict as POSIX allows. Of a file a sync makes the contents lasting and not the name; of a folder it makes the
//! names lasting that stand in it and not the folder's own. Of all else any part may be left. A program that syncs what it
//! relies on loses nothing here. Knows no kernel and no mount.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use fuser::Errno;

use crate::random::Random;
use crate::ruin;

/// The number of the topmost folder.
pub const ROOT: u64 = 1;

/// What stands under one number.
#[derive(Debug)]
pub enum Node {
    /// Bytes.
    File(File),
    /// Names.
    Folder(Folder),
}

/// The bytes of a file.
#[derive(Debug, Default)]
pub struct File {
    /// As the program sees them.
    pub now: Vec<u8>,
    /// As they were at the last sync.
    pub synced: Vec<u8>,
    /// What was done since, in order.
    pub since: Vec<Change>,
}

/// Something done to a file.
#[derive(Clone, Debug)]
pub enum Change {
    /// Bytes were written at a place.
    Write(usize, Vec<u8>),
    /// It was cut to a length, or made as long.
    Length(usize),
}

/// The names in a folder, with the numbers of what they name.
#[derive(Debug, Default)]
pub struct Folder {
    /// As the program sees them.
    pub now: BTreeMap<OsString, u64>,
    /// As they were at the last sync.
    pub synced: BTreeMap<OsString, u64>,
    /// What was done since, in order.
    pub since: Vec<Step>,
}

/// Something done to a folder.
#[derive(Clone, Debug)]
pub enum Step {
    /// A name was given.
    Link(OsString, u64),
    /// A name was taken away.
    Unlink(OsString),
    /// A name was changed, in one step.
    Rename(OsString, OsString, u64),
}

/// The disk.
#[derive(Debug)]
pub struct Disk {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    random: Random,
    /// Changes and syncs that are still carried out before the power goes, where it is to go.
    left: Option<u64>,
    is_cut: bool,
    /// Syncs of files up to one that fails, where one is to.
    failing: Option<u64>,
    /// How many changes and syncs there were.
    done: u64,
}

impl Change {
    /// Carries it out.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, written) => {
                let end = at + written.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(written);
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }
}

impl Step {
    /// Carries it out.
    pub fn apply(&self, names: &mut BTreeMap<OsString, u64>) {
        match self {
            Self::Link(name, node) => drop(names.insert(name.clone(), *node)),
            Self::Unlink(name) => drop(names.remove(name)),
            Self::Rename(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), *node);
            }
        }
    }
}

impl Disk {
    /// An empty one.
    pub fn new(random: Random) -> Self {
        Self::of(BTreeMap::from([(ROOT, Node::Folder(Folder::default()))]), ROOT + 1, random)
    }

    const fn of(nodes: BTreeMap<u64, Node>, next: u64, random: Random) -> Self {
        Self { nodes, next, random, left: None, is_cut: false, failing: None, done: 0 }
    }

    /// Has the power go at the so manieth change or sync from here, which is itself carried out, or not.
    pub const fn arm(&mut self, steps: u64) {
        self.left = Some(steps);
    }

    /// Has the so manieth sync of a file from here fail, once.
    pub const fn fail(&mut self, syncs: u64) {
        self.failing = Some(syncs);
    }

    /// Lets the power be; whether it has not gone already.
    pub const fn disarm(&mut self) -> bool {
        self.left = None;
        !self.is_cut
    }

    /// Has the power go now.
    pub const fn cut(&mut self) {
        self.is_cut = true;
    }

    /// Whether the power has gone: everything is refused.
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// How many changes and syncs there were.
    pub const fn done(&self) -> u64 {
        self.done
    }

    /// What is found when the power is back.
    pub fn remains(&mut self) -> Self {
        let mut random = self.random.fork();
        let mut nodes = BTreeMap::new();
        let mut waiting = vec![ROOT];
        while let Some(number) = waiting.pop() {
            let left = match &self.nodes[&number] {
                Node::Folder(folder) => {
                    let names = ruin::names(folder, &mut random);
                    waiting.extend(names.values().filter(|node| !nodes.contains_key(*node)));
                    Node::Folder(Folder { now: names.clone(), synced: names, since: Vec::new() })
                }
                Node::File(file) => {
                    let bytes = ruin::bytes(file, &mut random);
                    Node::File(File { now: bytes.clone(), synced: bytes, since: Vec::new() })
                }
            };
            nodes.insert(number, left);
        }
        Self::of(nodes, self.next, random)
    }

    /// What stands under a number.
    pub fn node(&self, number: u64) -> Result<&Node, Errno> {
        self.on()?;
        self.nodes.get(&number).ok_or(Errno::ENOENT)
    }

    /// The number that a name leads to.
    pub fn look_up(&self, parent: u64, name: &OsStr) -> Result<u64, Errno> {
        self.on()?;
        self.folder(parent)?.now.get(name).copied().ok_or(Errno::ENOENT)
    }

    /// Gives a name to something new.
    pub fn make(&mut self, parent: u64, name: &OsStr, node: Node) -> Result<u64, Errno> {
        self.on()?;
        if self.folder(parent)?.now.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.step(parent, Step::Link(name.to_owned(), number))?;
        Ok(number)
    }

    /// Takes a name away; what it led to stays for those who have it open.
    pub fn unlink(&mut self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.look_up(parent, name)?;
        if matches!(self.node(number)?, Node::Folder(folder) if !folder.now.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.step(parent, Step::Unlink(name.to_owned()))
    }

    /// Changes a name within a folder.
    pub fn rename(&mut self, parent: u64, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        let number = self.look_up(parent, from)?;
        self.step(parent, Step::Rename(from.to_owned(), to.to_owned(), number))
    }

    /// Changes a file.
    pub fn change(&mut self, number: u64, change: Change) -> Result<(), Errno> {
        self.on()?;
        let Some(Node::File(file)) = self.nodes.get_mut(&number) else { return Err(Errno::EISDIR) };
        change.apply(&mut file.now);
        file.since.push(change);
        self.count()
    }

    /// Makes a file's contents or a folder's names lasting.
    pub fn sync(&mut self, number: u64) -> Result<(), Errno> {
        self.on()?;
        if self.left == Some(1) && self.random.once_in(2) {
            // The last one came too late.
            return self.count();
        }
        match self.nodes.get_mut(&number).ok_or(Errno::ENOENT)? {
            Node::File(file) if fails(&mut self.failing) => {
                // As a kernel does it: some of it was written, the rest never will be and is still seen by who reads.
                file.synced = ruin::bytes(file, &mut self.random);
                file.since.clear();
                self.count()?;
                return Err(Errno::EIO);
            }
            Node::File(file) => file.since.drain(..).for_each(|change| change.apply(&mut file.synced)),
            Node::Folder(folder) => folder.since.drain(..).for_each(|step| step.apply(&mut folder.synced)),
        }
        self.count()
    }

    /// Every file with its path, as the program sees it.
    pub fn files(&self) -> Vec<(OsString, &[u8])> {
        let mut found = Vec::new();
        let mut waiting = vec![(OsString::new(), ROOT)];
        while let Some((path, number)) = waiting.pop() {
            match &self.nodes[&number] {
                Node::File(file) => found.push((path, &file.now[..])),
                Node::Folder(folder) => waiting.extend(folder.now.iter().map(|(name, number)| {
                    let mut path = path.clone();
                    path.push("/");
                    path.push(name);
                    (path, *number)
                })),
            }
        }
        found
    }

    fn step(&mut self, parent: u64, step: Step) -> Result<(), Errno> {
        let Some(Node::Folder(folder)) = self.nodes.get_mut(&parent) else { return Err(Errno::ENOTDIR) };
        step.apply(&mut folder.now);
        folder.since.push(step);
        self.count()
    }

    fn folder(&self, number: u64) -> Result<&Folder, Errno> {
        match self.nodes.get(&number) {
            Some(Node::Folder(folder)) => Ok(folder),
            Some(Node::File(_)) => Err(Errno::ENOTDIR),
            None => Err(Errno::ENOENT),
        }
    }

    const fn on(&self) -> Result<(), Errno> {
        if self.is_cut { Err(Errno::EIO) } else { Ok(()) }
    }

    /// Counts what was done, and has the power go when it was the last.
    const fn count(&mut self) -> Result<(), Errno> {
        self.done += 1;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.is_cut = true;
            }
        }
        self.on()
    }
}

/// Counts a sync; whether it is the one that fails.
const fn fails(failing: &mut Option<u64>) -> bool {
    let Some(left) = failing else { return false };
    *left = left.saturating_sub(1);
    if *left == 0 {
        *failing = None;
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: u64 = 300;

    fn write(disk: &mut Disk, file: u64, at: usize, bytes: &[u8]) {
        disk.change(file, Change::Write(at, bytes.to_vec())).expect("the power is on");
    }

    fn left(disk: &mut Disk, name: &str) -> Option<Vec<u8>> {
        let remains = disk.remains();
        let number = remains.look_up(ROOT, OsStr::new(name)).ok()?;
        match remains.node(number) {
            Ok(Node::File(file)) => Some(file.now.clone()),
            _ => None,
        }
    }

    fn made(seed: u64, name: &str) -> (Disk, u64) {
        let mut disk = Disk::new(Random::new(seed));
        let file = disk.make(ROOT, OsStr::new(name), Node::File(File::default())).expect("the power is on");
        (disk, file)
    }

    #[test]
    fn what_is_synced_with_its_name_is_always_there() {
        for seed in 0..SEEDS {
            let (mut disk, file) = made(seed, "a");
            write(&mut disk, file, 0, b"kept");
            disk.sync(file).expect("the power is on");
            disk.sync(ROOT).expect("the power is on");
            assert_eq!(left(&mut disk, "a").as_deref(), Some(&b"kept"[..]));
        }
    }

    #[test]
    fn a_name_that_was_not_synced_may_be_gone_with_all_that_was() {
        let there = (0..SEEDS).filter(|&seed| {
            let (mut disk, file) = made(seed, "a");
            write(&mut disk, file, 0, b"kept");
            disk.sync(file).expect("the power is on");
            left(&mut disk, "a").is_some()
        });
        let there = there.count() as u64;
        assert!(0 < there && there < SEEDS, "{there}");
    }

    #[test]
    fn of_what_was_not_synced_all_is_there_or_nothing_or_some_sectors() {
        let (mut all, mut nothing, mut torn) = (0, 0, 0);
        for seed in 0..SEEDS {
            let (mut disk, file) = made(seed, "a");
            write(&mut disk, file, 0, &[1; 8192]);
            disk.sync(file).expect("the power is on");
            disk.sync(ROOT).expect("the power is on");
            write(&mut disk, file, 0, &[2; 8192]);
            let bytes = left(&mut disk, "a").expect("its name was synced");
            match bytes.iter().map(|&byte| usize::from(byte == 2)).sum() {
                8192 => all += 1,
                0 => nothing += 1,
                some => {
                    assert_eq!(some % 512, 0);
                    torn += 1;
                }
            }
        }
        assert!(all > 0 && nothing > 0 && torn > 0, "{all} {nothing} {torn}");
    }

    #[test]
    fn an_unlink_and_a_length_may_be_lost_until_they_are_synced() {
        let (mut back, mut long) = (0, 0);
        for seed in 0..SEEDS {
            let (mut disk, file) = made(seed, "a");
            write(&mut disk, file, 0, b"kept");
            disk.sync(file).expect("the power is on");
            disk.sync(ROOT).expect("the power is on");
            disk.change(file, Change::Length(0)).expect("the power is on");
            long += u32::from(left(&mut disk, "a") == Some(b"kept".to_vec()));
            disk.unlink(ROOT, OsStr::new("a")).expect("the power is on");
            back += u32::from(left(&mut disk, "a").is_some());
            disk.sync(ROOT).expect("the power is on");
            assert_eq!(left(&mut disk, "a"), None);
        }
        assert!(long > 0 && back > 0, "{long} {back}");
    }

    #[test]
    fn a_rename_is_done_or_not() {
        for seed in 0..SEEDS {
            let (mut disk, _) = made(seed, "a");
            disk.sync(ROOT).expect("the power is on");
            disk.rename(ROOT, OsStr::new("a"), OsStr::new("b")).expect("the power is on");
            let remains = disk.remains();
            assert_eq!(remains.files().len(), 1);
        }
    }

    #[test]
    fn what_failed_to_sync_is_still_seen_and_no_later_sync_brings_it_back() {
        let lost = (0..SEEDS).filter(|&seed| {
            let (mut disk, file) = made(seed, "a");
            disk.sync(ROOT).expect("the power is on");
            disk.fail(1);
            write(&mut disk, file, 0, b"lost");
            assert!(disk.sync(file).is_err());
            assert!(matches!(disk.node(file), Ok(Node::File(file)) if file.now == b"lost"));
            disk.sync(file).expect("only one fails");
            left(&mut disk, "a").is_some_and(|bytes| bytes != b"lost")
        });
        assert!(lost.count() > 0);
    }

    #[test]
    fn when_the_power_has_gone_nothing_is_carried_out_and_nothing_answered() {
        let (mut disk, file) = made(1, "a");
        disk.arm(2);
        write(&mut disk, file, 0, b"first");
        assert!(disk.change(file, Change::Write(0, b"last".to_vec())).is_err());
        assert!(disk.is_cut() && disk.sync(file).is_err() && disk.sync(ROOT).is_err());
        assert!(disk.look_up(ROOT, OsStr::new("a")).is_err() && !disk.disarm());
    }
}
