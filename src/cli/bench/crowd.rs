//! All the clients of one run, on one thread: connects them, publishes as far as the window lets it, reads what comes, and
//! checks it.
//!
//! It does not know what is measured: a scenario calls [`Crowd::turn`] until it has seen enough. One thread is enough
//! because nothing here waits, allocates or copies for each message.

mod publish;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::check::{Check, Tally};
use super::client::{Buffer, Client, Taken};
use super::flow::Flow;
use super::plan::{self, Plan};
use super::stamp;
use super::wire::{Frame, Template, Wire};

/// Answers to greetings that may be outstanding: fewer connections than the shortest backlog of the servers measured.
const CONNECTING_MAX: u32 = 64;

/// How long a server may take to answer a greeting.
const GREETING: Duration = Duration::from_secs(10);

/// Words of servers that are kept for the report.
const FAULTS_MAX: usize = 3;

/// All the clients of a run.
pub(super) struct Crowd<W> {
    plan: Plan,
    poll: Poll,
    events: Events,
    buffer: Buffer,
    members: Vec<Member>,
    rooms: Vec<Room<W>>,
    /// Rooms where something came, so that more may be sent.
    touched: Vec<usize>,
    ready: u32,
    wanted: u32,
    delivered: u64,
    sent: u64,
    faults: Vec<String>,
}

struct Member {
    client: Client,
    room: usize,
    /// What a subscriber must see, and its place among those of its room.
    check: Option<(Check, usize)>,
    /// How many it has published.
    published: u64,
    /// How many of those were answered, where they are.
    accepted: u64,
    /// Whether its subscription is left unread.
    is_stalled: bool,
}

struct Room<W> {
    wire: W,
    template: Template,
    flow: Flow,
    /// How many may still be sent, where that is bounded.
    left: u64,
    /// The publisher whose turn it is.
    turn: usize,
    is_touched: bool,
}

impl<W: Wire> Crowd<W> {
    /// Connects everyone, and waits until all are in their rooms.
    pub(super) fn connect(plan: &Plan, address: SocketAddr) -> Result<Self, String> {
        let told = |error: io::Error| format!("{address}: {error}");
        let rooms = (0..plan.rooms).map(|number| Room::new(plan, number)).collect();
        let mut crowd = Self {
            plan: plan.clone(),
            poll: Poll::new().map_err(told)?,
            events: Events::with_capacity(1_024),
            buffer: Buffer::default(),
            members: Vec::with_capacity(plan.connections()),
            rooms,
            touched: Vec::new(),
            ready: 0,
            wanted: 0,
            delivered: 0,
            sent: 0,
            faults: Vec::new(),
        };
        for (at, (room, part)) in plan.clients().enumerate() {
            let mut client = Client::connect(address, crowd.poll.registry(), Token(at)).map_err(told)?;
            crowd.wanted += crowd.rooms[room].wire.greet(part, at, client.waiting());
            client.flush().map_err(told)?;
            let place = at % plan.parts.len();
            let first = (at - place) as u32;
            // Publishers come first in a room, so that whoever only subscribes has their number before it.
            let silent = plan.parts.iter().filter(|part| !part.subscribes()).count();
            let check = part.subscribes().then(|| (Check::new(first, plan.publishers()), place - silent));
            crowd.members.push(Member { client, room, check, published: 0, accepted: 0, is_stalled: false });
            crowd.await_ready(crowd.wanted.saturating_sub(CONNECTING_MAX))?;
        }
        crowd.await_ready(crowd.wanted)?;
        for (at, member) in crowd.members.iter_mut().enumerate() {
            member.is_stalled = at % plan.parts.len() >= plan.parts.len() - plan.stalled;
        }
        Ok(crowd)
    }

    /// Waits until so many greetings are answered.
    fn await_ready(&mut self, ready: u32) -> Result<(), String> {
        let until = Instant::now() + GREETING;
        while self.ready < ready {
            self.turn(GREETING, &mut |_| {}).map_err(|error| error.to_string())?;
            if let Some(fault) = self.faults.first() {
                return Err(format!("the server says {fault:?}"));
            }
            if Instant::now() > until {
                return Err(format!("the server has answered {} of {} greetings", self.ready, self.wanted));
            }
        }
        Ok(())
    }

    /// Waits for something to happen, at most so long, and takes it; `seen` hears the counter of each message.
    pub(super) fn turn(&mut self, patience: Duration, seen: &mut impl FnMut(u64)) -> io::Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = self.poll.poll(&mut events, Some(patience));
        let taken = polled.and_then(|()| events.iter().try_for_each(|event| self.take(event, seen)));
        self.events = events;
        match taken {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            taken => taken,
        }
    }

    fn take(&mut self, event: &mio::event::Event, seen: &mut impl FnMut(u64)) -> io::Result<()> {
        let at = event.token().0;
        // Whoever is still being greeted, or a timer, is no member.
        let Some(member) = self.members.get_mut(at) else { return Ok(()) };
        if event.is_writable() && !member.client.is_flushed() {
            member.client.flush()?;
            self.touch(self.members[at].room);
        }
        if event.is_readable() && !self.members[at].is_stalled {
            while self.read(at, seen)? == Taken::Some || (event.is_read_closed() && self.members[at].client.is_open()) {
            }
        }
        Ok(())
    }

    fn touch(&mut self, room: usize) {
        if !std::mem::replace(&mut self.rooms[room].is_touched, true) {
            self.touched.push(room);
        }
    }

    /// Reads from one client once.
    fn read(&mut self, at: usize, seen: &mut impl FnMut(u64)) -> io::Result<Taken> {
        let member = &mut self.members[at];
        let wire = &self.rooms[member.room].wire;
        let (mut delivered, mut ready, mut answer, faults) = (0, 0, None, &mut self.faults);
        let (check, accepted, mut is_accepted) = (&mut member.check, &mut member.accepted, false);
        let taken = member.client.read(&mut self.buffer, |input| {
            let mut done = 0;
            while let Some((frame, len)) = wire.frame(&input[done..]) {
                done += len;
                match frame {
                    Frame::Message(payload) => {
                        if let Some(counter) = check.as_mut().and_then(|(check, _)| check.see(payload)) {
                            delivered += 1;
                            seen(counter);
                        }
                    }
                    Frame::Ready => ready += 1,
                    Frame::Answer(words) => answer = Some(words),
                    // An answer that is not the next is not counted, and the run then never settles.
                    Frame::Accepted(stamp) => {
                        let is_next = stamp::read(stamp).is_some_and(|(_, counter)| counter == *accepted);
                        *accepted += u64::from(is_next);
                        is_accepted |= is_next;
                    }
                    Frame::Refusal(words) | Frame::Notice(words) if faults.len() < FAULTS_MAX => {
                        faults.push(String::from_utf8_lossy(words).into_owned());
                    }
                    Frame::Refusal(_) | Frame::Notice(_) | Frame::Other => {}
                }
            }
            done
        })?;
        if let Some(words) = answer {
            member.client.waiting().extend_from_slice(words);
            member.client.flush()?;
        }
        self.ready += ready;
        let room = member.room;
        if is_accepted {
            self.touch(room);
        }
        let member = &self.members[at];
        if delivered > 0 {
            self.delivered += delivered;
            if let Some((_, place)) = &member.check {
                self.rooms[room].flow.got(*place, delivered);
            }
            self.touch(room);
        }
        if taken == Taken::Closed && self.faults.len() < FAULTS_MAX {
            self.faults.push("connection closed".to_owned());
        }
        Ok(taken)
    }

    /// Has the clients that did not read do so from here on; all their sockets are read once.
    pub(super) fn wake_stalled(&mut self, seen: &mut impl FnMut(u64)) -> io::Result<()> {
        for at in 0..self.members.len() {
            if std::mem::take(&mut self.members[at].is_stalled) {
                while self.read(at, seen)? == Taken::Some {}
            }
        }
        Ok(())
    }

    /// Messages delivered so far, to all.
    pub(super) const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Messages sent so far.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether everything that may be sent has been.
    pub(super) fn is_spent(&self) -> bool {
        self.rooms.iter().all(|room| room.left == 0)
    }

    /// Whether everything sent has been delivered to all who read.
    pub(super) fn is_settled(&self) -> bool {
        let is_answered = |member: &Member| self.plan.unacked.is_none() || member.accepted == member.published;
        self.delivered >= self.sent * self.plan.readers() as u64 && self.members.iter().all(is_answered)
    }

    /// What is wrong with what subscribers saw, and the first things that the server said which are no messages.
    pub(super) fn verdict(&self) -> (Tally, &[String]) {
        let mut tally = Tally::default();
        for member in self.members.iter().filter(|member| !member.is_stalled) {
            if let Some((check, _)) = &member.check {
                let first = member.room * self.plan.parts.len();
                let publishers = &self.members[first..first + self.plan.publishers()];
                tally += check.finish(publishers.iter().map(|publisher| publisher.published));
            }
        }
        (tally, &self.faults)
    }

    /// Where a scenario may have events of its own come from.
    pub(super) fn registry(&self) -> &mio::Registry {
        self.poll.registry()
    }
}

impl<W: Wire> Room<W> {
    fn new(plan: &Plan, number: usize) -> Self {
        let wire = W::new(&plan::room(number), plan.payload);
        let template = wire.template();
        let flow = Flow::new(plan.window as u64, plan.readers());
        Self { wire, template, flow, left: u64::MAX, turn: 0, is_touched: false }
    }
}

/// The most clients that stamps can tell apart.
pub(super) const CLIENTS_MAX: usize = stamp::PUBLISHERS_MAX;
