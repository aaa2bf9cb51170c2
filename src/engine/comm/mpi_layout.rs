//! How a message lies in one of MPI's: a header, the name of a type that is no number's, and the data, or of long data
//! the tag under which they follow. One number goes without a header: what it is stands in the memory that the ranks
//! share, and does not change while such a message is under way.

use std::ffi::c_int;
use std::sync::atomic::Ordering;

use regatta_cell::comm::table::{Envelope, Kind};

use super::matching::LONGEST_NAME;
use super::mpi::Mpi;
use super::ring::Header;
use super::shared::Shared;
use super::{Trouble, words};
use crate::wire::world::{Call, row};

/// Data up to this many bytes may go without a header: with it MPI takes half as long again.
const BARE: usize = 8;

/// Data up to this many bytes go with their header: MPI takes them at once.
pub(super) const SHORT: usize = 2048;

/// What stands before a message; both sides are of one program.
#[repr(C)]
#[derive(Clone, Copy)]
struct Brief {
    /// As in [`Header`].
    total: u64,
    cell: u32,
    tag: i32,
    line: u16,
    kind: u16,
    name: u16,
    /// The tag of the body that follows; 0: the data are here. With [`SYNCHRONOUS`] when its sender waits for a receive.
    body: u16,
}

/// The number of an `ssend` stands in front of the type's name.
const SYNCHRONOUS: u16 = 1 << 15;

const BRIEF: usize = size_of::<Brief>();
const _: () = assert!(
    BRIEF == 24 && BRIEF > BARE,
    "it has no padding, and a length tells whether it is there"
);

/// A message of MPI's that has come.
#[derive(Clone, Copy)]
pub(super) struct Came {
    /// A rank of the communicator.
    pub source: u32,
    pub tag: i32,
    /// Of all that has come, bytes.
    pub length: usize,
}

impl Came {
    pub fn of(source: c_int, tag: c_int, length: c_int) -> Self {
        Self {
            source: source.unsigned_abs(),
            tag,
            length: length.unsigned_abs() as usize,
        }
    }
}

impl Brief {
    /// Of a message that has come without it; see [`form_of`].
    #[inline]
    fn bare(form: u64, came: Came) -> Self {
        Self {
            total: came.length as u64,
            cell: (form >> 32) as u32,
            tag: came.tag,
            line: (form >> 16) as u16,
            kind: form as u16,
            name: 0,
            body: 0,
        }
    }
}

/// What messages without a header are: their kind, and where they are sent.
fn form_of(header: &Header) -> u64 {
    u64::from(header.cell) << 32 | u64::from(header.line) << 16 | u64::from(header.kind)
}

/// The longest message of MPI's that has a header.
pub(super) const WHOLE: usize = BRIEF + size_of::<u32>() + LONGEST_NAME + SHORT;

/// Tags of bodies are used again after so many.
const BODIES: u32 = SYNCHRONOUS as u32 - 1;

/// A header, a type's name, and the data or what is there of them.
pub(super) type Parts<'a> = (Header, &'a [u8], &'a [u8]);

/// The place of a call that has sent a message without a header, its kind, and its receiver.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Bare {
    file: *const u8,
    line: u32,
    kind: Kind,
    to: u32,
}

impl Bare {
    #[inline]
    fn of(of: &Envelope, to: u32) -> Self {
        Self {
            file: of.file.start,
            line: of.line,
            kind: of.kind,
            to,
        }
    }
}

impl Mpi {
    /// Whether a message goes without a header because the last one that did was like it.
    #[inline]
    pub(super) fn is_bare_again(&self, of: &Envelope, value: &[u8], to: u32) -> bool {
        self.bare == Some(Bare::of(of, to))
            && value.len() <= BARE
            && of.tag <= self.library.most_tag
    }

    /// What goes first of a message, and the tag of its body when that does not go along. `number`: of an `ssend`.
    #[inline]
    pub(super) fn prepare(
        &mut self,
        call: Call,
        of: &Envelope,
        value: &[u8],
        number: Option<u32>,
    ) -> Result<(Header, u32), Trouble> {
        if of.tag > self.library.most_tag {
            let most = self.library.most_tag;
            return Err(words::of(
                call,
                &format!("tag {} is larger than MPI's largest, {most}", of.tag),
            ));
        }
        let to = self.book.other(call, of)?;
        let name = Shared::name(of);
        let mut header = self.book.header(of, value.len());
        header.first = true;
        header.name = name.len() as u16;
        if value.len() > SHORT {
            self.body_tag = self.body_tag % BODIES + 1;
            header.part = self.body_tag;
        }
        self.going.clear();
        let brief = Brief {
            total: header.total,
            cell: header.cell,
            tag: header.tag,
            line: header.line,
            kind: header.kind,
            name: header.name,
            body: header.part as u16 | number.map_or(0, |_| SYNCHRONOUS),
        };
        // SAFETY: its bytes can be read as such; it has no padding.
        let bytes = unsafe { std::slice::from_raw_parts((&raw const brief).cast::<u8>(), BRIEF) };
        self.going.extend_from_slice(bytes);
        if let Some(number) = number {
            self.going.extend_from_slice(&number.to_ne_bytes());
        }
        self.going.extend_from_slice(name);
        if value.len() <= SHORT {
            self.going.extend_from_slice(value);
        }
        self.book.count(&header, to, header.total);
        Ok((header, to))
    }

    /// The header of a message that goes without it, when it can.
    pub(super) fn bare(&mut self, of: &Envelope, value: &[u8], to: u32) -> Option<Header> {
        if value.len() > BARE || of.kind == Kind::ENCODED || of.tag > self.library.most_tag {
            return None;
        }
        let header = self.book.header(of, value.len());
        let world = &self.book.world;
        let (layout, ours) = (world.layout(), self.book.rank);
        let form = world.word(layout.form(ours, to));
        if form.load(Ordering::Relaxed) != form_of(&header) {
            let sent = world.word(layout.row(ours, to) + row::SENT);
            let taken = world.word(layout.row(to, ours) + row::TAKEN);
            if sent.load(Ordering::Relaxed) != taken.load(Ordering::Acquire) {
                return None;
            }
            form.store(form_of(&header), Ordering::Release);
        }
        self.bare = Some(Bare::of(of, to));
        Some(header)
    }
}

/// What a message among all ranks is that has come without a header.
#[inline]
pub(super) fn bare_kind(book: &Shared, comm: u32, came: Came) -> Option<Kind> {
    if comm != 0 || came.length > BARE {
        return None;
    }
    let form = book.world.layout().form(came.source, book.rank);
    let form = book.world.word(form).load(Ordering::Acquire);
    Some(Kind(u32::from(form as u16)))
}

/// The header of a message on this communicator that lies here, its name and what else came along.
#[inline]
pub(super) fn parts<'a>(
    book: &Shared,
    comm: u32,
    from: u32,
    came: Came,
    whole: &'a [u8],
) -> Parts<'a> {
    let (brief, rest) = if came.length <= BARE {
        let form = book.world.layout().form(from, book.rank);
        let form = book.world.word(form).load(Ordering::Acquire);
        (Brief::bare(form, came), whole)
    } else {
        let (brief, rest) = whole.split_at(BRIEF);
        // SAFETY: its bytes lie there, in whatever alignment.
        let brief = unsafe { brief.as_ptr().cast::<Brief>().read_unaligned() };
        (brief, rest)
    };
    let (number, rest) = match (brief.body & SYNCHRONOUS, rest.split_first_chunk()) {
        (SYNCHRONOUS, Some((number, rest))) => (Some(u32::from_ne_bytes(*number)), rest),
        _ => (None, rest),
    };
    let header = Header {
        call: number.map_or(0, |_| Header::SSEND),
        run: number.unwrap_or_default(),
        total: brief.total,
        cell: brief.cell,
        tag: brief.tag,
        line: brief.line,
        kind: brief.kind,
        name: brief.name,
        part: (brief.body & !SYNCHRONOUS).into(),
        first: true,
        comm,
        ..Header::default()
    };
    let (name, data) = rest.split_at(usize::from(header.name).min(rest.len()));
    (header, name, data)
}
