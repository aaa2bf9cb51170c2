//! The compiler role: a process of its own, in which evcxr and rust-analyzer work for one session. It builds in
//! a folder of its own, which its cleaner removes when it has ended, however it ended.
//!
//! Cargo, rustc, evcxr and rust-analyzer are told where things are by the environment. So this process is
//! entered first, where it leaves the session's terminal and open files, and then executed once more with that
//! environment: setting it from within would need `unsafe`.

mod desk;
mod enter;
mod reply;

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use super::analysis::{self, Analysis};
use super::cleaner::Cleaner;
use super::message::{Beginning, FromCompiler, ToCompiler};
use super::thread::{self, Request};
use super::toolchain::ToolchainError;
use super::{builds, relay, stderr, tools};
use crate::wire::Channel;
use desk::Desk;
pub use enter::start;
use reply::Outbox;
pub use reply::Reply;

/// The first command line argument of a compiler's process.
pub const ROLE: &str = "__compiler";

/// evcxr and rust-analyzer recurse over syntax trees.
const STACK: usize = 64 << 20;

/// Serves the session at the other end of standard input. `arguments` are those behind the role.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let entered = match arguments {
        [step, sysroot] if step == enter::STEP => Err(enter::enter(sysroot.as_ref())),
        [step] if step == enter::NEXT_STEP => serve(),
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

fn serve() -> Result<(), ToolchainError> {
    let folder: PathBuf = std::env::var_os(relay::FOLDER_VARIABLE)
        .unwrap_or_default()
        .into();
    // First the one who will clean, then what is to be cleaned.
    let cleaner = Cleaner::start(&folder).map_err(ToolchainError::Exec)?;
    builds::make_folder(&folder).map_err(ToolchainError::Folder)?;
    // Without them, the real tools are found.
    let _ = tools::make(&folder);
    let process = Process::begin(folder).map_err(ToolchainError::Exec)?;
    if let Some((process, channel)) = process {
        process.attend(channel);
        builds::kill(&process.folder);
    }
    drop(cleaner);
    Ok(())
}

/// What works inside.
struct Process {
    folder: PathBuf,
    desk: Arc<Desk>,
    requests: Sender<Request>,
    analysis: Analysis,
}

impl Process {
    /// Greets the session and starts what works for it; `None` when the session is gone already.
    fn begin(folder: PathBuf) -> std::io::Result<Option<(Self, Channel)>> {
        let session = session()?;
        let desk = Arc::new(Desk::default());
        let out = Outbox::new(session.try_clone()?);
        let mut channel = Channel::new(session);
        // Whoever is started from here on would keep the connection open.
        nix::unistd::dup2_stdin(&File::open("/dev/null")?)?;
        let teller = desk.clone();
        stderr::take(move |message| teller.tell(&message))?;
        analysis::keep_panics_quiet();
        out.send(&FromCompiler::Hello {
            pid: std::process::id(),
            folder: folder.clone(),
        });
        desk.receive(out);
        let Ok((ToCompiler::Begin(beginning), _)) = channel.receive() else {
            return Ok(None);
        };
        let (requests, incoming) = mpsc::channel();
        let analysis = Analysis::start(&folder);
        let worker = Worker {
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
            analysis,
        };
        Ok(Some((process, channel)))
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
            ToCompiler::Begin(_) => return,
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

/// The thread of evcxr's context.
struct Worker {
    folder: PathBuf,
    desk: Arc<Desk>,
    analysis: Analysis,
    beginning: Beginning,
}

impl Worker {
    fn work(self, incoming: &Receiver<Request>) {
        let ready = |root| self.desk.ready(root);
        let work = || {
            thread::serve(
                &self.folder,
                &self.analysis,
                &self.beginning,
                incoming,
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
