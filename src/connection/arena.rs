//! Where readers read to: one buffer for each thread, handed out in slices.
//!
//! An idle connection holds no buffer. One that has something to read reads into what is left of its thread's buffer and
//! takes just the part that it filled; the memory is freed when the last part of it is.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// Bytes of a thread's buffer: several full reads, so that it is not allocated anew for each.
const ARENA_BYTES: usize = 256 << 10;

/// Bytes that must be left for a read: below it a read would rather split what the kernel has than share a buffer.
const READ_BYTES_MIN: usize = 64 << 10;

/// Bytes of an unfinished frame up to which it is copied to where the next read goes; a longer one grows where it is.
const CARRY_BYTES_MAX: usize = 4 << 10;

thread_local! {
    /// The buffer that is read to, and the one before it, whose parts are mostly gone by the time it is needed again.
    static ARENA: RefCell<[BytesMut; 2]> = RefCell::default();
}

/// Reads what there is behind what is held of an unfinished frame; `held` is empty afterwards. `None` at the end of input,
/// when `held` is as it was.
pub(super) fn poll_read<R: AsyncRead + Unpin>(
    input: &mut R,
    held: &mut BytesMut,
    context: &mut Context<'_>,
) -> Poll<io::Result<Option<BytesMut>>> {
    if held.len() > CARRY_BYTES_MAX {
        held.reserve(READ_BYTES_MIN / 4);
        let read = ready!(poll_read_buf(Pin::new(input), context, held))?;
        return Poll::Ready(Ok((read > 0).then(|| std::mem::take(held))));
    }
    ARENA.with_borrow_mut(|[arena, before]| {
        if arena.capacity() < READ_BYTES_MIN {
            std::mem::swap(arena, before);
            if !arena.try_reclaim(ARENA_BYTES) {
                *arena = BytesMut::with_capacity(ARENA_BYTES);
            }
        }
        arena.extend_from_slice(held);
        let polled = poll_read_buf(Pin::new(input), context, arena);
        if !matches!(polled, Poll::Ready(Ok(1..))) {
            arena.clear();
        }
        let read = ready!(polled)?;
        Poll::Ready(Ok((read > 0).then(|| {
            *held = BytesMut::new();
            arena.split()
        })))
    })
}
