//! One command: `sh -c` in a process group of its own, its output read while it runs, ended when it takes too long or
//! is not wanted any more.

use std::cell::RefCell;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use regatta_cell::shell::{BOARD, Command, Prints};

use super::{HoldsUp, guard};
use crate::engine::context::context;
use crate::engine::notes;

/// So long a command that was asked to end may take for it.
const GRACE: Duration = Duration::from_millis(200);

/// What a pipe holds, bytes.
const PIPE: usize = 64 * 1024;

/// Bytes of a line that are looked at.
const LINE: usize = 1024;

/// When a command is ended.
pub struct Watch<'a> {
    pub limit: Option<Duration>,
    pub stops: &'a dyn Fn() -> bool,
    pub holds_up: &'a HoldsUp,
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    ByItself,
    TookTooLong,
    Stopped,
}

pub struct Ran {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub ended: Ended,
}

pub fn run(command: &Command, engine: u32, watch: Watch<'_>) -> std::io::Result<Ran> {
    let (mut child, pipes) = spawn(command, engine)?;
    let mut running = Running::of(&mut child, pipes, command)?;
    let ended = running.follow(&watch);
    let group = Pid::from_raw(child.id().cast_signed());
    let ended = match ended {
        Ok(Ended::ByItself) => Ended::ByItself,
        other => {
            running.lets_go();
            // Its number is its own until it is waited for.
            let _ = killpg(group, Signal::SIGTERM);
            let patience = Instant::now() + GRACE;
            while Instant::now() < patience && !running.is_silent() {
                if running.step(GRACE).is_err() {
                    break;
                }
            }
            let _ = killpg(group, Signal::SIGKILL);
            other?
        }
    };
    let status = child.wait()?;
    let (stdout, stderr) = running.finish();
    Ok(Ran {
        code: status.code(),
        signal: status.signal(),
        stdout,
        stderr,
        ended,
    })
}

/// The child, and the pipes from its standard output and standard error.
fn spawn(command: &Command, engine: u32) -> std::io::Result<(Child, [Pipe; 2])> {
    let output = || match command.how.prints {
        Prints::Ungrouped => Ok((Pipe::default(), Stdio::inherit())),
        Prints::Grouped | Prints::Kept | Prints::Lines => Pipe::new(),
    };
    let (stdout, stderr) = (output()?, output()?);
    let input = if command.input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    };
    // Nothing runs between fork and exec, so that std can take the fast way, `posix_spawn`.
    let child = Process::new("/bin/sh")
        .args(["-c", &command.text])
        .env(guard::VARIABLE, guard::mark())
        .env_remove(BOARD)
        .env("PARALLEL_SEQ", command.seq.to_string())
        .env("PARALLEL_JOBSLOT", (engine + 1).to_string())
        .stdin(input)
        .stdout(stdout.1)
        .stderr(stderr.1)
        .process_group(0)
        .spawn()?;
    Ok((child, [stdout.0, stderr.0]))
}

thread_local! {
    /// What is read comes here first.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; PIPE]);
}

/// A pipe from a command.
#[derive(Default)]
struct Pipe {
    from: Option<PipeReader>,
    /// Its other end, held open here too: so that a command's end is told once, by the process, and not by each of its
    /// pipes before that.
    held: Option<PipeWriter>,
    read: Vec<u8>,
    /// Of it, what has been shown.
    shown: usize,
}

impl Pipe {
    /// A pipe, and its other end for a command.
    fn new() -> std::io::Result<(Self, Stdio)> {
        let (from, to) = std::io::pipe()?;
        does_not_block(&from)?;
        let pipe = Self {
            from: Some(from),
            held: Some(to.try_clone()?),
            ..Self::default()
        };
        Ok((pipe, to.into()))
    }

    /// Takes what is there; whether that was anything.
    fn drain(&mut self) -> bool {
        let had = self.read.len();
        BUFFER.with_borrow_mut(|buffer| self.take(buffer));
        self.read.len() > had
    }

    fn take(&mut self, buffer: &mut [u8]) {
        let Some(from) = &mut self.from else {
            return;
        };
        loop {
            match from.read(buffer) {
                Ok(0) => break,
                Ok(count) => {
                    self.read.extend_from_slice(&buffer[..count]);
                    if count < buffer.len() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        self.from = None;
    }

    /// Shows the lines that are whole, or all that is left.
    fn show(&mut self, tag: Option<&str>, all: bool, to: &mut dyn Write) {
        let rest = &self.read[self.shown..];
        let whole = match rest.iter().rposition(|byte| *byte == b'\n') {
            _ if all => rest.len(),
            Some(last) => last + 1,
            None => 0,
        };
        let rest = &rest[..whole];
        self.shown += whole;
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            let tag = tag.map(|tag| format!("{tag}\t")).unwrap_or_default();
            // Whoever reads it may be gone.
            let _ = to
                .write_all(tag.as_bytes())
                .and_then(|()| to.write_all(line));
        }
        if whole > 0 {
            let _ = to.flush();
        }
    }
}

/// What the live table shows of the command.
fn say(line: &[u8]) {
    let place = notes::worker().map_or(0, |worker| worker.rank);
    context().status.say(place as usize, line);
}

/// The last line with anything in it, or the end of a long one.
fn last_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.len()
        - bytes
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
    let text = &bytes[end.saturating_sub(LINE)..end];
    let from = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    &text[from..]
}

fn does_not_block(pipe: &impl AsFd) -> std::io::Result<()> {
    let flags = OFlag::from_bits_truncate(fcntl(pipe, FcntlArg::F_GETFL)?);
    fcntl(pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// A command under way.
struct Running<'a> {
    command: &'a Command,
    /// Readable when it has ended.
    process: OwnedFd,
    stdin: Option<ChildStdin>,
    /// Bytes of its input that are written.
    written: usize,
    stdout: Pipe,
    stderr: Pipe,
    over: bool,
}

impl<'a> Running<'a> {
    fn of(
        child: &mut Child,
        [stdout, stderr]: [Pipe; 2],
        command: &'a Command,
    ) -> std::io::Result<Self> {
        let pid = rustix::process::Pid::from_child(child);
        let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
        let parts = process.map_err(std::io::Error::from).and_then(|process| {
            let stdin = child.stdin.take();
            if let Some(stdin) = &stdin {
                does_not_block(stdin)?;
            }
            Ok(Self {
                command,
                process,
                stdin,
                written: 0,
                stdout,
                stderr,
                over: false,
            })
        });
        if parts.is_err() {
            let _ = child.kill();
            let _ = child.wait();
        }
        parts
    }

    /// Until it ends, or is to end.
    fn follow(&mut self, watch: &Watch<'_>) -> std::io::Result<Ended> {
        let since = Instant::now();
        while !self.over {
            if (watch.stops)() {
                return Ok(Ended::Stopped);
            }
            let left = watch
                .limit
                .map(|limit| limit.saturating_sub(since.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Ended::TookTooLong);
            }
            let look_in = watch.holds_up.look_in();
            self.step(left.map_or(look_in, |left| left.min(look_in)))?;
        }
        Ok(Ended::ByItself)
    }

    /// From now on a pipe that nobody writes to any more is at its end.
    fn lets_go(&mut self) {
        (self.stdout.held, self.stderr.held) = (None, None);
    }

    /// It has ended, and nobody can say anything any more.
    fn is_silent(&self) -> bool {
        self.over && self.stdout.from.is_none() && self.stderr.from.is_none()
    }

    /// Waits for a while, and does what can be done.
    fn step(&mut self, time: Duration) -> std::io::Result<()> {
        let mut ready = [false; 4];
        {
            let mut places = [0; 4];
            let mut fds = Vec::with_capacity(4);
            let mut add = |fd, flags, place| {
                places[fds.len()] = place;
                fds.push(PollFd::new(fd, flags));
            };
            if !self.over {
                add(self.process.as_fd(), PollFlags::POLLIN, 0);
            }
            if let Some(pipe) = &self.stdout.from {
                add(pipe.as_fd(), PollFlags::POLLIN, 1);
            }
            if let Some(pipe) = &self.stderr.from {
                add(pipe.as_fd(), PollFlags::POLLIN, 2);
            }
            if let Some(pipe) = &self.stdin {
                add(pipe.as_fd(), PollFlags::POLLOUT, 3);
            }
            // It counts in milliseconds; a part of one is no reason to ask without end.
            let time = Duration::from_millis(time.as_micros().div_ceil(1000) as u64);
            let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
            match poll(&mut fds, time) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            for (fd, place) in fds.iter().zip(places) {
                ready[place] = fd.any().unwrap_or(false);
            }
        }
        if ready[3] {
            self.feed();
        }
        // What it has written before its end is in the pipes by then.
        self.over |= ready[0];
        if (ready[1] || ready[0]) && self.stdout.drain() {
            say(last_line(&self.stdout.read));
        }
        if (ready[2] || ready[0]) && self.stderr.drain() {
            say(last_line(&self.stderr.read));
        }
        self.show(false);
        Ok(())
    }

    /// Writes some of its input.
    fn feed(&mut self) {
        let Some(stdin) = &mut self.stdin else {
            return;
        };
        match stdin.write(&self.command.input[self.written..]) {
            Ok(count) => self.written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // It does not want the rest.
            Err(_) => self.written = self.command.input.len(),
        }
        if self.written == self.command.input.len() {
            self.stdin = None;
        }
    }

    fn show(&mut self, all: bool) {
        if self.command.how.prints == Prints::Lines {
            let tag = self.command.tag.as_deref();
            self.stdout.show(tag, all, &mut std::io::stdout());
            self.stderr.show(tag, all, &mut std::io::stderr());
        }
    }

    /// What it has printed.
    fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        self.stdout.drain();
        self.stderr.drain();
        self.show(true);
        say(b"");
        (self.stdout.read, self.stderr.read)
    }
}

#[cfg(test)]
mod tests {
    use super::last_line;

    #[test]
    fn the_last_line_has_something_in_it() {
        for (text, line) in [
            ("", ""),
            ("one", "one"),
            ("one\ntwo\n", "two"),
            ("one\r\n \n\n", "one"),
            ("\n", ""),
        ] {
            assert_eq!(last_line(text.as_bytes()), line.as_bytes(), "{text:?}");
        }
        assert_eq!(last_line(&[b'x'; 5000]).len(), super::LINE);
    }
}
