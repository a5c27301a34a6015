//! Listings: who is there, and which rooms there are, a page at a time.
//!
//! It only looks: nothing changes by being listed, and a page is bounded whatever is asked.

use std::sync::Arc;

use super::Router;
use super::halls::beginning;
use super::history::ENVELOPE_BYTES;
use super::rights::{self, Act};
use crate::model::{
    ConnId, ErrorEvent, Event, Identity, MemberInfo, Nick, Page, Part, Pattern, RoomInfo, RoomName, Tag,
};

/// Bytes that one entry of a listing takes beside its names.
const ENTRY_BYTES: usize = 96;

impl Router {
    pub(super) fn who(
        &mut self,
        id: ConnId,
        tag: Tag,
        room: Option<Arc<RoomName>>,
        page: &Page<Nick>,
    ) -> Result<(), ErrorEvent> {
        let owner: Option<Identity>;
        let mut listed: Vec<ConnId> = match &room {
            None => {
                owner = None;
                self.conns.keys().copied().collect()
            }
            Some(room) => {
                let hall = self.readable(id, room)?;
                owner = hall.room.owner.clone();
                let members = hall.members.iter().filter(|(_, member)| member.part != Part::Observer);
                members.map(|(conn, _)| *conn).collect()
            }
        };
        let key = |conn: &ConnId| self.conns.get(conn).map(|conn| conn.nick().key());
        let after = page.after.as_ref().map(Nick::key);
        listed.retain(|conn| key(conn).is_some_and(|key| after.is_none_or(|after| key > after)));
        let limit = page.limit as usize;
        let mut more = listed.len() > limit;
        if more {
            // Only the page is put in order, however many there are.
            listed.select_nth_unstable_by(limit, |a, b| key(a).cmp(&key(b)));
            listed.truncate(limit);
        }
        listed.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let mut room_left = self.config.limits.max_line - ENVELOPE_BYTES;
        let mut members = Vec::with_capacity(listed.len());
        for conn in listed.iter().filter_map(|conn| self.conns.get(conn)) {
            let account = conn.sender().account.clone();
            let bytes = ENTRY_BYTES + conn.nick().shown().len() + account.as_ref().map_or(0, |account| account.len());
            if bytes > room_left {
                more = true;
                break;
            }
            room_left -= bytes;
            members.push(MemberInfo {
                nick: Arc::clone(conn.nick()),
                account,
                role: if owner.as_ref() == Some(conn.identity()) { "owner" } else { "member" },
                idle_s: self.now.instant.saturating_duration_since(conn.heard).as_secs(),
            });
        }
        self.tell(id, Event::Who { tag, room, members, more });
        Ok(())
    }

    pub(super) fn rooms(&mut self, id: ConnId, tag: Tag, pattern: Option<&Pattern>, page: &Page<RoomName>) {
        let mut room_left = self.config.limits.max_line - ENVELOPE_BYTES;
        let mut rooms = Vec::new();
        let mut more = false;
        let beginning = pattern.map_or("", beginning);
        for (_, hall_id) in self.halls.rooms_after(page.after.as_ref(), beginning) {
            let Some(hall) = self.halls.get(hall_id) else { continue };
            let Some(name) = hall.room_name() else { continue };
            let is_wanted = pattern.is_none_or(|pattern| pattern.matches(name))
                && rights::check(Act::Read, &self.standing(id, hall_id), &hall.room, name).is_ok();
            if !is_wanted {
                continue;
            }
            // A topic may double when it is escaped, and control characters take six bytes.
            let topic = hall.room.topic.clone();
            let bytes = 2 * ENTRY_BYTES + name.shown().len() + topic.as_ref().map_or(0, |topic| 6 * topic.len());
            if rooms.len() == page.limit as usize || bytes > room_left {
                more = true;
                break;
            }
            room_left -= bytes;
            rooms.push(RoomInfo {
                room: Arc::clone(name),
                kind: hall.room.settings.kind,
                members: hall.listed as u64,
                seq: hall.room.log.newest(),
                epoch: hall.room.log.epoch().clone(),
                topic,
                private: hall.room.settings.private,
            });
        }
        self.tell(id, Event::Rooms { tag, rooms, more });
    }
}
