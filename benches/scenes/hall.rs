//! A router with one room, its members, and somebody who sends to it.
//!
//! The members' outboxes are emptied after every round as their writers would, so that nobody falls behind.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use linehub::config::{Config, RoomRule};
use linehub::model::{Ask, Command, ConnId, HistoryKind, Pattern, Place, Send, Span, Tag};
use linehub::outbox::{Drain, Source, Total, Written, outbox};
use linehub::protocol::json::{JsonDecoder, JsonEncoder};
use linehub::protocol::{Decoder, Encoder, Intake, Output};
use linehub::router::{Connect, Message, Now, Parcel, Router};
use linehub::sessions::Sessions;

use super::{BATCH, ROOM, Scene, TERMS, UNIX_MS};

/// The payload of its messages: a line of a log, a reading with its labels.
const PAYLOAD: usize = 128;

/// Which part of the way a round goes.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    /// Decoded batches go into the router, and the outboxes are emptied.
    Routed,
    /// Bytes come in, and what the writers would give to the kernel goes out.
    Whole {
        /// Whether the sender asks for an `ok` of each.
        id: bool,
    },
    /// Each member says one thing in a batch of its own, in turn.
    Chat,
}

/// One connection's ends.
struct End {
    source: Source,
    drain: Drain,
}

/// The room.
pub(crate) struct Hall {
    router: Router,
    total: Arc<Total>,
    /// The members, and behind them the one who sends and has not joined.
    ends: Vec<End>,
    output: Output,
}

impl Hall {
    /// A room with so many members, with or without history in memory.
    pub(crate) fn new(members: usize, is_kept: bool) -> Self {
        let mut config = Config::default();
        config.rooms.insert(0, rule(if is_kept { HistoryKind::Memory } else { HistoryKind::None }));
        let total = Arc::new(Total::default());
        let now = Now { instant: Instant::now(), unix_ms: UNIX_MS };
        let router = Router::new(Arc::new(config), Arc::new(Sessions::default()), Arc::clone(&total), now);
        let mut hall = Self { router, total, ends: Vec::new(), output: Output::default() };
        for at in 0..=members {
            let (outbox, source, drain) = outbox(1 << 20, 256 << 10, &hall.total);
            hall.router.handle(Message::Connect(Box::new(Connect { conn: conn(at), outbox })));
            hall.ends.push(End { source, drain });
            if at < members {
                let join = format!("{{\"op\":\"join\",\"room\":\"{ROOM}\"}}\n");
                hall.says(at, join.as_bytes(), &mut JsonDecoder::new(&TERMS));
                hall.router.settle();
            }
        }
        hall.write_all();
        hall
    }

    /// Rounds of a way.
    pub(crate) fn scene(mut self, way: Way) -> Scene {
        let (place, body) = (super::place(), Bytes::from(super::body(PAYLOAD)));
        let sender = self.ends.len() - 1;
        let mut decoder = JsonDecoder::new(&TERMS);
        match way {
            Way::Routed => Box::new(move || {
                let parcel = self.parcel(&place, &body);
                self.route(parcel)
            }),
            Way::Whole { id } => {
                let lines = super::lines(PAYLOAD, id);
                Box::new(move || {
                    self.says(sender, &lines, &mut decoder);
                    self.router.settle();
                    self.write_all()
                })
            }
            Way::Chat => {
                let lines = super::lines(PAYLOAD, false);
                let line = lines[..lines.len() / BATCH].to_vec();
                Box::new(move || {
                    // As many at a time as there are members, since each waits to hear the others.
                    for at in 0..BATCH {
                        let member = at % sender;
                        self.says(member, &line, &mut decoder);
                        if member + 1 == sender || at + 1 == BATCH {
                            self.router.settle();
                        }
                    }
                    self.write_all()
                })
            }
        }
    }

    /// A decoded batch, made by hand.
    pub(crate) fn parcel(&self, place: &Place, body: &Bytes) -> Box<Parcel> {
        let mut parcel = Parcel::new(conn(self.ends.len() - 1));
        let place = parcel.intake.place(place);
        parcel.intake.bytes = body.clone();
        parcel.intake.lines = BATCH;
        for _ in 0..BATCH {
            let body = Span { start: 0, end: body.len() as u32 };
            let send = Send { place, headers: None, body, key: None };
            parcel.intake.ask(Ask { tag: Tag::None, command: Command::Send(send) }, 0);
        }
        parcel
    }

    /// Has the router take a batch, and empties the outboxes.
    pub(crate) fn route(&mut self, parcel: Box<Parcel>) -> usize {
        self.router.handle(Message::Parcel(parcel));
        self.router.settle();
        let mut items = 0;
        for End { drain, .. } in &mut self.ends {
            let mut written = Written::default();
            while let Some(item) = drain.try_next() {
                written.add(&item);
                items += 1;
            }
            drain.written(written);
        }
        items
    }

    /// What a reader does with one read.
    fn says(&mut self, at: usize, bytes: &[u8], decoder: &mut JsonDecoder) {
        let mut input = BytesMut::from(bytes);
        let mut parcel = Parcel::new(conn(at));
        decoder.decode(&mut input, &mut parcel.intake);
        let Intake { claim, .. } = parcel.intake;
        let reserved = pin!(self.ends[at].source.reserve(claim, 0)).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(reserved, Poll::Ready(true), "the answers of one batch find room");
        self.router.handle(Message::Parcel(parcel));
    }

    /// What the writers do, up to the system call.
    fn write_all(&mut self) -> usize {
        let mut bytes = 0;
        for End { drain, .. } in &mut self.ends {
            let mut written = Written::default();
            while let Some(item) = drain.try_next() {
                written.add(&item);
                JsonEncoder.encode(item, &mut self.output);
            }
            bytes += black_box(self.output.slices()).iter().map(Bytes::len).sum::<usize>();
            self.output.clear();
            drain.written(written);
        }
        bytes
    }
}

fn conn(at: usize) -> ConnId {
    ConnId(at as u64 + 1)
}

/// One kind of history for all rooms.
fn rule(history: HistoryKind) -> RoomRule {
    RoomRule { history: Some(history), ..RoomRule::new(Pattern::all()) }
}
