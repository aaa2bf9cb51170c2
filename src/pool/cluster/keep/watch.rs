//! Whether the server of a kept cluster answers: without a session nobody else sees that it stands still. It is ended then, and
//! its keeper starts another one.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::unbounded_channel;

use super::super::backbone::ABOUT;
use super::super::message::Join;
use super::super::post;
use super::super::upkeep::{Room, Upkeep};

/// How often it is asked, and how long it may take to answer.
const LOOK: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(4);

/// One that has said nothing so often in a row stands still.
const TIMES: u32 = 3;

/// What a question came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Answer,
    /// It may be reached, and does not do what it is for.
    Silence,
    /// It is not there just now, or could not be asked.
    Nobody,
}

pub struct Watch {
    upkeep: Upkeep,
    is_own: bool,
    /// When it was asked last, and whether it was not heard what that came to.
    asked: Instant,
    is_asking: bool,
    silent: u32,
}

impl Watch {
    /// Of the server of this folder. One that is others' too is theirs to watch.
    pub fn of(folder: Option<PathBuf>) -> Self {
        Self {
            is_own: folder.is_some(),
            upkeep: Upkeep::of(folder),
            asked: Instant::now(),
            is_asking: false,
            silent: 0,
        }
    }

    /// Asks it when it is time to. What `told` hears is for [`Self::hears`].
    pub fn look(&mut self, join: &Join, told: impl FnOnce(Heard) + Send + 'static) {
        if !self.is_own || self.is_asking || self.asked.elapsed() < LOOK {
            return;
        }
        self.asked = Instant::now();
        let join = join.clone();
        let asks = std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || told(ask(&join)));
        self.is_asking = asks.is_ok();
    }

    pub fn hears(&mut self, heard: Heard) {
        self.is_asking = false;
        // One that cannot write is of no use however often it is started.
        let has_room = self.upkeep.look() != Room::IsNot;
        match heard {
            Heard::Answer => {
                self.upkeep.answers();
                self.silent = 0;
            }
            Heard::Silence if has_room => self.silent += 1,
            Heard::Silence | Heard::Nobody => self.silent = 0,
        }
        if self.silent >= TIMES && self.upkeep.end() {
            self.silent = 0;
        }
    }
}

fn ask(join: &Join) -> Heard {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return Heard::Nobody;
    };
    let asked = async {
        let (told, _) = unbounded_channel();
        let Ok(options) = post::options(join, "holder", told) else {
            return Heard::Nobody;
        };
        let Ok(client) = options.connect(&join.server).await else {
            return Heard::Nobody;
        };
        match client.request(ABOUT, "".into()).await {
            Ok(_) => Heard::Answer,
            Err(_) => Heard::Silence,
        }
    };
    let heard = runtime.block_on(async { tokio::time::timeout(PATIENCE, asked).await });
    runtime.shutdown_background();
    heard.unwrap_or(Heard::Silence)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::super::super::configured::PID;
    use super::*;

    #[test]
    fn a_server_that_is_silent_again_and_again_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("1000").stdin(Stdio::null());
        let mut server = command.current_dir(folder.path()).spawn().unwrap();
        std::fs::write(folder.path().join(PID), server.id().to_string()).unwrap();
        let mut watch = Watch::of(Some(folder.path().to_owned()));
        let few = [Heard::Silence; TIMES as usize - 1];
        let not_in_a_row = [&[Heard::Answer], &few[..], &[Heard::Answer], &few[..]].concat();
        not_in_a_row.into_iter().for_each(|it| watch.hears(it));
        assert_eq!(server.try_wait().unwrap(), None);
        watch.hears(Heard::Silence);
        assert!(!server.wait().unwrap().success());
    }
}
