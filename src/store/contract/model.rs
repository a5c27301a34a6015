//! Any sequence of writes leaves in every engine what it leaves in the double.
//!
//! The double is the model: small enough to be seen to be right, and tried by the same cases.

use proptest::prelude::*;

use super::cases::Doubles;
use super::rig::{everything, room, told, words};
use super::{Rig, Said};
use crate::model::Seq;
use crate::store::sqlite::tests::Files;
use crate::store::{Retention, Stretch, Write};

#[derive(Clone, Debug)]
enum Step {
    Say { room: usize, count: u64, keep: u64 },
    Redact { room: usize, seq: u64 },
    Finish { room: usize, seqs: Vec<u64> },
    Delete { room: usize },
    Reopen,
    Read { room: usize, first: u64, len: u64, count: usize, is_forward: bool, since: u64, until: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let room = 0..3_usize;
    prop_oneof![
        6 => (room.clone(), 1..6_u64, prop_oneof![3 => Just(0), 1 => 1..12_u64])
            .prop_map(|(room, count, keep)| Step::Say { room, count, keep }),
        1 => (room.clone(), 1..30_u64).prop_map(|(room, seq)| Step::Redact { room, seq }),
        3 => (room.clone(), prop::collection::vec(1..40_u64, 1..8)).prop_map(|(room, seqs)| Step::Finish { room, seqs }),
        1 => room.clone().prop_map(|room| Step::Delete { room }),
        1 => Just(Step::Reopen),
        4 => (room, 1..30_u64, 1..30_u64, 1..12_usize, any::<bool>(), 0..60_u64, 0..60_u64).prop_map(
            |(room, first, len, count, is_forward, since, span)| {
                let (since, until) = if span % 3 == 0 { (0, u64::MAX) } else { (since, since + span) };
                Step::Read { room, first, len, count, is_forward, since, until }
            }
        ),
    ]
}

/// What a step shows.
fn take(rig: &mut Rig<'_>, step: &Step, clock: u64) -> Vec<(u64, String)> {
    let key = |at: usize| room(["ops", "lab", "jobs"][at]);
    match step {
        Step::Say { room, count, keep } => {
            let said =
                |at: u64| Said { key: at.is_multiple_of(2).then_some(at.into()), ..told(clock + at, clock + at / 2) };
            let said: Vec<_> = (0..*count).map(said).collect();
            let said = rig.say(&key(*room), Retention { messages: *keep, ..Retention::default() }, &said);
            return vec![(said.first.0, format!("{} {}", said.floor, said.epoch))];
        }
        Step::Redact { room, seq } => {
            rig.done(|ticket| Write::Redact { ticket, room: key(*room), seq: Seq(*seq) });
        }
        Step::Finish { room, seqs } => {
            let seqs = seqs.iter().map(|seq| Seq(*seq)).collect();
            rig.done(|ticket| Write::Finish { ticket, room: key(*room), seqs });
        }
        Step::Delete { room } => rig.done(|ticket| Write::Delete { ticket, room: key(*room) }),
        Step::Reopen => {
            rig.reopen();
            let mut rooms: Vec<_> = rig.contents().rooms.clone();
            rooms.sort_by_key(|state| state.room.clone());
            return rooms.iter().map(|state| (state.newest.0, format!("{} {}", state.epoch, state.last_ts))).collect();
        }
        Step::Read { room, first, len, count, is_forward, since, until } => {
            let (first, end) = (Seq(*first), Seq(first + len));
            let stretch = Stretch { first, end, count: *count, is_forward: *is_forward, ..everything(&key(*room)) };
            let found = rig.read(Stretch { since: *since, until: *until, ..stretch });
            let mut shown = words(&found);
            shown.push((u64::from(found.more), "more".to_owned()));
            return shown;
        }
    }
    Vec::new()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_writes_leave_the_same_in_every_engine(steps in prop::collection::vec(step(), 1..40)) {
        let (mut doubles, mut files) = (Doubles::default(), Files::in_memory());
        let (mut double, mut file) = (Rig::new(&mut doubles), Rig::new(&mut files));
        for (at, step) in steps.iter().enumerate() {
            let clock = 2 * at as u64 + 1;
            prop_assert_eq!(take(&mut file, step, clock), take(&mut double, step, clock), "step {}", at);
        }
        for name in ["ops", "lab", "jobs"] {
            prop_assert_eq!(file.all(&room(name)), double.all(&room(name)));
        }
    }
}
