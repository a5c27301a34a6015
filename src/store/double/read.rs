//! Reading and searching the store in memory: it looks at every message.
//!
//! So it needs no index, and shows what one has to find.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Disk, Room};
use crate::model::Seq;
use crate::store::gather::Gather;
use crate::store::{Boot, Found, Group, GroupDraft, Hit, Hits, Query, Record, RoomKey, RoomState, Stretch, Words};

impl Disk {
    /// What an engine tells of its rooms.
    pub(super) fn states(&self) -> Vec<RoomState> {
        let state = |(key, room): (&RoomKey, &Room)| RoomState {
            room: key.clone(),
            epoch: room.epoch.clone(),
            oldest: room.oldest,
            newest: room.newest,
            last_ts: room.last_ts,
            last_pos: room.last_pos,
        };
        self.rooms.iter().map(state).collect()
    }

    pub(super) fn read(&self, stretch: &Stretch, boot: Boot) -> Found {
        let Some(room) = self.rooms.get(&stretch.room) else { return Found::default() };
        let mut gather = Gather::new(stretch, boot, room.oldest, room.newest);
        let mut go_on = gather.range().is_some();
        let mut take = |(first, (floor, group)): (&Seq, &(u64, Arc<Group>))| {
            let is_behind = |seq: Seq| room.places[first].0 + (seq.0 - first.0) > stretch.after.0;
            let is_out = |seq: Seq| !is_behind(seq) || room.done.contains(&seq);
            go_on = go_on && gather.take(*first, *floor, group, is_out);
        };
        if stretch.is_forward {
            room.groups.iter().for_each(&mut take);
        } else {
            room.groups.iter().rev().for_each(&mut take);
        }
        gather.found()
    }

    pub(super) fn search(&self, query: &Query, is_searched: impl Fn(&RoomKey) -> bool, boot: Boot) -> Hits {
        let mut found = BTreeMap::new();
        for (key, room) in self.rooms.iter().filter(|(key, _)| query.scope.has(key) && is_searched(key)) {
            for (first, (floor, group)) in &room.groups {
                let mut ts = *floor;
                for (at, record) in group.records(boot).enumerate() {
                    ts = ts.max(record.ts);
                    let seq = Seq(first.0 + at as u64);
                    let is_there = seq >= room.oldest && !room.done.contains(&seq) && ts <= query.until;
                    if is_there && Words::of_body(record.body).holds(&query.words) {
                        let mut draft = GroupDraft::new(boot);
                        draft.push(&Record { ts, ..record });
                        let hit = Hit { room: key.clone(), epoch: room.epoch.clone(), seq, message: draft.seal() };
                        found.insert(room.places[first].0 + at as u64, hit);
                    }
                }
            }
        }
        let more = found.len() > query.count;
        Hits { hits: found.into_values().rev().take(query.count).collect(), more }
    }
}
