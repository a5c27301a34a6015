//! The disk as the kernel sees it, by FUSE: every call is one call of [`Disk`], and nothing is decided here.
//!
//! The kernel writes through to it at once, and may remember names and attributes for ever, since nobody else changes
//! them. Locks are the kernel's own. A mapped page comes when the kernel writes it back.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use crate::disk::{Change, Disk, File, Folder, Node};

const FOR_EVER: Duration = Duration::from_hours(1);

/// A disk that is mounted, and unmounted when this is.
pub struct Mount {
    disk: Shared,
    session: BackgroundSession,
}

/// What hears of the power going.
type Alarm = Box<dyn Fn() + Send + Sync>;

#[derive(Clone)]
struct Shared(Arc<(Mutex<Disk>, Alarm)>);

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mount").finish_non_exhaustive()
    }
}

impl Mount {
    /// Mounts a disk; the alarm must not wait.
    pub fn new(disk: Disk, path: &Path, alarm: Alarm) -> io::Result<Self> {
        let shared = Shared(Arc::new((Mutex::new(disk), alarm)));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("linehub-power".to_owned())];
        let session = fuser::spawn_mount(shared.clone(), path, &config)?;
        Ok(Self { disk: shared, session })
    }

    /// The disk.
    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock()
    }

    /// Unmounts it, when nobody uses it any more, and gives back what is left.
    pub fn remains(self) -> io::Result<Disk> {
        self.disk().cut();
        self.session.umount_and_join()?;
        Ok(self.disk.lock().remains())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, act: impl FnOnce(&mut Disk) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut disk = self.lock();
        let was_cut = disk.is_cut();
        let result = act(&mut disk);
        if disk.is_cut() && !was_cut {
            (self.0.1)();
        }
        result
    }

    fn attr(&self, number: u64) -> Result<FileAttr, Errno> {
        self.with(|disk| disk.node(number).map(|node| attr(number, node)))
    }

    fn make(&self, parent: INodeNo, name: &OsStr, node: Node) -> Result<FileAttr, Errno> {
        let number = self.with(|disk| disk.make(parent.0, name, node))?;
        self.attr(number)
    }
}

fn attr(number: u64, node: &Node) -> FileAttr {
    let (kind, perm, size) = match node {
        Node::File(file) => (FileType::RegularFile, 0o600, file.now.len() as u64),
        Node::Folder(_) => (FileType::Directory, 0o700, 4096),
    };
    let time = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm,
        nlink: 1,
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn answer_entry(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attr) => reply.entry(&FOR_EVER, &attr, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn answer_attr(reply: ReplyAttr, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attr) => reply.attr(&FOR_EVER, &attr),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Shared {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer_entry(reply, self.with(|disk| disk.look_up(parent.0, name)).and_then(|number| self.attr(number)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        answer_attr(reply, self.attr(ino.0));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        // Rights, owners and times are nobody's concern here.
        let done = size.map_or(Ok(()), |size| self.with(|disk| disk.change(ino.0, Change::Length(size as usize))));
        answer_attr(reply, done.and_then(|()| self.attr(ino.0)));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        answer_entry(reply, self.make(parent, name, Node::Folder(Folder::default())));
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        match self.make(parent, name, Node::File(File::default())) {
            Ok(attr) => reply.created(&FOR_EVER, &attr, Generation(0), FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.with(|disk| disk.unlink(parent.0, name)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.with(|disk| disk.unlink(parent.0, name)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let can = parent == newparent && flags.is_empty();
        let renamed = || self.with(|disk| disk.rename(parent.0, name, newname));
        answer(reply, if can { renamed() } else { Err(Errno::EXDEV) });
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let disk = self.lock();
        match disk.node(ino.0) {
            Ok(Node::File(file)) => {
                let begin = file.now.len().min(offset as usize);
                let end = file.now.len().min(begin + size as usize);
                reply.data(&file.now[begin..end]);
            }
            Ok(Node::Folder(_)) => reply.error(Errno::EISDIR),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.with(|disk| disk.change(ino.0, Change::Write(offset as usize, data.to_vec()))) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.with(|disk| disk.sync(ino.0)));
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer(reply, self.with(|disk| disk.sync(ino.0)));
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let disk = self.lock();
        match disk.node(ino.0) {
            Ok(Node::Folder(folder)) => {
                for (at, (name, &number)) in folder.now.iter().enumerate().skip(offset as usize) {
                    let kind = disk.node(number).map_or(FileType::RegularFile, |node| attr(number, node).kind);
                    if reply.add(INodeNo(number), at as u64 + 1, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Ok(Node::File(_)) => reply.error(Errno::ENOTDIR),
            Err(error) => reply.error(error),
        }
    }
}
