//! What the jobs of this engine run, and their chunks.

use std::collections::HashMap;

use regatta_cell::host::Lookups;

use super::context::Context;
use super::functions::Functions;
use super::loader::{LoadError, Loader};
use super::shared::View;
use super::{monotonic, notes};
use crate::ids::JobId;
use crate::wire::{ChunkEnded, PanicInfo, Payload, Runs, Span, Task, WireError};

#[derive(Default)]
pub struct Tasks {
    jobs: HashMap<JobId, Task>,
    pub functions: Functions,
}

impl Tasks {
    pub fn add_job(&mut self, job: JobId, task: Task) {
        self.jobs.insert(job, task);
    }

    pub fn remove_job(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }

    /// Whether they are shell commands.
    pub fn are_commands(&self, job: JobId) -> bool {
        self.jobs
            .get(&job)
            .is_some_and(|task| task.options.commands)
    }

    /// Runs a chunk; its results.
    pub fn run(
        &mut self,
        context: &Context,
        loader: &mut Loader,
        job: JobId,
        span: Span,
        inputs: Payload,
    ) -> Result<(ChunkEnded, Payload), WireError> {
        let began = monotonic();
        let not_run = |why: String| {
            let ended = ChunkEnded {
                done: 0,
                failed: 0,
                busy: 0,
                lookups: Lookups::default(),
                began,
                error: Some(Box::new(PanicInfo::plain(why))),
                stopped: false,
                items: Vec::new(),
            };
            Ok((ended, Payload::None))
        };
        let Some(task) = self.jobs.get(&job) else {
            return not_run("the job is not known here".to_owned());
        };
        context.set_seed(task.options.seed);
        let commands = task.options.commands.then_some(job);
        context.runs_commands_of(commands);
        notes::watch();
        let inputs = match View::of(inputs) {
            Ok(inputs) => inputs,
            Err(error) => return not_run(format!("the inputs cannot be read: {error}")),
        };
        let ran = match &task.runs {
            Runs::Function(function) => self.functions.run(
                context,
                loader,
                function,
                &task.options,
                job,
                span,
                &inputs,
                began,
            ),
        };
        context.runs_commands_of(None);
        match ran {
            Ok(ran) => Ok(ran),
            Err(LoadError::Lost(error)) => Err(error),
            Err(LoadError::NotLoaded(why)) => not_run(why),
        }
    }
}
