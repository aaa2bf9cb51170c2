//! `!command`: a shell command whose output goes where cells' output goes.

use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Failed, Session, explain};
use crate::compiler::toolchain::users_environment;
use crate::outcome::{ErrorKind, Event, Origin, Report, Sink, Stream};

impl Session {
    /// Runs `command` in `sh` and shows its output while it comes. Ctrl-C ends it.
    pub fn shell(&mut self, command: &str, sink: &mut dyn Sink) -> Result<(), Failed> {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for (name, value) in users_environment() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let mut child = shell.spawn().map_err(|error| {
            Report::new(ErrorKind::System, format!("sh cannot be run: {error}"))
        })?;
        let (out, lines) = channel();
        let pipes: [(Stream, Option<Box<dyn Read + Send>>); 2] = [
            (
                Stream::Stdout,
                child
                    .stdout
                    .take()
                    .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            ),
            (
                Stream::Stderr,
                child
                    .stderr
                    .take()
                    .map(|pipe| Box::new(pipe) as Box<dyn Read + Send>),
            ),
        ];
        for (stream, pipe) in pipes {
            let (Some(mut pipe), out) = (pipe, out.clone()) else {
                continue;
            };
            std::thread::spawn(move || {
                let mut buffer = [0; 8192];
                while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                    if out.send((stream, text)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(out);
        let mut interrupted = false;
        loop {
            match lines.recv_timeout(Duration::from_millis(20)) {
                Ok((stream, text)) => {
                    sink.send(Event::Output {
                        origin: Origin::Local,
                        stream,
                        text,
                    });
                }
                Err(RecvTimeoutError::Disconnected) => break,
                // A child of the shell's may hold the pipes open for longer than it lives.
                Err(RecvTimeoutError::Timeout) if matches!(child.try_wait(), Ok(Some(_))) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.interrupt.is_pressed() {
                let _ = self.interrupt.take();
                interrupted = true;
                let group = Pid::from_raw(child.id().cast_signed());
                // It may have ended by itself in this moment.
                let _ = killpg(group, Signal::SIGKILL);
                break;
            }
        }
        let status = child.wait().map_err(|error| {
            Report::new(ErrorKind::System, format!("the command is lost: {error}"))
        })?;
        if interrupted {
            return Err(explain::interrupted("running the command").into());
        }
        if !status.success() {
            let what = format!("the command ended with {status}");
            return Err(Report::new(ErrorKind::Error, what).into());
        }
        Ok(())
    }
}
