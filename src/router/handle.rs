//! The way to the router: its mailbox, and the handle that connections hold.
//!
//! Readers wait here when the router is behind, and TCP makes their peers wait in turn. The handle is a cheap clone.

use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::model::{ByeReason, ConnId, Outcome};
use crate::outbox::Outbox;
use crate::protocol::Intake;

/// What connections tell the router; a pointer and a word wide, since channels hold 32 slots at once.
#[derive(Debug)]
pub enum Message {
    /// Somebody came.
    Connect(Box<Connect>),
    /// Somebody asks for something.
    Parcel(Box<Parcel>),
    /// A writer that the router wanted to hear from has written everything.
    Drained(ConnId),
    /// A writer can no longer reach its peer.
    Deaf(ConnId),
    /// A connection has to end.
    Close(ConnId, ByeReason),
    /// The router has to fail, for a test that looks at what comes then.
    #[cfg(test)]
    Fail,
}

/// A new connection.
#[derive(Debug)]
pub struct Connect {
    /// Its number.
    pub conn: ConnId,
    /// The way to it.
    pub outbox: Outbox,
}

/// What one connection asks with one read: the unit in which commands travel.
#[derive(Debug)]
pub struct Parcel {
    /// Who asks.
    pub conn: ConnId,
    /// What is asked.
    pub intake: Intake,
    /// Bytes of it that count as on their way.
    pub weight: usize,
    /// Told what came of the last command, by a reader that must know before it reads on.
    pub done: Option<oneshot::Sender<Outcome>>,
}

impl Parcel {
    /// Nothing asked yet.
    pub fn new(conn: ConnId) -> Box<Self> {
        Box::new(Self { conn, intake: Intake::default(), weight: 0, done: None })
    }
}

/// What the server tells the router, on a channel of its own so that no crowd of connections delays it.
#[derive(Debug)]
pub enum Control {
    /// The configuration changed.
    Reload(Arc<Config>),
}

/// The router has ended: the server goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the router has ended")]
pub struct RouterGone;

/// The way to the router.
#[derive(Clone, Debug)]
pub struct RouterHandle {
    mailbox: mpsc::Sender<Message>,
}

/// A mailbox with so many places, and the handle that puts messages in.
pub fn mailbox(places: usize) -> (RouterHandle, mpsc::Receiver<Message>) {
    let (mailbox, messages) = mpsc::channel(places);
    (RouterHandle { mailbox }, messages)
}

impl RouterHandle {
    /// Introduces a connection.
    pub async fn connect(&self, conn: ConnId, outbox: Outbox) -> Result<(), RouterGone> {
        self.send(Message::Connect(Box::new(Connect { conn, outbox }))).await
    }

    /// Hands requests over.
    pub async fn ask(&self, parcel: Box<Parcel>) -> Result<(), RouterGone> {
        self.send(Message::Parcel(parcel)).await
    }

    /// Hands requests over and waits until the last is done.
    pub async fn ask_and_wait(&self, mut parcel: Box<Parcel>) -> Result<Outcome, RouterGone> {
        let (done, outcome) = oneshot::channel();
        parcel.done = Some(done);
        self.send(Message::Parcel(parcel)).await?;
        outcome.await.map_err(|_| RouterGone)
    }

    /// Says that everything put into the connection's outbox is written.
    pub async fn drained(&self, conn: ConnId) -> Result<(), RouterGone> {
        self.send(Message::Drained(conn)).await
    }

    /// Says that the connection's peer can no longer be written to.
    pub async fn deaf(&self, conn: ConnId) -> Result<(), RouterGone> {
        self.send(Message::Deaf(conn)).await
    }

    /// Ends a connection.
    pub async fn close(&self, conn: ConnId, reason: ByeReason) -> Result<(), RouterGone> {
        self.send(Message::Close(conn, reason)).await
    }

    /// Has the router fail.
    #[cfg(test)]
    pub(crate) async fn fail(&self) -> Result<(), RouterGone> {
        self.send(Message::Fail).await
    }

    async fn send(&self, message: Message) -> Result<(), RouterGone> {
        match self.mailbox.try_send(message) {
            Ok(()) => Ok(()),
            // Boxed, so that a connection that need not wait does not hold what waiting takes.
            Err(TrySendError::Full(message)) => Box::pin(self.mailbox.send(message)).await.map_err(|_| RouterGone),
            Err(TrySendError::Closed(_)) => Err(RouterGone),
        }
    }
}
