//! A connection on this host that is carried to another one: its frames are taken off here and put on there.

use std::cell::RefCell;
use std::io;
use std::os::fd::BorrowedFd;

use serde::Serialize;
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;

use super::carry;
use super::message::Carried;
use super::post::Post;
use crate::wire::{Channel, Payload, WireError};

/// When a socket that is read and written elsewhere can be.
pub struct Readiness(UnixStream);

impl Readiness {
    /// Within a runtime.
    pub fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixStream::from(socket.try_clone_to_owned()?);
        socket.set_nonblocking(true)?;
        UnixStream::from_std(socket).map(Self)
    }

    /// Waits until there may be something to read.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.readable().await?;
        // Before it is read: what comes meanwhile is told again.
        self.forget(Interest::READABLE);
        Ok(())
    }

    /// Waits until there may be room to write.
    pub async fn writable(&self) -> io::Result<()> {
        self.0.writable().await?;
        self.forget(Interest::WRITABLE);
        Ok(())
    }

    fn forget(&self, interest: Interest) {
        let _ = self
            .0
            .try_io(interest, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }
}

pub struct Line {
    pub channel: RefCell<Channel>,
    ready: Readiness,
    /// There may be something to write.
    due: Notify,
}

impl Line {
    /// Within a runtime.
    pub fn new(channel: Channel) -> io::Result<Self> {
        channel.set_nonblocking()?;
        Ok(Self {
            ready: Readiness::of(channel.socket())?,
            channel: RefCell::new(channel),
            due: Notify::new(),
        })
    }

    /// Waits until there may be something to read, and reads it; the connection's end.
    pub async fn fill(&self) -> Option<WireError> {
        if let Err(error) = self.ready.readable().await {
            return Some(error.into());
        }
        let mut channel = self.channel.borrow_mut();
        // A read ends with a file that came, whatever is behind it: it is read until there is nothing.
        channel.look();
        channel.fill()
    }

    /// The frames that have come, their headers as they are.
    fn frames(&self) -> Result<Vec<(Vec<u8>, Payload)>, WireError> {
        let mut channel = self.channel.borrow_mut();
        let mut frames = Vec::new();
        while let Some(frame) = channel.next_raw()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    /// Writes a frame, as far as that goes without waiting.
    pub fn put(&self, header: &[u8], payload: io::Result<Payload>) {
        let mut channel = self.channel.borrow_mut();
        // Whoever reads it is told by its end, also that there is no memory for it here.
        let queued = payload.is_ok_and(|payload| channel.queue_raw(header, &payload).is_ok());
        if !queued {
            let _ = rustix::net::shutdown(channel.socket(), rustix::net::Shutdown::Both);
            return;
        }
        let _ = channel.flush();
        if channel.wants_to_write() {
            self.due.notify_one();
        }
    }

    /// Sends on what comes, as `message` makes it, and writes what could not be written at once, until the connection ends.
    pub async fn serve<T: Serialize>(&self, post: &Post, message: impl Fn(Vec<u8>, Carried) -> T) {
        let write = async {
            while self.flush().await {
                self.due.notified().await;
            }
            std::future::pending().await
        };
        tokio::select! {
            () = self.read(post, message) => {}
            () = write => {}
        }
        self.hang_up();
    }

    async fn read<T: Serialize>(&self, post: &Post, message: impl Fn(Vec<u8>, Carried) -> T) {
        loop {
            let ended = self.fill().await;
            let frames = self.frames();
            let is_over = ended.is_some() || frames.is_err();
            for (header, payload) in frames.unwrap_or_default() {
                carry::send(post, &payload, |carried| message(header, carried));
            }
            post.has_room().await;
            if is_over {
                return;
            }
        }
    }

    /// Writes all that is queued; whether it could be.
    pub async fn flush(&self) -> bool {
        loop {
            if self.channel.borrow_mut().flush().is_err() {
                return false;
            }
            if !self.channel.borrow().wants_to_write() {
                return true;
            }
            if self.ready.writable().await.is_err() {
                return false;
            }
        }
    }

    pub fn hang_up(&self) {
        let channel = self.channel.borrow();
        let _ = rustix::net::shutdown(channel.socket(), rustix::net::Shutdown::Both);
    }
}
