//! What connects the hub with an engine on this host: its control connection, the page of numbers that they share,
//! and what the user's code prints.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::LazyLock;

use regatta_cell::host::now;

use super::Launch;
use super::numbers::Numbers;
use crate::outcome::Stream;
use crate::wire::{self, Channel, FromEngine, Payload, ToEngine, WireError};

/// What a pipe holds, bytes.
const PIPE: usize = 64 * 1024;

/// When this session started its first engine, milliseconds since 1970.
static BEGAN: LazyLock<u64> = LazyLock::new(now);

pub struct Wires {
    channel: Channel,
    greeted: bool,
    pub page: Numbers,
    /// Standard output and error, until they end.
    pipes: [Option<File>; 2],
    /// For reading the two.
    buffer: Vec<u8>,
}

impl Wires {
    /// Greets the engine at the other end of a connection, and tells it who it is.
    pub fn open(
        mut channel: Channel,
        pipes: [Option<OwnedFd>; 2],
        launch: &Launch,
    ) -> std::io::Result<Self> {
        for pipe in pipes.iter().flatten() {
            let flags = nix::fcntl::OFlag::O_NONBLOCK;
            nix::fcntl::fcntl(pipe, nix::fcntl::FcntlArg::F_SETFL(flags))?;
        }
        channel.set_nonblocking()?;
        let page = Numbers::new()?;
        channel.queue_plain(&wire::greeting());
        let welcome = ToEngine::Welcome {
            id: launch.id,
            rank: launch.rank,
            size: launch.size,
            pool: launch.pool.clone(),
            session: *BEGAN,
        };
        channel
            .queue(&welcome, &Payload::Shared(page.file()))
            .map_err(std::io::Error::other)?;
        channel.flush()?;
        Ok(Self {
            channel,
            greeted: false,
            page,
            pipes: pipes.map(|pipe| pipe.map(File::from)),
            buffer: Vec::new(),
        })
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.channel.socket()
    }

    pub fn pipe(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        self.pipes[stream as usize].as_ref().map(File::as_fd)
    }

    pub fn wants_to_write(&self) -> bool {
        self.channel.wants_to_write()
    }

    pub fn send(&mut self, message: &ToEngine, payload: &Payload) {
        // What is too long for a frame is too long for anybody; nothing else can fail before it is sent.
        let _ = self.channel.queue(message, payload);
    }

    pub fn flush(&mut self) {
        let _ = self.channel.flush();
    }

    /// Ends the connection; the engine hears of it.
    pub fn hang_up(&self) {
        // It may have ended by itself.
        let _ = rustix::net::shutdown(self.channel.socket(), rustix::net::Shutdown::Both);
    }

    pub fn hear(&mut self) -> (Vec<(FromEngine, Payload)>, Option<WireError>) {
        let mut frames = Vec::new();
        let ended = self.channel.fill();
        if !self.greeted {
            match self.channel.take().map(wire::check_greeting) {
                None => return (frames, ended),
                Some(Err(error)) => return (frames, Some(error)),
                Some(Ok(())) => self.greeted = true,
            }
        }
        loop {
            match self.channel.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, ended),
                Err(error) => return (frames, Some(error)),
            }
        }
    }

    pub fn read_printed(&mut self, stream: Stream, at_most: usize, to: &mut Vec<u8>) {
        let buffer = &mut self.buffer;
        buffer.resize(PIPE, 0);
        let pipe = &mut self.pipes[stream as usize];
        while to.len() < at_most {
            match pipe.as_mut().map(|pipe| pipe.read(buffer)) {
                None => break,
                Some(Ok(0)) => {
                    *pipe = None;
                    break;
                }
                Some(Ok(count)) => to.extend_from_slice(&buffer[..count]),
                Some(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Some(Err(_)) => break,
            }
        }
    }
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}
