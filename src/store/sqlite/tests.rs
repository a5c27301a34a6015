//! What is this engine's own: its files, its failures, damage.

mod damage;
mod failures;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{Options, STORE_QUEUE, open};
use crate::store::Boot;
use crate::store::contract::rig::{Engine, Running};

/// A directory of its own, which goes with it.
pub(in crate::store) struct Files {
    path: PathBuf,
    pub(in crate::store) queue_bytes: usize,
    closed: Option<tokio::sync::oneshot::Receiver<()>>,
}

impl Files {
    pub(in crate::store) fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// In memory where the system has a directory there: for a little data and hundreds of syncs.
    pub(in crate::store) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { Self::below(memory) } else { Self::new() }
    }

    fn below(parent: &Path) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("linehub-store-{}-{number}", std::process::id()));
        Self { path, queue_bytes: STORE_QUEUE, closed: None }
    }

    /// Another directory with the same files.
    fn copy(&self) -> Self {
        let copy = Self::in_memory();
        std::fs::create_dir(&copy.path).expect("a directory");
        for file in std::fs::read_dir(&self.path).expect("it is there").flatten() {
            // What the log's index says belongs to the processes that have it open.
            if !file.file_name().to_string_lossy().ends_with("-shm") {
                std::fs::copy(file.path(), copy.path.join(file.file_name())).expect("it can be copied");
            }
        }
        copy
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }
}

impl Engine for Files {
    fn open(&mut self, boot: Boot, keys_age: Duration) -> Running {
        let options = Options { boot, keys_age, queue_bytes: self.queue_bytes };
        let opened = open(&self.path, options).expect("it opens");
        self.closed = Some(opened.closed);
        Running { store: opened.store, events: opened.events, contents: opened.contents, double: None }
    }

    fn close(&mut self, running: Running) {
        let Running { store, mut events, .. } = running;
        drop(store);
        while events.blocking_recv().is_some() {}
        self.closed.take().expect("it was open").blocking_recv().expect("it closes");
    }

    fn files(&self) -> &Files {
        self
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
