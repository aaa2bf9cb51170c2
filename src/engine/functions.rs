//! The functions of maps in this engine: made once from their captured variables, kept for the next map that
//! uses them, run chunk by chunk.

use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::sync::atomic::Ordering;

use regatta_cell::host::{Bytes, End, Function as Table, Task as CellTask};
use regatta_cell::options::MapOptions;

use super::context::Context;
use super::loader::{LoadError, Loader};
use super::notes;
use super::outgoing::Outgoing;
use super::shared::View;
use crate::ids::JobId;
use crate::wire::{ChunkEnded, Function, PanicInfo, Payload, Span, status};

/// Captured bytes whose memory is given back when they are forgotten.
const LARGE: usize = 1 << 20;

/// Functions that stay made, for the next map.
const KEPT: usize = 8;

#[derive(Default)]
pub struct Functions {
    captures: HashMap<u128, View>,
    /// The newest at the end.
    made: VecDeque<Made>,
}

/// A function with its captured variables.
struct Made {
    of: Function,
    table: &'static Table,
    function: *mut c_void,
    /// It has variables of this engine's.
    holds: bool,
}

impl Drop for Made {
    fn drop(&mut self) {
        (self.table.release)(self.function);
    }
}

impl Functions {
    pub fn add_capture(&mut self, hash: u128, payload: Payload) -> std::io::Result<()> {
        self.captures.insert(hash, View::alone(payload)?);
        Ok(())
    }

    pub fn forget_capture(&mut self, hash: u128) {
        let view = self.captures.remove(&hash);
        self.made.retain(|made| made.of.captures != Some(hash));
        if view.is_some_and(|view| view.bytes().len() > LARGE) {
            // The values that were made of it are free too; the allocator would keep their memory.
            // SAFETY: it gives free memory back to the system and touches no other.
            unsafe { libc::malloc_trim(0) };
        }
    }

    /// Functions that have variables of this engine's give them back.
    pub fn put_variables_back(&mut self, context: &Context) {
        self.made.retain(|made| !made.holds);
        context.variables_asked();
    }

    /// Applies a function to a chunk; its results.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a chunk is, and where it runs"
    )]
    pub fn run(
        &mut self,
        context: &Context,
        loader: &mut Loader,
        function: &Function,
        options: &MapOptions,
        job: JobId,
        span: Span,
        inputs: &View,
        began: u64,
    ) -> Result<(ChunkEnded, Payload), LoadError> {
        let made = self.made(context, loader, function)?;
        let mut results = Outgoing::default();
        let (output, write) = results.parts();
        let cell_task = CellTask {
            inputs: Bytes::of(inputs.bytes()),
            count: span.count,
            first: span.first,
            from: span.from,
            to: span.to,
            collect: options.collect,
            timed: options.items,
            retries: options.retries,
            output,
            write,
            item: context.status.word(status::ITEM),
            begun: context.status.word(status::BEGUN),
            stop: context.status.word(status::STOP),
            job: u64::from(job.0),
        };
        let at_work = context.status.word(status::JOB);
        at_work.store(u64::from(job.0), Ordering::Relaxed);
        context.set_seed(options.seed);
        notes::watch();
        let end = (made.table.run)(made.function, &raw const cell_task);
        // What is called later is no part of the job, which may have been stopped.
        at_work.store(0, Ordering::Relaxed);
        let error = match end.how {
            End::Finished | End::Stopped => None,
            End::Panicked => {
                Some(notes::take_panic().unwrap_or_else(|| PanicInfo::plain("it panicked")))
            }
            // The user's own code may have panicked over it.
            End::NotEncodable => Some(notes::take_panic().unwrap_or_else(|| {
                PanicInfo::plain(
                    "serde could not carry the input or the result between the processes",
                )
            })),
        };
        let mut ended = ChunkEnded {
            done: end.done,
            failed: end.failed,
            busy: end.busy,
            lookups: end.lookups,
            began,
            error: error.map(Box::new),
            stopped: end.how == End::Stopped,
            items: notes::take_items(),
        };
        let results = results.finish().unwrap_or_else(|error| {
            ended.done = 0;
            let why = format!("no memory for the results: {error}");
            ended.error = Some(Box::new(PanicInfo::plain(why)));
            Payload::None
        });
        Ok((ended, results))
    }

    fn made(
        &mut self,
        context: &Context,
        loader: &mut Loader,
        wanted: &Function,
    ) -> Result<&Made, LoadError> {
        if let Some(place) = self.made.iter().position(|made| made.of == *wanted) {
            // The one that is used stays longest.
            if let Some(made) = self.made.remove(place) {
                self.made.push_back(made);
            }
        } else {
            let describe = loader.describe(&context.link, &wanted.address)?;
            // SAFETY: it returns a constant of an artifact, and artifacts are never unloaded.
            let table: &'static Table = unsafe { &*describe() };
            let captures = match wanted.captures {
                None => Bytes::of(&[]),
                Some(hash) => {
                    let view = self.captures.get(&hash);
                    Bytes::of(
                        view.ok_or_else(|| "the captured variables are not there".to_owned())?
                            .bytes(),
                    )
                }
            };
            self.made.retain(|made| !made.holds);
            context.variables_asked();
            let function = (table.make)(captures);
            let holds = context.variables_asked();
            if function.is_null() {
                let panic = notes::take_panic().map(|panic| panic.message);
                let why = match panic {
                    // What the user is to do is said there.
                    Some(why) if holds => why,
                    Some(why) => format!("the function cannot be made on this engine: {why}"),
                    None => "serde could not decode what the function captures".to_owned(),
                };
                return Err(why.into());
            }
            if self.made.len() >= KEPT {
                self.made.pop_front();
            }
            self.made.push_back(Made {
                of: *wanted,
                table,
                function,
                holds,
            });
        }
        self.made
            .back()
            .ok_or_else(|| "the function is not there".to_owned().into())
    }
}
