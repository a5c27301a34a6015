//! What a loss of power leaves of a file or a folder: all that was synced, and of the rest whatever the seed decides.
//!
//! Writes may come apart at sectors, come in any order and leave out others; a file may have grown over bytes that never
//! came. Pure.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::disk::{Change, File, Folder};
use crate::random::Random;

/// How much is left of what was not synced.
#[derive(Clone, Copy)]
enum Share {
    Nothing,
    Everything,
    /// The first so many; the one behind them is torn.
    First(u64),
    /// Each with this chance.
    Some(u64),
    /// Each piece of each with this chance.
    Pieces(u64),
}

/// What is found where a file has grown over a write that never came.
#[derive(Clone, Copy)]
enum Hole {
    /// It has not grown.
    None,
    Zeros,
    Noise,
}

/// The bytes that are left of a file.
pub fn bytes(file: &File, random: &mut Random) -> Vec<u8> {
    let mut left = file.synced.clone();
    let share = share(file.since.len(), random);
    let grain = if random.once_in(2) { 512 } else { 4096 };
    let hole = match random.below(4) {
        0 => Hole::Zeros,
        1 => Hole::Noise,
        _ => Hole::None,
    };
    for (at, change) in file.since.iter().enumerate() {
        let (whole, chance) = match share {
            Share::Everything => (true, 100),
            Share::First(count) if (at as u64) < count => (true, 100),
            Share::First(count) if at as u64 == count => (false, random.below(100)),
            Share::Nothing | Share::First(_) => (false, 0),
            Share::Some(chance) => (random.percent(chance), 0),
            Share::Pieces(chance) => (false, chance),
        };
        if whole {
            change.apply(&mut left);
            continue;
        }
        match change {
            Change::Length(_) if random.percent(chance) => change.apply(&mut left),
            Change::Length(_) => {}
            Change::Write(at, written) => {
                for (from, to) in pieces(*at, written.len(), grain) {
                    if random.percent(chance) {
                        Change::Write(from, written[from - at..to - at].to_vec()).apply(&mut left);
                    } else {
                        dig(&mut left, to, hole, random);
                    }
                }
            }
        }
    }
    left
}

/// The names that are left of a folder.
pub fn names(folder: &Folder, random: &mut Random) -> BTreeMap<OsString, u64> {
    let mut left = folder.synced.clone();
    let share = share(folder.since.len(), random);
    for (at, step) in folder.since.iter().enumerate() {
        let is_left = match share {
            Share::Nothing => false,
            Share::Everything => true,
            Share::First(count) => (at as u64) < count,
            Share::Some(chance) | Share::Pieces(chance) => random.percent(chance),
        };
        if is_left {
            step.apply(&mut left);
        }
    }
    left
}

fn share(count: usize, random: &mut Random) -> Share {
    match random.below(6) {
        0 => Share::Nothing,
        1 => Share::Everything,
        2 => Share::First(random.below(count as u64 + 1)),
        3 => Share::Some(random.among(5, 95)),
        _ => Share::Pieces(random.among(5, 95)),
    }
}

/// A stretch of a file, come apart where its sectors begin.
fn pieces(at: usize, length: usize, grain: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let (mut from, end) = (at, at + length);
    while from < end {
        let to = end.min((from / grain + 1) * grain);
        found.push((from, to));
        from = to;
    }
    found
}

/// Makes a file as long as a write that never came would have.
fn dig(left: &mut Vec<u8>, end: usize, hole: Hole, random: &mut Random) {
    let begin = left.len();
    if begin >= end || matches!(hole, Hole::None) {
        return;
    }
    left.resize(end, 0);
    if matches!(hole, Hole::Noise) {
        left[begin..].fill_with(|| random.next() as u8);
    }
}
