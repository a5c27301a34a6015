//! Work whose end could not be written down: acked, or on its way to the dead letters, when the disk failed.
//!
//! Until the disk is well again nobody knows whether that end was stored, so such work is given to nobody: it would be acked in
//! vain, or be among the dead letters twice. Then it is looked up, and what is still there waits for a worker again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Router;
use super::halls::HallId;
use super::publish::CHUNK_BYTES;
use crate::model::{Place, Seq};
use crate::room::Task;
use crate::store::{Found, ReadError, Stretch};

/// Messages that are looked up at once.
const LOOKED_UP: usize = 1_024;

impl Router {
    /// The end of some work was not written down, or may not have been.
    pub(super) fn not_ended(&mut self, hall_id: HallId, tasks: impl IntoIterator<Item = (Seq, Task)>) {
        let is_down = self.disk.is_down;
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        match (&mut hall.disk, &mut hall.room.queue) {
            (Some(disk), _) if is_down => disk.unsure.extend(tasks),
            (_, Some(queue)) => tasks.into_iter().for_each(|(seq, task)| queue.put_back(seq, task)),
            _ => {}
        }
        self.halls.count_queued(hall_id);
        self.touch(hall_id);
    }

    /// Looks up all such work, now that the disk is well again.
    pub(super) fn look_up_unsure(&mut self) {
        let halls: Vec<HallId> = self.halls.on_disk().collect();
        for id in halls {
            self.look_up_in(id);
        }
    }

    fn look_up_in(&mut self, id: HallId) {
        let Some(hall) = self.halls.get_mut(id) else { return };
        let Some(name) = hall.room_name().cloned() else { return };
        let Some(disk) = &mut hall.disk else { return };
        // What becomes unsure from now on is not answered by what is read now.
        let unsure = std::mem::take(&mut disk.unsure);
        let (Some((&first, _)), Some((&last, _))) = (unsure.first_key_value(), unsure.last_key_value()) else { return };
        let seqs = first..last.next();
        let stretch = Stretch::of(&name, Place::Room(Arc::clone(&name)), seqs, LOOKED_UP, CHUNK_BYTES);
        let spare = unsure.clone();
        let then = move |router: &mut Self, found: Result<Found, ReadError>| router.looked_up(id, unsure, found);
        if !self.read(stretch, Box::new(then)) {
            // Better twice than never.
            self.not_ended(id, spare);
        }
    }

    fn looked_up(&mut self, id: HallId, mut unsure: BTreeMap<Seq, Task>, found: Result<Found, ReadError>) {
        let Ok(found) = found else { return self.not_ended(id, unsure) };
        let lines = found.chunks.iter().flat_map(|chunk| (0..chunk.lines().len()).map(move |line| (chunk, line)));
        let mut still_there = Vec::new();
        let mut next = Seq(0);
        for (chunk, line) in lines {
            let seq = Seq(chunk.first().0 + line as u64);
            // It may have been taken back while its end was being written, so it is given as it is on disk.
            still_there.extend(unsure.remove(&seq).map(|mut task| {
                (task.chunk, task.line) = (Arc::clone(chunk), line as u32);
                (seq, task)
            }));
            next = seq.next();
        }
        self.not_ended(id, still_there);
        if found.more && next > Seq(0) {
            let rest = unsure.split_off(&next);
            if let Some(disk) = self.halls.get_mut(id).and_then(|hall| hall.disk.as_mut()) {
                disk.unsure.extend(rest);
            }
            self.look_up_in(id);
        }
    }
}
