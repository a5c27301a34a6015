//! Searching: who may look where, and what is shown of what the store finds.
//!
//! Rights are asked twice: before, so that what somebody may not read neither takes the place of what may be read nor tells by
//! `more` that it is there; and when the answer comes, since rooms change meanwhile. It reads no message by itself.

use std::collections::HashSet;
use std::sync::Arc;

use super::Router;
use super::disk::unavailable;
use super::halls::HallId;
use super::history::ENVELOPE_BYTES;
use super::rights::{Act, check};
use crate::model::{Chunk, Code, ConnId, Epoch, ErrorEvent, Event, FoundPage, RoomName, Search, Seq, Tag};
use crate::store::{Hit, Hits, Query, RoomKey, Scope, Searched, Unsearchable, Words};

/// A room that was searched, with its newest number and its numbering then.
type Room = (Arc<RoomName>, Seq, Epoch);

impl Router {
    /// Tells the store which rooms are searched by the configuration.
    pub(super) fn index_rooms(&self) {
        let config = Arc::clone(&self.config);
        let is_searched = move |room: &RoomKey| RoomName::parse(&room.0).is_ok_and(|name| config.searches(&name));
        self.index(Searched(Arc::new(is_searched)));
    }

    pub(super) fn search(&mut self, id: ConnId, tag: Tag, wanted: &Search) -> Result<(), ErrorEvent> {
        let nothing = "`query` has no letter or digit to look for";
        let words = Words::of_query(&wanted.query).ok_or_else(|| ErrorEvent::new(Code::BadRequest, nothing))?;
        let (room, scope) = match &wanted.room {
            Some(room) => {
                let found = self.searched_room(id, room)?;
                let key = RoomKey::of(&found.0);
                (Some(found), Scope::Room(key))
            }
            None => (None, Scope::AllBut(self.hidden(id))),
        };
        let query = Query {
            words,
            scope,
            until: wanted.until.unwrap_or(u64::MAX),
            count: wanted.limit as usize,
            bytes: self.config.limits.max_line - ENVELOPE_BYTES,
        };
        self.begin_wait(id);
        let asked = tag.clone();
        let then = Box::new(move |router: &mut Self, found: Result<Hits, Unsearchable>| {
            match found {
                Ok(hits) => router.found(id, tag, room, &hits),
                Err(why) => router.error(id, tag, about(unavailable(&why.to_string()), room.as_ref())),
            }
            router.release(id);
        });
        if !self.find(query, then) {
            let words = "too much is being searched: try again";
            self.error(id, asked, unavailable(words).op("search"));
            self.release(id);
        }
        Ok(())
    }

    /// A room that somebody may read and that can be searched.
    fn searched_room(&self, id: ConnId, room: &Arc<RoomName>) -> Result<Room, ErrorEvent> {
        let hall = self.readable(id, room)?;
        let name = hall.room_name().unwrap_or(room);
        if hall.disk.is_none() {
            let words = format!("{name} is not kept on disk, so it cannot be searched: `history` has what it keeps");
            return Err(unavailable(&words).room(name));
        }
        if !self.config.searches(name) {
            let words = format!("{name} cannot be searched, as the server is set up");
            return Err(unavailable(&words).room(name));
        }
        Ok((Arc::clone(name), hall.room.log.newest(), hall.room.log.epoch().clone()))
    }

    /// The rooms on disk that somebody may not look into.
    fn hidden(&self, id: ConnId) -> HashSet<RoomKey> {
        let is_hidden = |hall: &HallId| !self.may_find(id, *hall);
        let key = |hall: HallId| self.halls.get(hall)?.room_name().map(|name| RoomKey::of(name));
        self.halls.on_disk().filter(is_hidden).filter_map(key).collect()
    }

    fn may_find(&self, id: ConnId, hall_id: HallId) -> bool {
        let Some(hall) = self.halls.get(hall_id) else { return false };
        let Some(name) = hall.room_name() else { return false };
        if !self.config.searches(name) {
            return false;
        }
        !hall.room.settings.private || check(Act::Read, &self.standing(id, hall_id), &hall.room, name).is_ok()
    }

    fn found(&mut self, id: ConnId, tag: Tag, room: Option<Room>, hits: &Hits) {
        let mut left = self.config.limits.max_line - ENVELOPE_BYTES;
        let mut page = FoundPage { room, messages: Vec::new(), more: hits.more };
        for hit in &hits.hits {
            let Some(chunk) = self.shown(id, hit) else { continue };
            let bytes = chunk.bytes().len();
            if bytes > left && !page.messages.is_empty() {
                page.more = true;
                break;
            }
            left = left.saturating_sub(bytes);
            page.messages.push((chunk, 0));
        }
        self.tell(id, Event::Found(tag, Box::new(page)));
    }

    /// A message that was found, if it may be shown by now.
    fn shown(&self, id: ConnId, hit: &Hit) -> Option<Arc<Chunk>> {
        let hall_id = self.halls.find_key(&hit.room).filter(|hall| self.may_find(id, *hall))?;
        let hall = self.halls.get(hall_id)?;
        let is_there = *hall.room.log.epoch() == hit.epoch && hit.seq >= hall.oldest();
        let place = hall.place_for(self.conns.get(&id)?.identity());
        let chunks = is_there.then(|| hit.message.chunks(self.disk.boot, &place, hit.seq, 0, |_| true))?;
        chunks.into_iter().next()
    }
}

fn about(error: ErrorEvent, room: Option<&Room>) -> ErrorEvent {
    let error = error.op("search");
    match room {
        Some((name, ..)) => error.room(name),
        None => error,
    }
}
