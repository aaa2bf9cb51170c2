//! What an MPI pool needs, found and compiled before any engine is started.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};

use super::crew::{Awaited, Crew};
use super::{Failed, Session, explain};
use crate::c::Stop;
use crate::c::mpi::{Mpi, MpiError, Surroundings, own_count, prepare};
use crate::compiler::toolchain::cache_dir;
use crate::outcome::{Doing, ErrorKind, MpiCause, Report, Sink};
use crate::pool::MpiStart;

impl Session {
    /// Finds what starts MPI's processes, or takes the user's words for it, and compiles what engines need.
    pub fn prepare_mpi(
        &mut self,
        launcher: Option<&str>,
        sink: &mut dyn Sink,
    ) -> Result<Arc<MpiStart>, Failed> {
        let words = launcher.map(|text| match shell_words::split(text) {
            Ok(words) if !words.is_empty() => Ok(words),
            _ => Err(Report::usage(MpiCause::LauncherWords {
                text: text.to_owned(),
            })),
        });
        let words = words.transpose()?;
        if let (Some(text), Some(count)) = (launcher, words.as_deref().and_then(own_count)) {
            let launcher = text.to_owned();
            return Err(Report::usage(MpiCause::LauncherCounts { launcher, count }).into());
        }
        let variables = self.environment_variables();
        let around = Surroundings {
            environment: self.environment(),
            compiler: variables.get("MPICC").cloned(),
            path: variables.get("PATH").map(Into::into).unwrap_or_default(),
            shelf: cache_dir().join("c"),
            root: rustix::process::geteuid().is_root(),
        };
        let stop = Stop::default();
        let (prepared, answer) = channel();
        std::thread::spawn({
            let (stop, waker) = (stop.clone(), self.waker());
            move || {
                // Who has gone takes no answer.
                let _ = prepared.send(prepare(words.as_deref(), &around, &stop));
                waker.wake();
            }
        });
        let mpi = self.until(Preparing { answer, stop }, sink)?;
        let mpi = mpi.map_err(refused)?;
        Ok(Arc::new(MpiStart {
            command: mpi.command,
            launcher: mpi.launcher,
            shim: mpi.shim,
        }))
    }
}

fn refused(error: MpiError) -> Failed {
    let cause = match error {
        MpiError::NoLauncher(programs) => MpiCause::NoLauncher { programs },
        MpiError::NotRun { program, why } => MpiCause::NotRun { program, why },
        MpiError::NoCompiler(programs) => MpiCause::NoCompiler { programs },
        MpiError::Refused { program, says } => MpiCause::Refused { program, says },
        MpiError::Failed(why) => return Report::new(ErrorKind::System, why).into(),
        MpiError::Stopped => return explain::interrupted(Doing::StartingEngines).into(),
    };
    Report::new(ErrorKind::System, cause).into()
}

struct Preparing {
    answer: Receiver<Result<Mpi, MpiError>>,
    stop: Stop,
}

impl Awaited for Preparing {
    type Outcome = Result<Mpi, MpiError>;

    fn look(&mut self, _: &mut Crew, _: &mut dyn Sink) -> Result<Option<Self::Outcome>, Failed> {
        Ok(match self.answer.try_recv() {
            Ok(prepared) => Some(prepared),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(MpiError::Failed("the compiler is lost".to_owned())))
            }
        })
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        self.stop.stop();
        Ok(())
    }
}
