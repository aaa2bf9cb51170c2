//! The calling side of a map on processes, in the local engine: a connection that is the map's for its time,
//! on which the session asks for inputs and gives results.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use regatta_cell::host::{Bytes, Captures, End, Fault, MapCall, Pull, Put, Step, UNDECODABLE};
use regatta_cell::options::{MapOptions, Schedule};
use xxhash_rust::xxh3::Xxh3;

use super::begun::{Begun, Follower, Outside};
use super::connections::Connection;
use super::outgoing::Outgoing;
use super::shared::View;
use super::{host, loader, nanoseconds, notes};
use crate::ids::Rank;
use crate::wire::{
    AWAKE, CapturesInfo, EAGER, FromCaller, ItemFault, MapBegin, PanicInfo, Payload, Service,
    ToCaller, WireError, Workers,
};

/// Bytes of inputs after which an adaptive chunk is long enough.
const MOST: u64 = 8 << 20;

/// Whoever follows it.
struct Caller {
    outside: Arc<Outside>,
    ctx: Callbacks,
    captures: Option<Captures>,
    connection: Connection,
    /// Both sides have said so.
    closed: bool,
    /// A result could not be decoded.
    undecodable: Option<String>,
    /// It shows nothing, so that nobody waits for word of its end.
    silent: bool,
    /// Its table is to show what each engine's first results are.
    shows_results: bool,
    background: bool,
    /// Until then it is waited for without falling asleep.
    awake: Instant,
    /// Bytes after which a chunk ends early.
    most: u64,
    decode: u64,
    over: Option<Step>,
}

#[derive(Clone, Copy)]
struct Callbacks {
    ctx: *mut c_void,
    pull: Pull,
    put: Put,
    failed: extern "C" fn(*mut c_void, u64, Fault, Bytes),
}

/// The options of a map as a cell hands them over.
pub fn options(bytes: Bytes) -> Result<MapOptions, String> {
    // SAFETY: the cell crate lends the bytes for the call.
    MapOptions::from_bytes(unsafe { bytes.as_slice() })
        .ok_or_else(|| "the map's options cannot be read".to_owned())
}

/// Whether the table of a map has a place for results: those that come as they are done stand elsewhere.
pub fn shows_results(options: &MapOptions) -> bool {
    !options.quiet && !options.unordered
}

/// Begins a map; an error says why not.
pub fn begin(call: &MapCall) -> Result<Begun, String> {
    let function = loader::address_of(call.describe as *const c_void)
        .ok_or("the function is in no artifact")?;
    // SAFETY: null, or what the cell crate lends for the call.
    let captures = unsafe { call.captures.as_ref() }.copied();
    let options = options(call.options)?;
    let hashed = |captures| hashed(captures, &options.captures);
    let info = captures.as_ref().map(hashed).transpose()?;
    let trouble = |error: &dyn std::fmt::Display| format!("the map cannot begin: {error}");
    let connection =
        Connection::take(Service::Map, options.background).map_err(|error| trouble(&error))?;
    let outside = Outside::new(Some(connection.writer.clone()));
    let mut caller = Caller {
        outside: outside.clone(),
        ctx: Callbacks {
            ctx: call.ctx,
            pull: call.pull,
            put: call.put,
            failed: call.failed,
        },
        captures,
        connection,
        closed: false,
        undecodable: None,
        silent: options.function.is_empty() && !options.quiet && !options.background,
        shows_results: shows_results(&options),
        background: options.background,
        awake: Instant::now(),
        most: if options.chunk.is_none() && options.schedule == Schedule::Dynamic {
            MOST
        } else {
            u64::MAX
        },
        decode: 0,
        over: None,
    };
    let eager = (options.schedule == Schedule::Dynamic && !options.plan_only)
        .then(|| options.chunk.unwrap_or(1));
    let pool = host::pool_named(options.pool.as_deref().unwrap_or_default());
    let far = pool.is_some_and(|pool| pool.far);
    let begin = FromCaller::Begin(Box::new(MapBegin {
        options,
        input_type: host::text(call.input_type),
        output_type: host::text(call.output_type),
        items: (call.items != u64::MAX).then_some(call.items),
        workers: Workers::Engines {
            function,
            captures: info,
        },
    }));
    let queued = caller.connection.writer().queue(&begin, &Payload::None);
    queued
        .and_then(|()| match eager {
            Some(items) => caller.give(items, EAGER),
            None => Ok(caller.connection.writer().flush()?),
        })
        .map_err(|error| trouble(&error))?;
    if !far {
        caller.awake = Instant::now() + AWAKE;
    }
    Ok(Begun::new(outside, Box::new(caller)))
}

/// Hash and sizes of captured variables.
fn hashed(captures: &Captures, variables: &[(String, String)]) -> Result<CapturesInfo, String> {
    struct Hashing {
        hasher: Box<Xxh3>,
        sizes: Vec<u64>,
    }
    extern "C" fn hash(to: *mut c_void, variable: u64, bytes: Bytes) {
        // SAFETY: `to` is the `Hashing` below, and the bytes live for the call.
        let (hashing, bytes) = unsafe { (&mut *to.cast::<Hashing>(), bytes.as_slice()) };
        hashing.hasher.update(bytes);
        if let Some(size) = hashing.sizes.get_mut(variable as usize) {
            *size += bytes.len() as u64;
        }
    }
    let mut hashing = Hashing {
        hasher: Box::new(Xxh3::new()),
        sizes: vec![0; variables.len()],
    };
    if !(captures.feed)(captures.ctx, (&raw mut hashing).cast(), hash) {
        return Err("serde could not encode what the function captures".to_owned());
    }
    // Equal bytes of other types are another value.
    for text in variables.iter().flat_map(|(name, kind)| [name, kind]) {
        hashing.hasher.update(text.as_bytes());
        hashing.hasher.update(b"\x1f");
    }
    Ok(CapturesInfo {
        hash: hashing.hasher.digest128(),
        sizes: hashing.sizes,
    })
}

impl Caller {
    /// Encodes further inputs, as many chunks as are asked for or there are.
    fn give(&mut self, items: u64, chunks: u32) -> Result<(), WireError> {
        let mut writer = self.connection.writer();
        for _ in 0..chunks {
            let since = Instant::now();
            let mut inputs = Outgoing::default();
            let (to, write) = inputs.parts();
            let pulled = (self.ctx.pull)(self.ctx.ctx, items, self.most, to, write);
            let mut error = match pulled.how {
                End::Panicked => Some(
                    notes::take_panic().unwrap_or_else(|| PanicInfo::plain("the inputs panicked")),
                ),
                End::NotEncodable => Some(
                    notes::take_panic()
                        .unwrap_or_else(|| PanicInfo::plain("serde could not encode an input")),
                ),
                End::Finished | End::Stopped => None,
            };
            let inputs = inputs.finish().unwrap_or_else(|trouble| {
                error.get_or_insert(PanicInfo::plain(format!(
                    "no memory for the inputs: {trouble}"
                )));
                Payload::None
            });
            let message = FromCaller::Inputs {
                count: pulled.count,
                exhausted: pulled.exhausted,
                encode: nanoseconds(since),
                error: error.map(Box::new),
            };
            writer.queue(&message, &inputs)?;
            if pulled.exhausted {
                break;
            }
        }
        Ok(writer.flush()?)
    }

    fn try_step(&mut self, wait: i64) -> Result<Step, WireError> {
        let (message, payload) = loop {
            let reader = &mut self.connection.reader;
            if let Some(frame) = reader.next_frame()? {
                break frame;
            }
            if wait < 0 {
                reader.wait_awake(self.awake)?;
            } else {
                let timeout = PollTimeout::try_from(wait.min(60_000)).unwrap_or(PollTimeout::NONE);
                let mut fds = [PollFd::new(reader.socket(), PollFlags::POLLIN)];
                if poll(&mut fds, timeout).unwrap_or(0) == 0 {
                    return Ok(Step::Waited);
                }
                reader.wait()?;
            }
        };
        self.take(message, payload)
    }

    fn take(&mut self, message: ToCaller, payload: Payload) -> Result<Step, WireError> {
        match message {
            ToCaller::Job { job } => self.outside.lock_progress().job = job.0,
            ToCaller::WantCaptures => match self.captures() {
                Some(captures) => self.outside.send(&FromCaller::Captures, &captures)?,
                None => {
                    let fault = FromCaller::Undecodable { panic: None };
                    self.outside.send(&fault, &Payload::None)?;
                }
            },
            ToCaller::Pull { items, chunks } => self.give(items, chunks)?,
            ToCaller::Results { first, count, rank } => {
                self.put(first, count, rank, payload)?;
            }
            ToCaller::Failed { item, fault } => self.item_failed(item, fault),
            // For threads.
            ToCaller::Stop { .. } => {}
            ToCaller::Over {
                error,
                cancelled,
                wall,
                serial,
                first_items,
            } => {
                if !self.background {
                    // For the cell that waits for it.
                    let shown = self.shows_results.then_some(first_items);
                    host::keep_first_items(shown.unwrap_or_default());
                }
                {
                    let mut progress = self.outside.lock_progress();
                    (progress.wall, progress.serial) = (wall, serial);
                }
                return Ok(self.close(error, cancelled));
            }
        }
        Ok(Step::Going)
    }

    fn put(
        &mut self,
        first: u64,
        count: u64,
        rank: Rank,
        results: Payload,
    ) -> Result<(), WireError> {
        let since = Instant::now();
        let view = View::of(results)?;
        let bytes = Bytes::of(view.bytes());
        if !(self.ctx.put)(self.ctx.ctx, first, count, rank.0, bytes) && self.undecodable.is_none()
        {
            // The user's own code may have panicked over it.
            let panic = notes::take_panic();
            let told = panic.as_ref().map(PanicInfo::undecodable);
            self.undecodable = Some(told.unwrap_or_else(|| UNDECODABLE.to_owned()));
            let panic = panic.map(Box::new);
            self.outside
                .send(&FromCaller::Undecodable { panic }, &Payload::None)?;
        }
        view.release();
        self.decode += nanoseconds(since);
        Ok(())
    }

    fn item_failed(&mut self, item: u64, fault: ItemFault) {
        let (fault, why) = match fault {
            ItemFault::Crashed(cause) => (Fault::Crashed, cause),
            ItemFault::Lost(cause) => (Fault::Lost, cause),
            ItemFault::TimedOut => (Fault::TimedOut, String::new()),
            ItemFault::Cancelled => (Fault::Cancelled, String::new()),
        };
        (self.ctx.failed)(self.ctx.ctx, item, fault, Bytes::of(why.as_bytes()));
    }

    /// The map is over; how.
    fn close(&mut self, error: Option<String>, cancelled: bool) -> Step {
        let closed = FromCaller::Closed {
            decode: self.decode,
        };
        // A session that is gone will end this process.
        let _ = self.connection.writer().queue(&closed, &Payload::None);
        if !self.silent {
            let _ = self.connection.writer().flush();
        }
        self.closed = true;
        // The session may hear of it only now.
        let error = error.or(self.undecodable.take());
        let how = match (&error, cancelled) {
            (_, true) => Step::Cancelled,
            (Some(_), false) => Step::Failed,
            (None, false) => Step::Finished,
        };
        *self.outside.lock_failure() = error.unwrap_or_default();
        how
    }

    fn captures(&self) -> Option<Payload> {
        extern "C" fn write(to: *mut c_void, _: u64, bytes: Bytes) {
            // SAFETY: `to` is the `Outgoing` below, and the bytes live for the call.
            unsafe { (*to.cast::<Outgoing>()).write(bytes.as_slice()) }
        }
        let captures = self.captures.as_ref()?;
        let mut out = Outgoing::default();
        let fed = (captures.feed)(captures.ctx, (&raw mut out).cast(), write);
        out.finish_alone().ok().filter(|_| fed)
    }
}

impl Follower for Caller {
    fn step(&mut self, wait: i64) -> Step {
        if let Some(over) = self.over {
            return over;
        }
        match self.try_step(wait) {
            Ok(step) => {
                if !matches!(step, Step::Going | Step::Waited) {
                    self.over = Some(step);
                }
                step
            }
            Err(error) => {
                *self.outside.lock_failure() = error.to_string();
                self.over = Some(Step::Failed);
                Step::Failed
            }
        }
    }

    fn end(self: Box<Self>) {
        if self.closed {
            self.connection.keep();
        }
    }
}
