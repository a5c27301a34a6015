//! A server in this process, on ports of its own, which stops when it is dropped.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, sync_channel};

use linehub::config::{Config, Listen, Protocol, RoomRule};
use linehub::model::Pattern;
use linehub::server::{Reloader, Server};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::{Client, DEADLINE};

/// A running server.
pub(crate) struct TestServer {
    json: SocketAddr,
    auto: SocketAddr,
    reloader: Reloader,
    config: Config,
    /// What the server keeps, gone with the test.
    _data: TempDir,
    stop: Option<oneshot::Sender<()>>,
    stopped: Receiver<()>,
}

impl TestServer {
    /// A server with the default configuration.
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// A server with something else in its configuration.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listen = |protocol| Listen { addr: loopback, protocol };
        let mut config = Config { listen: vec![listen(Protocol::Json), listen(Protocol::Auto)], ..Config::default() };
        let data = TempDir::new().expect("the folder for temporary files can be written");
        data.path().clone_into(&mut config.data.dir);
        change(&mut config);
        // A runtime of its own, so that the test may block and dropping the server can wait for its end.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("the runtime starts");
        let server = {
            let _context = runtime.enter();
            Server::bind(config.clone()).expect("loopback has free ports")
        };
        let addresses = server.addresses().expect("the listeners are bound");
        let [(_, json), (_, auto)] = addresses[..] else { panic!("two listeners were asked for") };
        let reloader = server.reloader();
        let (stop, stopping) = oneshot::channel();
        let (ended, stopped) = sync_channel(1);
        std::thread::spawn(move || {
            runtime.block_on(server.run(async {
                // A test that is gone wants the server to stop too.
                let _ = stopping.await;
            }));
            // Whether anyone still waits for it is the test's affair.
            let _ = ended.send(());
        });
        Self { json, auto, reloader, config, _data: data, stop: Some(stop), stopped }
    }

    /// Where JSON-lines alone is spoken.
    pub(crate) const fn json(&self) -> SocketAddr {
        self.json
    }

    /// Where the first bytes decide.
    pub(crate) const fn auto(&self) -> SocketAddr {
        self.auto
    }

    /// The configuration that the server was started with.
    pub(crate) const fn config(&self) -> &Config {
        &self.config
    }

    /// The way to give the server another configuration.
    pub(crate) const fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// A connection that has said nothing.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.json)
    }

    /// A connection with a nick.
    pub(crate) fn hello(&self, nick: &str) -> Client {
        let mut client = self.client();
        client.hello(nick);
        client
    }

    /// A connection with a nick in a room.
    pub(crate) fn joined(&self, nick: &str, room: &str) -> Client {
        let mut client = self.hello(nick);
        client.join(room);
        client
    }

    /// Tells the server to stop, and does not wait for it.
    pub(crate) fn shut_down(&mut self) {
        if let Some(stop) = self.stop.take() {
            // One that has ended by itself is told nothing.
            let _ = stop.send(());
        }
    }

    /// Waits for the server's end.
    pub(crate) fn wait(&mut self) {
        self.stopped.recv_timeout(DEADLINE).expect("the server stops within the deadline");
    }
}

/// A rule for the rooms that a pattern matches, which sets nothing yet.
pub(crate) fn rule(pattern: &str) -> RoomRule {
    RoomRule::new(Pattern::parse(pattern).expect("the test names a pattern"))
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if self.stop.is_none() {
            return;
        }
        let has_ended = self.stopped.try_recv().is_ok();
        self.shut_down();
        if has_ended {
            assert!(std::thread::panicking(), "the server ended by itself, as it does when a part of it fails");
            return;
        }
        let stopped = self.stopped.recv_timeout(DEADLINE);
        if !std::thread::panicking() {
            stopped.expect("the server stops within the deadline");
        }
    }
}
