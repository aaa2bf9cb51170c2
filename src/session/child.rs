//! Children of the session's: what they print and their end, followed by a thread that wakes whoever waits for it.

use std::fs::File;
use std::io::{ErrorKind, PipeReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Child;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::Waker;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::children::whole_characters;
use crate::outcome::Stream;

/// Some of what a child has printed.
pub type Said = (Stream, String);

/// How much that a child has printed may wait for whoever shows it, in parts of up to [`AT_ONCE`] bytes.
const PARTS: usize = 4;

/// Bytes read at once.
const AT_ONCE: usize = 1 << 20;

/// What a child prints, where that is piped, until it has ended: then the other end closes. A child of its own may
/// hold the pipes open for longer than it lives. `shared`: one pipe for both outputs, which is told as the first.
///
/// # Errors
/// When the child cannot be followed; it is killed.
pub fn watched(
    child: &mut Child,
    shared: Option<PipeReader>,
    waker: Waker,
) -> std::io::Result<Receiver<Said>> {
    let (said, heard) = sync_channel(PARTS);
    let started = pidfd_open(rustix::process::Pid::from_child(child), PidfdFlags::empty())
        .map_err(std::io::Error::from)
        .and_then(|process| {
            let outputs = Outputs::of(child, shared)?;
            std::thread::Builder::new()
                .name("child".to_owned())
                .spawn(move || {
                    watch(&process, outputs, &said, &waker);
                    drop(said);
                    waker.wake();
                })
        });
    if let Err(error) = started {
        let _ = child.kill();
        let _ = child.wait();
        return Err(error);
    }
    Ok(heard)
}

/// Until the child has ended, or nobody wants to hear of it any more.
fn watch(process: &OwnedFd, mut outputs: Outputs, said: &SyncSender<Said>, waker: &Waker) {
    loop {
        // What it has written before its end is in the pipes by then.
        let ended = outputs.wait(process);
        for text in outputs.read() {
            if said.send(text).is_err() && !ended {
                // Its output is nobody's, its end still is.
                outputs = Outputs(Vec::new());
                break;
            }
            waker.wake_by_ref();
        }
        if ended {
            for text in outputs.finish() {
                let _ = said.send(text);
            }
            return;
        }
    }
}

/// The two outputs of a child, read without waiting for them.
struct Outputs(Vec<Output>);

struct Output {
    stream: Stream,
    pipe: File,
    /// The beginning of a character that is cut in two.
    cut: Vec<u8>,
    ended: bool,
}

impl Outputs {
    fn of(child: &mut Child, shared: Option<PipeReader>) -> std::io::Result<Self> {
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stdout = stdout.or(shared.map(OwnedFd::from));
        let stderr = child.stderr.take().map(OwnedFd::from);
        let mut outputs = Vec::new();
        for (stream, pipe) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            let Some(pipe) = pipe else { continue };
            fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            outputs.push(Output {
                stream,
                pipe: pipe.into(),
                cut: Vec::new(),
                ended: false,
            });
        }
        Ok(Self(outputs))
    }

    /// Waits for more of them, or for the end of `process`; whether that has come.
    fn wait(&self, process: &OwnedFd) -> bool {
        let open = self.0.iter().filter(|output| !output.ended);
        let fds: Vec<BorrowedFd<'_>> = open.map(|output| output.pipe.as_fd()).collect();
        let mut wanted: Vec<PollFd<'_>> = fds
            .iter()
            .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
            .collect();
        wanted.push(PollFd::new(process.as_fd(), PollFlags::POLLIN));
        // Interrupted by a signal, it is waited again.
        let _ = poll(&mut wanted, PollTimeout::NONE);
        let ended = wanted.last().and_then(PollFd::any);
        ended.unwrap_or(false)
    }

    /// All that is there.
    fn read(&mut self) -> Vec<Said> {
        let mut texts = Vec::new();
        for output in self.0.iter_mut().filter(|output| !output.ended) {
            let text = output.read();
            if !text.is_empty() {
                texts.push((output.stream, text));
            }
        }
        texts
    }

    /// What is left of characters that never came to their end.
    fn finish(self) -> Vec<Said> {
        let cut = self.0.into_iter().filter(|output| !output.cut.is_empty());
        cut.map(|output| {
            (
                output.stream,
                String::from_utf8_lossy(&output.cut).into_owned(),
            )
        })
        .collect()
    }
}

impl Output {
    fn read(&mut self) -> String {
        let mut bytes = std::mem::take(&mut self.cut);
        let mut buffer = [0; 16384];
        while bytes.len() < AT_ONCE {
            match self.pipe.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    bytes.extend_from_slice(&buffer[..count]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.ended = true,
            }
            break;
        }
        self.cut = bytes.split_off(whole_characters(&bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
