//! The compiler role: a process of its own, in which evcxr and rust-analyzer work for one session. It builds in
//! a folder of its own, which its cleaner removes when it has ended, however it ended. When the session is gone, it
//! forgets it and waits for the next one ([`super::warm`]), unless that was not wanted.
//!
//! Cargo, rustc, evcxr and rust-analyzer are told where things are by the environment. So this process is
//! entered first, where it leaves the session's terminal and open files, and then executed once more with that
//! environment: setting it from within would need `unsafe`.

mod desk;
mod enter;
mod idle;
mod kept;
mod reply;

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::analysis::{self, Analysis, Scenes};
use super::cleaner::Cleaner;
use super::message::{Beginning, FromCompiler, ToCompiler};
use super::thread::{self, Request};
use super::toolchain::ToolchainError;
use super::{builds, relay, stderr, tools};
use crate::wire::{Channel, Payload};
use desk::Desk;
pub use enter::start;
use idle::Place;
pub use kept::Kept;
use reply::Outbox;
pub use reply::Reply;

/// The first command line argument of a compiler's process.
pub const ROLE: &str = "__compiler";

/// evcxr and rust-analyzer recurse over syntax trees.
const STACK: usize = 64 << 20;

/// How often what a session has left under way is stopped, and for how long that is tried.
const AGAIN: Duration = Duration::from_millis(20);
const CLEARING: Duration = Duration::from_secs(60);

/// Serves the session at the other end of standard input. `arguments` are those behind the role.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let entered = match arguments {
        [step, sysroot, place, adopted] if step == enter::STEP => Err(enter::enter(
            sysroot.as_ref(),
            place.as_ref(),
            adopted.as_ref(),
        )),
        [step, sysroot, place, adopted] if step == enter::NEXT_STEP => {
            let toolchain = sysroot.to_string_lossy().into_owned();
            serve(Place::new(place.into(), toolchain), !adopted.is_empty())
        }
        _ => return ExitCode::FAILURE,
    };
    match entered {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            if let Ok(session) = session() {
                Outbox::new(session).send(&FromCompiler::Failed(why.to_string()));
            }
            ExitCode::FAILURE
        }
    }
}

/// The connection to the session, as this process was given it.
fn session() -> std::io::Result<UnixStream> {
    Ok(std::io::stdin().as_fd().try_clone_to_owned()?.into())
}

/// Serves one session, or many when there is a place to wait at. `adopts`: the folder is there already.
fn serve(mut place: Option<Place>, adopts: bool) -> Result<(), ToolchainError> {
    let folder: PathBuf = std::env::var_os(relay::FOLDER_VARIABLE)
        .unwrap_or_default()
        .into();
    let cleaner = if adopts {
        adopted(&folder).map_err(ToolchainError::Exec)?
    } else {
        // First the one who will clean, then what is to be cleaned.
        let cleaner = Cleaner::start(&folder).map_err(ToolchainError::Exec)?;
        builds::make_folder(&folder).map_err(ToolchainError::Folder)?;
        // Without them, the real tools are found.
        let _ = tools::make(&folder);
        cleaner
    };
    let held = cleaner.pipe().map_err(ToolchainError::Exec)?;
    let process = Process::begin(folder, Payload::file(held)).map_err(ToolchainError::Exec)?;
    if let Some((process, mut channel)) = process {
        loop {
            if let Some(place) = &mut place {
                place.is_taken();
            }
            process.attend(channel);
            if let Some(place) = &mut place {
                place.is_left();
            }
            let cleared = place.as_mut().filter(|_| process.clear());
            let Some((next, out)) = cleared.and_then(Place::wait) else {
                break;
            };
            // Somebody may have tidied up meanwhile.
            if !process.folder.join("build").exists() {
                break;
            }
            channel = next;
            // Where it can't be sent, the folder goes with this process.
            let held = cleaner.pipe().map_or(Payload::None, Payload::file);
            process.greet(out, &held);
        }
        builds::kill(&process.folder);
    }
    if let Some(place) = place {
        place.leave();
    }
    drop(cleaner);
    Ok(())
}

/// The cleaner of the folder of a compiler that has died; what it had under way is stopped.
fn adopted(folder: &Path) -> std::io::Result<Cleaner> {
    let pipe = std::io::stdout().as_fd().try_clone_to_owned()?;
    // Whoever is started from here on would hold the cleaner back.
    nix::unistd::dup2_stdout(File::options().write(true).open("/dev/null")?)?;
    builds::kill(folder);
    Ok(Cleaner::adopt(pipe, folder))
}

/// What works inside.
struct Process {
    folder: PathBuf,
    desk: Arc<Desk>,
    requests: Sender<Request>,
    /// Nobody waits for answers.
    abandoned: Arc<AtomicBool>,
    analysis: Analysis,
}

impl Process {
    /// Greets the session and starts what works for it; `None` when the session is gone already.
    fn begin(folder: PathBuf, held: Payload) -> std::io::Result<Option<(Self, Channel)>> {
        let session = session()?;
        let desk = Arc::new(Desk::default());
        let out = Outbox::new(session.try_clone()?);
        let mut channel = Channel::new(session);
        // Whoever is started from here on would keep the connection open.
        nix::unistd::dup2_stdin(&File::open("/dev/null")?)?;
        let teller = desk.clone();
        stderr::take(move |message| teller.tell(&message))?;
        analysis::keep_panics_quiet();
        greet(&desk, out, &folder, &held);
        // The session has its own by now.
        drop(held);
        let Ok((ToCompiler::Begin(beginning), _)) = channel.receive() else {
            return Ok(None);
        };
        let (requests, incoming) = mpsc::channel();
        let analysis = Analysis::start(&folder);
        let abandoned = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            abandoned: abandoned.clone(),
            folder: folder.clone(),
            desk: desk.clone(),
            analysis: analysis.clone(),
            beginning,
        };
        std::thread::Builder::new()
            .name("compiler".to_owned())
            .stack_size(STACK)
            .spawn(move || worker.work(&incoming))?;
        let process = Self {
            folder,
            desk,
            requests,
            abandoned,
            analysis,
        };
        Ok(Some((process, channel)))
    }

    /// Receives the next session.
    fn greet(&self, out: Outbox, held: &Payload) {
        self.abandoned.store(false, Ordering::Relaxed);
        greet(&self.desk, out, &self.folder, held);
    }

    /// Stops what the session has left under way and forgets it; whether everything is as it was before it.
    fn clear(&self) -> bool {
        // Until it is warm, it is at work for whoever comes.
        let warm = self.desk.is_warm();
        self.abandoned.store(true, Ordering::Relaxed);
        let (done, cleared) = mpsc::channel();
        let asked = self.requests.send(Request::Clear(done));
        let since = Instant::now();
        while asked.is_ok() && since.elapsed() < CLEARING {
            if warm {
                builds::stop(&self.folder);
            }
            match cleared.recv_timeout(AGAIN) {
                Ok(true) => break,
                Ok(false) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.analysis.set_scenes(Scenes::default());
        // It takes over the crates that there are now.
        self.analysis.prompt();
        let emptied = builds::empty(&self.folder);
        asked.is_ok() && since.elapsed() < CLEARING && emptied.is_ok()
    }

    /// Passes on what the session asks, until it is gone.
    fn attend(&self, mut channel: Channel) {
        let Some(out) = self.desk.session() else {
            return;
        };
        while let Ok((message, _)) = channel.receive() {
            self.pass_on(message, &out);
        }
        self.desk.leave();
    }

    fn pass_on(&self, message: ToCompiler, out: &Outbox) {
        let compiled = |id| Reply::new(id, out, |id, answer| FromCompiler::Compiled { id, answer });
        let request = match message {
            ToCompiler::Serve | ToCompiler::End | ToCompiler::Begin(_) => return,
            ToCompiler::Scenes(scenes) => return self.analysis.set_scenes(scenes),
            ToCompiler::Prompt => return self.analysis.prompt(),
            ToCompiler::Names { id, place } => {
                let answer = Reply::new(id, out, |id, names| FromCompiler::Names { id, names });
                return self.analysis.names(place, answer);
            }
            ToCompiler::Docs { id, question } => {
                let answer = Reply::new(id, out, |id, found| FromCompiler::Docs { id, found });
                return self.analysis.docs(question, answer);
            }
            ToCompiler::Compile { id, source, state } => Request::Compile {
                source,
                state,
                answer: compiled(id),
            },
            ToCompiler::Forget { id, names, state } => Request::Forget {
                names,
                state,
                answer: compiled(id),
            },
            ToCompiler::AddCrate { id, name, config } => Request::AddCrate {
                name,
                config,
                answer: compiled(id),
            },
            ToCompiler::Configure { id, setting } => Request::Configure {
                setting,
                answer: compiled(id),
            },
            ToCompiler::Free(state) => Request::Free(state),
        };
        // When the thread is gone, the reply that is dropped here says so.
        let _ = self.requests.send(request);
    }
}

/// Tells a session who serves it, and how things stand.
fn greet(desk: &Desk, out: Outbox, folder: &Path, held: &Payload) {
    let hello = FromCompiler::Hello {
        pid: std::process::id(),
        folder: folder.to_owned(),
    };
    out.send_with(&hello, held);
    desk.receive(out);
}

/// The thread of evcxr's context.
struct Worker {
    abandoned: Arc<AtomicBool>,
    folder: PathBuf,
    desk: Arc<Desk>,
    analysis: Analysis,
    beginning: Beginning,
}

impl Worker {
    fn work(self, incoming: &Receiver<Request>) {
        let ready = |root| self.desk.ready(root);
        let say = |words: &str| {
            let line = format!("regatta: {words}\n").into_bytes();
            self.desk.tell(&FromCompiler::Stderr(line));
        };
        let work = || {
            thread::serve(
                &self.folder,
                &self.analysis,
                &self.beginning,
                incoming,
                &self.abandoned,
                say,
                ready,
            )
        };
        let ended = catch_unwind(AssertUnwindSafe(work));
        let ended = ended.unwrap_or_else(|_| Err("evcxr gave up".to_owned()));
        if let Err(why) = ended {
            self.desk.failed(why);
        }
    }
}
