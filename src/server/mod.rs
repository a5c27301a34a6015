//! The server as a whole: what is started in which order, and what is stopped.
//!
//! Started: listeners, store, router, acceptors. Stopped, on a signal, on the caller's word or when one of these fails: acceptors and
//! streams not yet recognised, then the router, which says goodbye to everyone, then the connections, all within
//! `shutdown_timeout`. A failure ends the server in the same order as a signal, and is in the log.

mod accept;
pub mod control;
mod listen;
mod signals;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{self, Config, Listen};
use crate::connection::Services;
use crate::outbox::Total;
use crate::router::{self, Control, Message, Router, RouterHandle};
use crate::sessions::Sessions;
use crate::store::Boot;
use crate::store::sqlite::{self, Opened, Options, STORE_QUEUE};

use accept::Acceptor;
use control::Control as Socket;

/// Configurations that wait for the router: it takes each within a round.
const CONTROL_PLACES: usize = 4;

/// A server with its listeners open, not yet serving.
#[derive(Debug)]
pub struct Server {
    config: Config,
    listeners: Vec<(Listen, TcpListener)>,
    reloads: (mpsc::Sender<Config>, mpsc::Receiver<Config>),
    router: (RouterHandle, mpsc::Receiver<Message>),
    store: (Boot, Opened),
    /// Where the data directory can hold one.
    control: Option<Socket>,
}

/// Gives a running server another configuration.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<Config>);

impl Reloader {
    /// Has what can change without a restart taken from another configuration.
    pub async fn reload(&self, config: Config) {
        // A server that has ended takes no configuration any more.
        let _ = self.0.send(config).await;
    }
}

impl Server {
    /// Opens the listeners and the store.
    pub fn bind(config: Config) -> io::Result<Self> {
        let mut listeners = Vec::with_capacity(config.listen.len());
        for listen in &config.listen {
            let listener = listen::open(listen.addr, config.limits.write_timeout)
                .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {}: {error}", listen.addr)))?;
            listeners.push((listen.clone(), listener));
        }
        let boot = Boot::random().map_err(io::Error::other)?;
        let keys_age = config.history.dedup_window;
        let options = Options { boot, keys_age, queue_bytes: STORE_QUEUE };
        let store = sqlite::open(&config.data.dir, options).map_err(io::Error::other)?;
        let rooms = store.contents.rooms.len();
        tracing::info!(dir = %config.data.dir.display(), rooms, "the store is open");
        let router = router::mailbox(config.limits.router_mailbox);
        // The lock that the store holds says that a socket which lies there is nobody's.
        let opened = Socket::open(&config.data.dir);
        let unopened = |error| tracing::warn!(%error, "there is no control socket: `linehub backup` needs a restart");
        let control = opened.map_err(unopened).ok();
        Ok(Self { config, listeners, reloads: mpsc::channel(1), router, store: (boot, store), control })
    }

    /// The addresses listened on, with the ports that were given.
    pub fn addresses(&self) -> io::Result<Vec<(Listen, SocketAddr)>> {
        self.listeners.iter().map(|(listen, listener)| Ok((listen.clone(), listener.local_addr()?))).collect()
    }

    /// The way to give the server another configuration while it runs.
    pub fn reloader(&self) -> Reloader {
        Reloader(self.reloads.0.clone())
    }

    /// Serves until `shutdown` resolves or a part of it fails, then stops.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { config, listeners, reloads: (_, mut reloads), router: (handle, mailbox), store, control: socket } =
            self;
        let (boot, Opened { store, events, contents, backups, closed }) = store;
        let (timeout, max_connections) = (config.server.shutdown_timeout, listen::connections(&config.limits));
        let (configs, current) = watch::channel(Arc::new(config));
        let (sessions, total) = (Arc::new(Sessions::default()), Arc::new(Total::default()));
        let (control, controls) = mpsc::channel(CONTROL_PLACES);
        let stop_accepting = CancellationToken::new();
        let stop_routing = CancellationToken::new();
        let tasks = TaskTracker::new();
        let state = Router::new(current.borrow().clone(), Arc::clone(&sessions), Arc::clone(&total), router::now());
        let state = state.with_store(store, boot, &contents);
        drop(contents);
        let failing = CancellationToken::new();
        let routing = router::run(state, mailbox, controls, events, stop_routing.clone());
        let routing = tasks.spawn(vital(routing, &failing));
        let services = Services {
            router: handle,
            sessions: Arc::clone(&sessions),
            total,
            tasks: tasks.clone(),
            shutdown: stop_accepting.clone(),
        };
        let acceptor = Acceptor::new(max_connections, sessions, services, current);
        let mut accepting = Vec::new();
        for (listen, listener) in listeners {
            let acceptor = acceptor.clone().run(listener, listen.protocol);
            accepting.push(tasks.spawn(vital(acceptor, &failing)));
        }
        drop(acceptor);
        if let Some(socket) = socket {
            tasks.spawn(socket.run(backups, stop_accepting.clone()));
        }
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                () = failing.cancelled() => break,
                Some(new) = reloads.recv() => {
                    let old = Arc::clone(&configs.borrow());
                    let (new, waiting) = config::reload(&old, new);
                    tracing::info!("configuration reloaded");
                    if !waiting.is_empty() {
                        tracing::warn!(keys = waiting.join(", "), "these settings wait for a restart");
                    }
                    let new = Arc::new(new);
                    configs.send_replace(Arc::clone(&new));
                    // The router ends only with the server.
                    let _ = control.send(Control::Reload(new)).await;
                }
            }
        }
        tracing::info!("shutting down");
        let stopped = tokio::time::timeout(timeout, async {
            stop_accepting.cancel();
            for accepting in accepting {
                note_fault("listener", accepting.await);
            }
            stop_routing.cancel();
            note_fault("router", routing.await);
            tasks.close();
            tasks.wait().await;
            // A thread of it that failed has said so itself.
            let _ = closed.await;
        });
        if stopped.await.is_err() {
            tracing::warn!(?timeout, open = tasks.len(), "some connections did not end in time");
        }
    }
}

/// Runs a part without which there is no server: its end, also by a failure, is told.
fn vital<F: Future>(part: F, failing: &CancellationToken) -> impl Future<Output = F::Output> + use<F> {
    let ended = failing.clone().drop_guard();
    async move {
        let _ended = ended;
        part.await
    }
}

/// Logs that a part of the server failed, and why.
fn note_fault(part: &str, ended: Result<(), JoinError>) {
    if let Err(reason) = ended {
        tracing::error!(part, %reason, "a fault of the server's own: it goes down");
    }
}

/// Serves until SIGINT or SIGTERM; SIGHUP has the configuration read again by `reload`. Prints each address listened on.
pub async fn serve(config: Config, reload: impl Fn() -> Result<Config, String> + Send + 'static) -> io::Result<()> {
    let format = config.log.format;
    let server = Server::bind(config)?;
    let reloader = server.reloader();
    // Heard from before anyone is told that the server is there, so that no signal of theirs meets its default.
    let hangups = signals::hangups()?;
    let shutdown = signals::shutdown()?;
    for (listen, address) in server.addresses()? {
        if let Err(error) = listen::announce(format, listen.protocol, address) {
            // Nobody has to read it: `linehub serve | head -1` hangs up on it, and a disk may be full.
            tracing::warn!(%error, %address, "listening, and cannot print it");
        }
    }
    tokio::select! {
        () = server.run(shutdown) => Ok(()),
        never = signals::reload(hangups, reloader, reload) => match never {},
    }
}
