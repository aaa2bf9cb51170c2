//! Ranks of an MPI pool: messages are MPI's. A short one is one message of MPI's, a header and the data behind it, so
//! that its receiver needs neither to ask for its length nor to trust its type; of a long one the data follow as numbers
//! of their type, from the sender's memory to the receiver's. What came and was not asked for is kept as between ranks
//! that share memory, and so are places, counts and communicators: in the book.

use std::ffi::c_int;
use std::sync::atomic::Ordering;

use regatta_cell::comm::table::{ANY_RANK, Envelope, Kind};

use super::matching::{Message, Wanted};
use super::mpi_handle::Handle;
use super::mpi_layout::{Bare, Came, SHORT, WHOLE, parts};
use super::mpi_waiting::Vigil;
use super::ring::Header;
use super::shared::{NOBODY, Shared};
use super::waiting::DRAWN;
use super::{Request, Trouble, words};
use crate::engine::mpi::Mpi as Library;
use crate::engine::mpi::shim::{Check, GIVEN_UP};
use crate::wire::monotonic;
use crate::wire::world::{Call, block};

pub struct Mpi {
    pub(super) library: &'static Library,
    pub(super) book: Shared,
    /// A message that comes.
    pub(super) buffer: Box<[u8; WHOLE]>,
    /// A message that goes.
    pub(super) going: Vec<u8>,
    pub(super) body_tag: u32,
    pub(super) posted: Vec<Posted>,
    /// Of the last message of this cell that went without a header.
    pub(super) bare: Option<Bare>,
}

/// A request under way.
pub(super) struct Posted {
    pub(super) request: Request,
    pub(super) handles: Vec<Handle>,
    /// What MPI reads or writes meanwhile: the header and what follows it, and the body.
    pub(super) whole: Box<[u8]>,
    pub(super) body: Vec<u8>,
    /// Of a send: whom it goes to, a rank of the world.
    pub(super) to: u32,
    /// Of a receive.
    pub(super) of: Option<(Wanted, u32)>,
    /// It has come.
    pub(super) message: Option<Message>,
    pub(super) forgotten: bool,
}

impl Posted {
    /// The ranks of the world for whom it waits.
    pub(super) fn partners(&self, book: &Shared) -> Result<Vec<u32>, Trouble> {
        Ok(match self.of {
            Some((wanted, comm)) => match wanted.from {
                Some(rank) => vec![rank],
                None => book.comm(comm)?.members.to_vec(),
            },
            None => vec![self.to],
        })
    }

    /// MPI is done with the first of its handles. Of a receive, that is what has come.
    pub(super) fn ended(
        &mut self,
        library: &Library,
        book: &Shared,
        call: Call,
        came: Came,
    ) -> Result<(), Trouble> {
        self.handles.remove(0);
        if self.handles.is_empty() {
            self.body = Vec::new();
        }
        if let Some((_, comm)) = self.of {
            let whole = std::mem::take(&mut self.whole);
            let message = stored(library, book, call, comm, came, &whole)?;
            book.note_synchronised(message.from, &message.header);
            self.message = Some(message);
        }
        Ok(())
    }
}

// SAFETY: handles and buffers are memory of the process, and one thread at a time has the rank.
unsafe impl Send for Mpi {}

impl Mpi {
    pub fn new(book: Shared, library: &'static Library) -> Self {
        Self {
            library,
            book,
            buffer: Box::new([0; WHOLE]),
            going: Vec::with_capacity(WHOLE),
            body_tag: 0,
            posted: Vec::new(),
            bare: None,
        }
    }

    #[inline]
    pub(super) fn checked(&self, call: Call, code: c_int) -> Result<(), Trouble> {
        checked(self.library, call, code)
    }

    /// Notes a wait for others, or a send of much, that ends now.
    pub(super) fn waited(&self, nanoseconds: u64, sends: bool) {
        waited(&self.book, nanoseconds, sends);
    }

    /// MPI's number for a rank of a communicator: the envelope's own.
    #[inline]
    pub(super) fn peer(of: &Envelope) -> c_int {
        match of.peer {
            ANY_RANK => -1,
            peer => peer.cast_signed(),
        }
    }

    pub(super) fn number(kind: impl Into<u32>) -> c_int {
        let kind = Kind(kind.into());
        kind.number().map_or(0, |number| number as c_int)
    }

    /// The message in the buffer, whole, for the queue.
    pub(super) fn stored(
        &self,
        call: Call,
        comm: u32,
        came: Came,
        whole: &[u8],
    ) -> Result<Message, Trouble> {
        stored(self.library, &self.book, call, comm, came, whole)
    }

    pub(super) fn posted_at(&self, request: Request) -> Option<usize> {
        { self.posted.iter() }.position(|posted| posted.request == request)
    }

    /// Takes a receive back from MPI; what has come for it in this moment it has.
    pub(super) fn withdraw(&self, posted: &mut Posted) {
        let Some(handle) = posted.handles.pop() else {
            return;
        };
        if let (Ok(Some(came)), Some((_, comm))) = (handle.cancel(self.library), posted.of) {
            let message = self.stored(Call::Recv, comm, came, &posted.whole);
            posted.message = message.ok();
        }
    }

    /// A message that a request had, and that nobody has received: for the oldest request that it fits, or back to where
    /// it stood among the others.
    pub(super) fn give_back(&mut self, message: Message) {
        let from = message.from;
        for at in 0..self.posted.len() {
            let fits = |posted: &Posted| {
                let wanted = posted.of.filter(|_| posted.message.is_none());
                wanted.is_some_and(|(wanted, _)| wanted.is(from, &message.header))
            };
            if !fits(&self.posted[at]) {
                continue;
            }
            let mut posted = self.posted.remove(at);
            self.withdraw(&mut posted);
            if posted.message.is_none() {
                self.book.note_synchronised(from, &message.header);
                posted.message = Some(message);
                self.posted.insert(at, posted);
                return;
            }
            self.posted.insert(at, posted);
        }
        self.book.give_back(message);
    }

    /// Ends what is done of a request, or all of it; whether all is.
    pub(super) fn advance(
        &mut self,
        at: usize,
        call: Call,
        of: &Envelope,
        wait: bool,
    ) -> Result<bool, Trouble> {
        while let Some(handle) = self.posted[at].handles.first().copied() {
            let sends = self.posted[at].of.is_none();
            // Who does not wait looks at nobody.
            let on = match wait {
                true => self.posted[at].partners(&self.book)?,
                false => Vec::new(),
            };
            let posted = &mut self.posted[..];
            let mut vigil = Vigil::new(self.library, &mut self.book, posted, call, of, &on);
            (vigil.sends, vigil.waited) = (sends, Some(at));
            let look = Some((Vigil::look as Check, &mut vigil));
            let ended = handle.end(self.library, wait, look);
            let trouble = vigil.end();
            self.waited(ended.waited, sends);
            if ended.code == GIVEN_UP {
                return Err(trouble.unwrap_or(Trouble::Stopped(call)));
            }
            self.checked(call, ended.code)?;
            if !ended.done {
                return Ok(false);
            }
            self.posted[at].ended(self.library, &self.book, call, ended.came)?;
        }
        Ok(true)
    }

    /// Lets go of sends that are done and that nobody asks for.
    pub(super) fn tidy(&mut self) {
        for at in (0..self.posted.len()).rev() {
            let is_send = self.posted[at].of.is_none();
            if is_send
                && matches!(self.advance(at, Call::Wait, &NOBODY, false), Ok(true))
                && self.posted[at].forgotten
            {
                self.posted.remove(at);
            }
        }
    }
}

#[inline]
pub(super) fn checked(library: &Library, call: Call, code: c_int) -> Result<(), Trouble> {
    match code {
        0 => Ok(()),
        code => Err(told(library, call, code)),
    }
}

#[cold]
fn told(library: &Library, call: Call, code: c_int) -> Trouble {
    let text = library.shim.checked(code).err().unwrap_or_default();
    words::of(call, &format!("MPI says: {text}"))
}

fn waited(book: &Shared, nanoseconds: u64, sends: bool) {
    if nanoseconds >= DRAWN {
        let now = monotonic();
        book.note(now.saturating_sub(nanoseconds), now, sends);
    } else if nanoseconds > 0 {
        let word = book.world.of(book.rank, block::WAITED);
        word.store(
            word.load(Ordering::Relaxed) + nanoseconds,
            Ordering::Relaxed,
        );
    }
}

/// The rank of the world that is this one of the communicator.
#[inline]
pub(super) fn world_rank(book: &Shared, comm: u32, source: u32) -> Result<u32, Trouble> {
    match comm {
        0 => Ok(source),
        _ => Ok(book.comm(comm)?.members[source as usize]),
    }
}

/// Receives the body of a long message to where it belongs.
pub(super) fn body(
    library: &Library,
    book: &Shared,
    call: Call,
    comm: u32,
    source: u32,
    header: &Header,
    to: *mut u8,
) -> Result<(), Trouble> {
    let mut time = 0;
    // SAFETY: whoever gives the place has made it as long.
    let code = unsafe {
        (library.shim.recv_body)(
            comm as c_int,
            to,
            header.total,
            Mpi::number(header.kind),
            source.cast_signed(),
            header.part.cast_signed(),
            &raw mut time,
        )
    };
    waited(book, time, false);
    checked(library, call, code)
}

/// The message that lies here, whole, for the queue.
pub(super) fn stored(
    library: &Library,
    book: &Shared,
    call: Call,
    comm: u32,
    came: Came,
    whole: &[u8],
) -> Result<Message, Trouble> {
    let from = world_rank(book, comm, came.source)?;
    let (header, name, data) = parts(book, comm, from, came, whole);
    let data = if header.total as usize <= SHORT {
        data[..header.total as usize].to_vec()
    } else {
        let mut data = vec![0; header.total as usize];
        body(
            library,
            book,
            call,
            comm,
            came.source,
            &header,
            data.as_mut_ptr(),
        )?;
        data
    };
    Ok(Message {
        number: book.next_message(),
        from,
        header,
        name: name.to_vec(),
        data,
    })
}
