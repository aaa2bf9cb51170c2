//! What code asks of children: a thread for each call, because it may wait.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use regatta_cell::children::{self as asked, Call, Error, Exit, Reply, State};

use super::launch::Program;
use super::machine::Restart;
use super::named::is_name;
use super::supervisor::{Request, Supervisor};
use crate::outcome::{About, ChildEnd, ChildState};
use crate::wire::{Channel, Payload};

/// How long one that is told to end has.
const GRACE: Duration = Duration::from_secs(5);

/// How often it is looked whether whoever waits is still there.
const LOOK: Duration = Duration::from_millis(50);

impl Supervisor {
    /// Answers what is asked on a connection, beside everything else.
    pub fn serve(&self, about: About, mut channel: Channel) {
        let children = self.clone();
        // Without a thread whoever asks is told by the connection's end.
        let _ = std::thread::Builder::new()
            .name("asked".to_owned())
            .spawn(move || {
                let Ok(call) = call(&mut channel) else {
                    return;
                };
                let reply = children.answer(call, about, &channel);
                if channel.queue(&reply, &Payload::None).is_ok() {
                    let _ = channel.flush();
                }
            });
    }

    fn answer(&self, call: Call, about: About, channel: &Channel) -> Reply {
        match call {
            Call::Spawn(program) => match self.spawn_asked(program, about) {
                Ok(reply) => reply,
                Err(why) => Reply::Refused(Error(why)),
            },
            Call::State(number) => state(self.state(number)),
            Call::Wait(number, milliseconds) => {
                let until = milliseconds
                    .and_then(|time| Instant::now().checked_add(Duration::from_millis(time)));
                self.wait_asked(number, until, channel)
            }
            Call::Stop(number) => {
                self.stop_one(number, GRACE);
                self.wait_asked(number, None, channel)
            }
            Call::Lines(number, lines) => {
                Reply::Lines(self.lines_of(number, usize::try_from(lines).unwrap_or(usize::MAX)))
            }
        }
    }

    fn spawn_asked(&self, program: asked::Program, about: About) -> Result<Reply, String> {
        if let Some(name) = program.name.as_deref().filter(|name| !is_name(name)) {
            return Err(format!(
                "`{name}` cannot name a child: a name has letters, digits, `_` and `-`"
            ));
        }
        let here = std::env::current_dir().map_err(|error| error.to_string())?;
        let folder = program.folder.map_or_else(PathBuf::new, PathBuf::from);
        let environment = program.environment.into_iter();
        let started = self.spawn(Request {
            name: program.name,
            count: program.count,
            restart: match program.restart {
                asked::Restart::Never => Restart::Never,
                asked::Restart::Always => Restart::Always,
                asked::Restart::OnFailure(most) => Restart::OnFailure(Some(most)),
            },
            quiet: program.quiet,
            detach: false,
            about,
            program: Program {
                words: program.words,
                folder: here.join(folder),
                environment: environment
                    .map(|(name, value)| (name, Some(value.into())))
                    .collect(),
                shared: 0,
            },
        });
        let started = started.map_err(|refused| refused.to_string())?;
        let told = started.into_iter();
        Ok(Reply::Spawned(
            told.map(|one| (one.number, one.name, one.pid)).collect(),
        ))
    }

    fn wait_asked(&self, number: u64, until: Option<Instant>, channel: &Channel) -> Reply {
        loop {
            let now = self.await_change(number, LOOK);
            let over = now.is_none_or(|(state, _)| state.is_over());
            let late = until.is_some_and(|until| Instant::now() >= until);
            if over || late || is_gone(channel) {
                return state(now);
            }
        }
    }
}

/// What is asked.
fn call(channel: &mut Channel) -> Result<Call, ()> {
    loop {
        if let Some((call, _)) = channel.next_frame().map_err(drop)? {
            return Ok(call);
        }
        let mut wanted = [PollFd::new(channel.socket(), PollFlags::POLLIN)];
        let _ = poll(&mut wanted, PollTimeout::NONE);
        if channel.fill().is_some() {
            return Err(());
        }
    }
}

/// Whether nobody waits for an answer any more: it has ended, or Ctrl-C was pressed.
fn is_gone(channel: &Channel) -> bool {
    let mut other = [PollFd::new(channel.socket(), PollFlags::empty())];
    // An end is told unasked.
    poll(&mut other, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

fn state(of: Option<(ChildState, u32)>) -> Reply {
    let Some((state, pid)) = of else {
        return Reply::State(State::Over(Exit::Lost), 0);
    };
    let state = match state {
        ChildState::Running => State::Running,
        ChildState::Restarting(_) => State::Restarting,
        ChildState::Stopping => State::Stopping,
        ChildState::Ended(ChildEnd::Exit(code)) => State::Over(Exit::Code(code)),
        ChildState::Ended(ChildEnd::Signal(number)) => State::Over(Exit::Signal(number)),
        ChildState::Stopped(_) => State::Over(Exit::Stopped),
        ChildState::Lost => State::Over(Exit::Lost),
    };
    Reply::State(state, pid)
}
