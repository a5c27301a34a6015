//! The bounded way to one connection.
//!
//! The router and the connection's reader put items in, its writer takes them out; nobody who puts ever waits. Two budgets
//! count bytes: the *feed* (messages, which history can give again) and the *answers* (everything else, which nothing can).
//! A full feed is refused, so that the router marks a lag; answers always go in, and a reader that would bring more of them
//! waits in [`Source::reserve`] first, as does one of whom as much is on its way to the router or to the disk. The channel's
//! slots are only a backstop: every item costs at least [`ITEM_COST`].

mod total;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};

use crate::model::{Event, Item, Wire};

pub use total::Total;
use total::UNCOMMITTED_TOTAL;

/// What an item costs beside its bytes: its slot, its share of a chunk, its part of a system call.
pub const ITEM_COST: usize = 256;

#[derive(Debug)]
struct Shared {
    budget: usize,
    uncommitted_max: usize,
    feed: AtomicUsize,
    answers: AtomicUsize,
    /// Answers that batches on their way to the router may still bring.
    claims: AtomicUsize,
    /// Bytes that the connection sent and that are not safe yet.
    uncommitted: AtomicUsize,
    /// Bytes of those batches themselves.
    underway: AtomicUsize,
    /// Whether the router wants to hear when all is written.
    is_awaited: AtomicBool,
    /// Whether the reader waits for room, so that a writer wakes it for nothing else.
    is_reader_waiting: AtomicBool,
    reader: Notify,
    is_closing: AtomicBool,
    /// Whether the writer has written its last.
    is_over: AtomicBool,
    /// Whether the writer has given up on the socket.
    is_deaf: AtomicBool,
    total: Arc<Total>,
}

impl Shared {
    /// Takes room for answers and for so many bytes on their way to the router, if there is: for anything at all where none
    /// wait. None is given while too much of what was sent is not safe yet.
    fn claim(&self, claim: usize, bytes: usize) -> bool {
        let waiting = self.answers.load(Ordering::SeqCst) + self.claims.load(Ordering::SeqCst);
        let underway = self.underway.load(Ordering::SeqCst);
        let fits = (waiting == 0 || waiting + claim <= self.budget)
            && (underway == 0 || bytes == 0 || underway + bytes <= self.budget)
            && self.may_commit_more();
        if fits {
            self.claims.fetch_add(claim, Ordering::SeqCst);
            self.underway.fetch_add(bytes, Ordering::SeqCst);
        }
        fits
    }

    /// Whether more may be sent to the disk. What holds one up are bytes of its own, whose end wakes its reader.
    fn may_commit_more(&self) -> bool {
        let own = self.uncommitted.load(Ordering::SeqCst);
        let all = self.total.uncommitted.load(Ordering::Relaxed);
        own < self.uncommitted_max && (own == 0 || all < UNCOMMITTED_TOTAL)
    }

    fn wake_reader(&self) {
        if self.is_reader_waiting.load(Ordering::SeqCst) && self.is_reader_waiting.swap(false, Ordering::SeqCst) {
            self.reader.notify_one();
        }
    }

    /// Whether nothing waits to be written.
    fn is_drained(&self) -> bool {
        self.feed.load(Ordering::SeqCst) == 0 && self.answers.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // What a connection that is gone sent holds nobody else up.
        self.total.uncommitted.fetch_sub(*self.uncommitted.get_mut(), Ordering::Relaxed);
    }
}

/// The router's end: puts items in. The connection's writer ends when every one of these is gone.
#[derive(Clone, Debug)]
pub struct Outbox {
    items: mpsc::Sender<Item>,
    shared: Arc<Shared>,
}

/// The reader's end: puts its own answers in, and waits while there are too many.
#[derive(Debug)]
pub struct Source {
    items: mpsc::WeakSender<Item>,
    shared: Arc<Shared>,
}

/// The writer's end: takes items out.
#[derive(Debug)]
pub struct Drain {
    items: mpsc::Receiver<Item>,
    shared: Arc<Shared>,
}

/// A new outbox with `budget` bytes for the feed and again for answers, whose reader waits while `uncommitted_max` bytes of
/// what it sent are on their way to the disk.
pub fn outbox(budget: usize, uncommitted_max: usize, total: &Arc<Total>) -> (Outbox, Source, Drain) {
    // Both budgets full of the cheapest items, and as much again, since answers may go over theirs by a batch.
    let slots = 4 * budget / ITEM_COST + 64;
    let (items, receiver) = mpsc::channel(slots);
    let shared = Arc::new(Shared {
        budget,
        uncommitted_max,
        feed: AtomicUsize::new(0),
        answers: AtomicUsize::new(0),
        claims: AtomicUsize::new(0),
        uncommitted: AtomicUsize::new(0),
        underway: AtomicUsize::new(0),
        is_awaited: AtomicBool::new(false),
        is_reader_waiting: AtomicBool::new(false),
        reader: Notify::new(),
        is_closing: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
        is_deaf: AtomicBool::new(false),
        total: Arc::clone(total),
    });
    let source = Source { items: items.downgrade(), shared: Arc::clone(&shared) };
    (Outbox { items, shared: Arc::clone(&shared) }, source, Drain { items: receiver, shared })
}

/// The outbox has no room, or nobody reads it any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Outbox {
    /// Whether the feed, held to `limit` bytes, has room for so many more. An empty feed has room for anything, so that no
    /// chunk is too large for ever.
    pub fn fits(&self, cost: usize, limit: usize) -> bool {
        let before = self.shared.feed.load(Ordering::Relaxed);
        before == 0 || before + cost <= limit.min(self.shared.budget)
    }

    /// Puts a stretch of messages in, which fit, and says what it costs, to be counted in [`Total::add`]; [`Full`] only where
    /// the connection is ending.
    pub fn feed(&self, item: Item) -> Result<usize, Full> {
        let cost = cost(&item);
        // Counted first, so that the writer never takes away what is not there yet.
        self.shared.feed.fetch_add(cost, Ordering::Relaxed);
        if self.items.try_send(item).is_err() {
            self.shared.feed.fetch_sub(cost, Ordering::Relaxed);
            return Err(Full);
        }
        Ok(cost)
    }

    /// Puts answers in. They may go over the budget, which stops the reader; [`Full`] only where nothing fits at all.
    pub fn answer(&self, events: Vec<Event>) -> Result<(), Full> {
        answer(&self.shared, &self.items, Item::Events(Box::new(events)))
    }

    /// Whether answers that nobody asked for, such as work and presence, still fit.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.shared.answers.load(Ordering::Relaxed) + self.shared.claims.load(Ordering::Relaxed) + bytes
            <= self.shared.budget
    }

    /// A batch was carried out: its claim on the answer budget is over.
    pub fn settle(&self, claim: usize) {
        if claim > 0 {
            self.shared.claims.fetch_sub(claim, Ordering::SeqCst);
            self.shared.wake_reader();
        }
    }

    /// Counts bytes that the connection sent and that are not safe yet.
    pub fn hold(&self, bytes: usize) {
        self.shared.total.uncommitted.fetch_add(bytes, Ordering::Relaxed);
        self.shared.uncommitted.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Such bytes are safe now, or lost.
    pub fn release(&self, bytes: usize) {
        self.shared.total.uncommitted.fetch_sub(bytes, Ordering::Relaxed);
        self.shared.uncommitted.fetch_sub(bytes, Ordering::SeqCst);
        self.shared.wake_reader();
    }

    /// A batch of so many bytes has arrived: another may set out.
    pub fn arrived(&self, bytes: usize) {
        if bytes > 0 {
            self.shared.underway.fetch_sub(bytes, Ordering::SeqCst);
            self.shared.wake_reader();
        }
    }

    /// Asks to be told, by [`Drain::is_awaited`], when all is written; `false` where it is already.
    pub fn await_drained(&self) -> bool {
        self.shared.is_awaited.store(true, Ordering::SeqCst);
        !self.shared.is_drained()
    }

    /// Bytes of messages that wait.
    pub fn feed_bytes(&self) -> usize {
        self.shared.feed.load(Ordering::Relaxed)
    }

    /// Whether the peer can no longer be written to.
    pub fn is_deaf(&self) -> bool {
        self.shared.is_deaf.load(Ordering::Relaxed)
    }

    /// Tells the reader that the connection is ending: nothing it reads counts any more.
    pub fn close(&self) {
        self.shared.is_closing.store(true, Ordering::Relaxed);
        self.shared.reader.notify_one();
    }
}

impl Source {
    /// Puts the reader's own answers in.
    pub fn answer(&self, events: Vec<Event>) -> Result<(), Full> {
        self.put(Item::Events(Box::new(events)))
    }

    /// Has everything that follows written in another protocol.
    pub fn switch(&self, wire: Wire) -> Result<(), Full> {
        self.put(Item::Switch(wire))
    }

    fn put(&self, item: Item) -> Result<(), Full> {
        self.items.upgrade().ok_or(Full).and_then(|items| answer(&self.shared, &items, item))
    }

    /// Claims room for the answers to a batch and for its own bytes, once there is; `false` when the connection is ending.
    ///
    /// A batch that has not arrived counts, so that one connection which sends faster than the router works neither fills the
    /// mailbox nor keeps the others waiting behind all that it sent.
    pub async fn reserve(&self, claim: usize, bytes: usize) -> bool {
        loop {
            if self.is_closing() {
                return false;
            }
            if self.shared.claim(claim, bytes) {
                return true;
            }
            // Said before looking again, so that whoever makes room in between knows of the wait.
            self.shared.is_reader_waiting.store(true, Ordering::SeqCst);
            if !self.shared.claim(claim, bytes) {
                self.shared.reader.notified().await;
                continue;
            }
            self.shared.is_reader_waiting.store(false, Ordering::Relaxed);
            return true;
        }
    }

    /// Gives a claim back.
    pub fn settle(&self, claim: usize) {
        self.shared.claims.fetch_sub(claim, Ordering::SeqCst);
    }

    /// Whether the connection is ending.
    pub fn is_closing(&self) -> bool {
        self.shared.is_closing.load(Ordering::Relaxed)
    }

    /// Resolves when the connection is ending.
    pub async fn closing(&self) {
        while !self.is_closing() {
            self.shared.reader.notified().await;
        }
    }

    /// Resolves when the writer has written its last.
    pub async fn over(&self) {
        while !self.shared.is_over.load(Ordering::Relaxed) {
            self.shared.reader.notified().await;
        }
    }
}

impl Drain {
    /// The next item, once there is one; `None` when nobody can put another.
    pub async fn next(&mut self) -> Option<Item> {
        self.items.recv().await
    }

    /// The next item, if there is one.
    pub fn try_next(&mut self) -> Option<Item> {
        self.items.try_recv().ok()
    }

    /// Gives the room of items back once they are written.
    pub fn written(&self, done: Written) {
        if done.feed > 0 {
            self.shared.feed.fetch_sub(done.feed, Ordering::SeqCst);
        }
        if done.answers > 0 {
            self.shared.answers.fetch_sub(done.answers, Ordering::SeqCst);
            self.shared.wake_reader();
        }
        self.shared.total.sub(done.feed + done.answers);
    }

    /// Whether the router wants to hear now that all is written; says so once.
    pub fn is_awaited(&self) -> bool {
        self.shared.is_awaited.load(Ordering::SeqCst)
            && self.shared.is_drained()
            && self.shared.is_awaited.swap(false, Ordering::SeqCst)
    }

    /// Notes that the peer can no longer be written to.
    pub fn deaf(&self) {
        self.shared.is_deaf.store(true, Ordering::Relaxed);
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.shared.is_closing.store(true, Ordering::Relaxed);
        self.shared.reader.notify_one();
        // What nobody will write any more waits for nobody.
        self.items.close();
        let mut left = Written::default();
        while let Ok(item) = self.items.try_recv() {
            left.add(&item);
        }
        self.written(left);
    }
}

/// What a writer has written, to be given back to the budgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    feed: usize,
    answers: usize,
}

impl Written {
    /// Bytes of all of it.
    pub const fn bytes(&self) -> usize {
        self.feed + self.answers
    }

    /// Adds an item.
    pub fn add(&mut self, item: &Item) {
        match item {
            Item::Feed { .. } => self.feed += cost(item),
            Item::Events(_) | Item::Switch(_) => self.answers += cost(item),
        }
    }
}

fn answer(shared: &Shared, items: &mpsc::Sender<Item>, item: Item) -> Result<(), Full> {
    let cost = cost(&item);
    shared.answers.fetch_add(cost, Ordering::Relaxed);
    shared.total.add(cost);
    items.try_send(item).map_err(|_| {
        shared.answers.fetch_sub(cost, Ordering::Relaxed);
        shared.total.sub(cost);
        Full
    })
}

/// What an item takes from its budget.
pub fn cost(item: &Item) -> usize {
    match item {
        Item::Feed { chunk, from, to, .. } => chunk.span(&(*from as usize..*to as usize)).len() + ITEM_COST,
        Item::Switch(_) => ITEM_COST,
        Item::Events(events) => events.iter().map(Event::cost).sum::<usize>() + ITEM_COST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pong() -> Vec<Event> {
        vec![Event::Ping]
    }

    #[tokio::test]
    async fn a_reader_waits_while_its_answers_are_not_read() {
        let total = Arc::new(Total::default());
        let (outbox, source, mut drain) = outbox(4_096, 4_096, &total);
        outbox.answer(pong()).expect("room");
        let mut reserve = tokio_test::task::spawn(source.reserve(4_096, 0));
        assert!(reserve.poll().is_pending(), "no room beside the first answer");
        let item = drain.next().await.expect("an answer");
        let mut done = Written::default();
        done.add(&item);
        drain.written(done);
        assert!(reserve.is_woken());
        assert_eq!(reserve.poll(), std::task::Poll::Ready(true));
        assert_eq!(total.bytes(), 0);
        drop(reserve);
        let mut next = tokio_test::task::spawn(source.reserve(1, 0));
        assert!(next.poll().is_pending(), "the claim holds the whole budget");
        outbox.settle(4_096);
        assert_eq!(next.poll(), std::task::Poll::Ready(true));
    }

    #[tokio::test]
    async fn a_reader_waits_while_what_it_sent_is_not_safe() {
        let (outbox, source, _drain) = outbox(4_096, 1_000, &Arc::default());
        outbox.hold(600);
        assert!(source.reserve(1, 0).await, "there is room for more");
        outbox.hold(600);
        let mut reserve = tokio_test::task::spawn(source.reserve(1, 0));
        assert!(reserve.poll().is_pending());
        outbox.release(600);
        assert!(reserve.is_woken());
        assert_eq!(reserve.poll(), std::task::Poll::Ready(true));
    }

    #[tokio::test]
    async fn readers_wait_while_all_together_have_sent_more_than_the_disk_takes() {
        let total = Arc::new(Total::default());
        let (other, _source, _drain) = outbox(4_096, UNCOMMITTED_TOTAL, &total);
        let (own, source, _drain) = outbox(4_096, UNCOMMITTED_TOTAL, &total);
        other.hold(UNCOMMITTED_TOTAL);
        assert!(source.reserve(1, 0).await, "one that has nothing there is let in");
        own.hold(1);
        let mut reserve = tokio_test::task::spawn(source.reserve(1, 0));
        assert!(reserve.poll().is_pending());
        own.release(1);
        assert!(reserve.is_woken());
        assert_eq!(reserve.poll(), std::task::Poll::Ready(true));
    }

    #[tokio::test]
    async fn a_reader_waits_while_as_much_of_what_it_sent_has_not_arrived() {
        let (outbox, source, _drain) = outbox(4_096, 4_096, &Arc::default());
        assert!(source.reserve(0, 10_000).await, "anything may set out alone");
        let mut next = tokio_test::task::spawn(source.reserve(0, 1));
        assert!(next.poll().is_pending());
        assert!(source.reserve(1, 0).await, "what stays here is held up by nothing");
        outbox.arrived(10_000);
        assert!(next.is_woken());
        assert_eq!(next.poll(), std::task::Poll::Ready(true));
        assert!(source.reserve(0, 4_095).await, "and more beside it, where it fits");
    }

    #[tokio::test]
    async fn a_reader_that_waits_hears_of_the_end() {
        let (outbox, source, _drain) = outbox(4_096, 4_096, &Arc::default());
        assert!(source.reserve(4_096, 0).await);
        let mut reserve = tokio_test::task::spawn(source.reserve(1, 0));
        assert!(reserve.poll().is_pending());
        outbox.close();
        assert_eq!(reserve.poll(), std::task::Poll::Ready(false));
    }

    #[tokio::test]
    async fn the_writer_hears_the_end_when_the_router_is_gone_though_the_reader_is_not() {
        let (outbox, source, mut drain) = outbox(4_096, 4_096, &Arc::default());
        drop(outbox);
        assert!(drain.next().await.is_none());
        assert_eq!(source.answer(pong()), Err(Full));
    }
}
