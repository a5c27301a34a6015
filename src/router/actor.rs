//! The router's loop: what it waits for, and nothing of what it decides.
//!
//! It waits for parcels, timers and control alone, never for a connection: what it sends, it tries to send.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Control, Message, Now, Router};
use crate::store;

/// Messages taken in one round: enough to share chunks and system calls among them, few enough that the first is not kept
/// waiting for the last.
const ROUND: usize = 128;

/// A round after which sockets are looked at before the next: longer than a full one of ordinary messages takes.
const LONG_ROUND: Duration = Duration::from_millis(2);

/// Runs the router until `shutdown` is cancelled and the mailbox is empty, or nobody can write to it any more; then says
/// goodbye to every connection.
pub async fn run(
    mut router: Router,
    mut mailbox: mpsc::Receiver<Message>,
    mut control: mpsc::Receiver<Control>,
    mut stored: mpsc::Receiver<store::Event>,
    shutdown: CancellationToken,
) {
    let mut messages = Vec::with_capacity(ROUND);
    let mut events = Vec::with_capacity(ROUND);
    let (mut has_control, mut has_store) = (true, true);
    loop {
        let deadline = router.next_deadline();
        // None of these blocks the others: each only waits for something to arrive.
        tokio::select! {
            biased;
            change = control.recv(), if has_control => match change {
                Some(Control::Reload(config)) => router.reconfigure(config),
                None => has_control = false,
            },
            () = shutdown.cancelled() => {
                // What was sent before is answered; what comes after finds the mailbox closed.
                mailbox.close();
                while mailbox.recv_many(&mut messages, ROUND).await > 0 {
                    round(&mut router, &mut messages);
                }
                await_store(&mut router, &mut stored, &mut events).await;
                break;
            }
            () = expired(deadline) => {
                router.at(now());
                router.expire();
                router.settle();
            }
            said = stored.recv_many(&mut events, ROUND), if has_store => {
                has_store = said > 0;
                hear(&mut router, &mut events);
            }
            taken = mailbox.recv_many(&mut messages, ROUND) => {
                if taken == 0 {
                    break;
                }
                let begun = Instant::now();
                round(&mut router, &mut messages);
                if begun.elapsed() >= LONG_ROUND {
                    // A thread looks at its sockets only after dozens of turns of its tasks. Whoever brought a round this
                    // long would bring dozens more before anyone else is heard.
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    router.at(now());
    router.shutdown();
}

/// Takes what the store says.
fn hear(router: &mut Router, events: &mut Vec<store::Event>) {
    router.at(now());
    for event in events.drain(..) {
        router.stored(event);
    }
    router.settle();
}

/// Waits until the store has answered everything, within what a shutdown has for it.
async fn await_store(router: &mut Router, stored: &mut mpsc::Receiver<store::Event>, events: &mut Vec<store::Event>) {
    let answered = tokio::time::timeout(router.patience(), async {
        while router.awaits_store() && stored.recv_many(events, ROUND).await > 0 {
            hear(router, events);
        }
    });
    if answered.await.is_err() {
        tracing::error!("the disk did not answer in time: the outcome of what waited for it is unknown");
    }
}

fn round(router: &mut Router, messages: &mut Vec<Message>) {
    router.at(now());
    for message in messages.drain(..) {
        router.handle(message);
    }
    router.settle();
}

async fn expired(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The time now.
pub fn now() -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { instant: tokio::time::Instant::now().into_std(), unix_ms: unix.as_millis() as u64 }
}
