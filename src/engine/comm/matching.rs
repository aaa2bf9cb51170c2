//! What is wanted and what comes: a message is for the oldest request that fits it, in the order in which its sender
//! has sent, and waits in a queue when none does.

use regatta_cell::comm::table::{ANY_TAG, Got, Kind, Op};

use super::Into;
use super::numbers::Fold;
use super::ring::Header;
use crate::ids::CellId;
use crate::wire::places::Place;
use crate::wire::world::Call;

/// In place of a collective call's number: a receive has taken what an `ssend` has sent.
pub const TAKEN: u32 = u32::MAX;

/// Which messages a receive is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub comm: u32,
    /// A rank of the world; `None`: any.
    pub from: Option<u32>,
    pub tag: i32,
    /// Of a collective: which one; 0: point to point.
    pub collective: u32,
}

impl Wanted {
    #[inline]
    pub fn is(&self, from: u32, header: &Header) -> bool {
        header.comm == self.comm
            && header.collective == self.collective
            && (self.tag == header.tag || self.tag == ANY_TAG)
            && self.from.is_none_or(|rank| rank == from)
    }
}

/// Of a header's call: which one, and one.
const CALL: u8 = 0x1f;
const _: () = assert!(Call::ALL.len() < CALL as usize);

/// Where a message's bytes go.
#[derive(Clone, Copy)]
pub enum Sink {
    /// Room that its receiver makes.
    Room(Into, u64),
    /// Memory that is there, of just this length.
    Memory(*mut u8, u64),
    /// Folded with numbers of this length: `to = with op message`.
    Fold(*mut u8, *const u8, u64, Fold),
    /// Nowhere.
    None,
}

/// What all members of a collective call come with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Messages of a call with a root have it as their tag: there is one from each sender at most.
    pub root: Option<u32>,
    pub op: Option<Op>,
}

impl Terms {
    /// In a header `op and one 3 │ call and one 5`, from the highest bit.
    pub fn call(self, call: Call) -> u8 {
        let op = self.op.map_or(0, |op| op as u8 + 1);
        op << 5 | (call as u8 + 1)
    }

    /// What a message of another member differs in.
    fn refuse(self, header: &Header) -> Option<Why> {
        let root = self.root.filter(|root| *root != header.tag.cast_unsigned());
        if let Some(root) = root {
            return Some(Why::Root(header.tag.cast_unsigned(), root));
        }
        let theirs = usize::from(header.call >> 5).checked_sub(1);
        let theirs = theirs.and_then(|place| Op::ALL.get(place).copied());
        match (theirs, self.op) {
            (Some(theirs), Some(ours)) if theirs != ours => Some(Why::Op(theirs, ours)),
            _ => None,
        }
    }
}

/// A receive under way, of a thread that waits for it.
pub struct Want<'a> {
    pub wanted: Wanted,
    pub call: Call,
    /// Of a collective: what all members come with.
    pub terms: Terms,
    pub kind: Kind,
    pub name: &'a [u8],
    pub sink: Sink,
    /// Where its message is, or comes to be.
    pub placed: *mut u8,
    pub state: WantState,
}

#[derive(Debug)]
pub enum WantState {
    Open,
    /// Its message is coming.
    Bound,
    Done(Got),
    /// Its message is none that it can take; that one stays.
    Refused(Refusal),
}

/// A message that is not received as what it was sent.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub from: u32,
    pub header: Header,
    pub name: Vec<u8>,
    pub why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its type is another.
    Type,
    /// It has another length than there is room for.
    Length,
    /// Its collective call has another root than this one's: that, and this one's.
    Root(u32, u32),
    /// The same of operations.
    Op(Op, Op),
}

/// Memory for a message's bytes.
#[derive(Clone, Copy)]
pub struct Target {
    pub to: *mut u8,
    pub fold: Option<(*const u8, Fold)>,
}

impl Target {
    /// Takes bytes that belong `at` bytes into the message.
    ///
    /// # Safety
    /// The target is as long as the message.
    #[inline]
    pub unsafe fn take(&self, at: u64, from: *const u8, count: usize) {
        // SAFETY: promised by the caller.
        unsafe {
            let to = self.to.add(at as usize);
            match self.fold {
                None => std::ptr::copy_nonoverlapping(from, to, count),
                Some((with, fold)) => fold(to, with.add(at as usize), from, count),
            }
        }
    }
}

impl Want<'_> {
    pub fn is_open(&self) -> bool {
        matches!(self.state, WantState::Open)
    }

    /// Where a message that it matches is to go. Otherwise the want is refused, and the message stays; that of another
    /// collective call stays too, and the want waits on: who makes which call is told when all have come to a stop.
    #[inline]
    pub fn open(
        &mut self,
        from: u32,
        header: &Header,
        name: impl FnOnce() -> Vec<u8>,
    ) -> Option<Target> {
        let is_it = match self.wanted.collective {
            0 => true,
            _ => header.call & CALL == self.call as u8 + 1,
        };
        if !is_it {
            return None;
        }
        let differs = match self.wanted.collective {
            0 => None,
            _ => self.terms.refuse(header),
        };
        let is_kind = header.kind() == self.kind || self.kind == Kind::NOTHING;
        let (why, name) = if let Some(why) = differs {
            (why, Vec::new())
        } else if !is_kind {
            (Why::Type, name())
        } else {
            let is_named = self.kind == Kind::ENCODED;
            let name = if is_named { name() } else { Vec::new() };
            if is_named && !same_name(&name, self.name) {
                (Why::Type, name)
            } else if let Some(target) = self.target(header.total) {
                self.placed = target.to;
                return Some(target);
            } else {
                (Why::Length, name)
            }
        };
        self.state = WantState::Refused(Refusal {
            from,
            header: *header,
            name,
            why,
        });
        None
    }

    fn target(&self, total: u64) -> Option<Target> {
        let plain = |to| Target { to, fold: None };
        match self.sink {
            Sink::Room(into, part) => {
                let to = into.room(part, total);
                (!to.is_null()).then(|| plain(to))
            }
            Sink::Memory(to, room) => (room == total).then(|| plain(to)),
            Sink::Fold(to, with, room, fold) => (room == total).then_some(Target {
                to,
                fold: Some((with, fold)),
            }),
            Sink::None => (total == 0).then(|| plain(std::ptr::dangling_mut())),
        }
    }

    pub fn done(&mut self, from: u32, header: &Header) {
        self.state = WantState::Done(Got {
            from,
            tag: header.tag,
            bytes: header.total,
        });
    }
}

/// Longer names are cut.
pub const LONGEST_NAME: usize = 255;

/// Whether what was sent as the one type can be received as the other: what is borrowed travels as what is owned.
pub fn same_name(a: &[u8], b: &[u8]) -> bool {
    let cut = |name: &[u8]| name[..name.len().min(LONGEST_NAME)].to_vec();
    a == b || cut(&owned(a)) == cut(&owned(b))
}

/// A type that may be borrowed, as what is received of it.
pub fn owned(mut name: &[u8]) -> Vec<u8> {
    while let Some(rest) = name.strip_prefix(b"&") {
        name = rest;
    }
    let slice = name
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"))
        .filter(|inner| !inner.windows(2).any(|two| two == b"; "));
    match slice {
        Some(inner) => [b"alloc::vec::Vec<", inner, b">"].concat(),
        None if name == b"str" => b"alloc::string::String".to_vec(),
        None => name.to_vec(),
    }
}

/// A message that has come as a whole.
pub struct Message {
    /// The how manyth of all that came to the rank.
    pub number: u64,
    pub from: u32,
    pub header: Header,
    pub name: Vec<u8>,
    pub data: Vec<u8>,
}

impl Message {
    /// Gives it to a want that it matches; true when that has taken it.
    pub fn give(&self, want: &mut Want<'_>) -> bool {
        let Some(target) = want.open(self.from, &self.header, || self.name.clone()) else {
            return false;
        };
        // SAFETY: the target was made for the message's length.
        unsafe { target.take(0, self.data.as_ptr(), self.data.len()) };
        want.done(self.from, &self.header);
        true
    }
}

/// A receive that was posted and is waited for later.
pub struct Posted {
    pub request: u64,
    pub wanted: Wanted,
    /// It has its message, or that one is coming.
    pub bound: bool,
    pub message: Option<Message>,
}

impl Header {
    /// Of what an `ssend` has sent: its number.
    #[inline]
    pub fn synchronous(&self) -> Option<u32> {
        (self.call == Self::SSEND && self.collective == 0).then_some(self.run)
    }

    /// The call of an `ssend`, and of its answer.
    pub const SSEND: u8 = Call::Ssend as u8 + 1;

    /// The collective call that it is of.
    pub fn collective_call(&self) -> Option<Call> {
        let place = usize::from(self.call & CALL).checked_sub(1)?;
        Call::ALL.get(place).copied()
    }

    pub fn kind(&self) -> Kind {
        Kind(self.kind.into())
    }

    /// Where it was sent.
    pub fn place(&self) -> Option<Place> {
        (self.line > 0).then_some(Place {
            cell: CellId(self.cell),
            line: self.line.into(),
        })
    }

    /// The type as its user calls it.
    pub fn type_name(&self, name: &[u8]) -> String {
        match self.kind() {
            Kind::ENCODED => String::from_utf8_lossy(name).into_owned(),
            kind => kind.text(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_borrowed_is_received_as_what_is_owned() {
        let same = |a: &str, b: &str| same_name(a.as_bytes(), b.as_bytes());
        assert!(same("str", "alloc::string::String"));
        assert!(same("&ctx::Shape", "ctx::Shape"));
        assert!(same("[ctx::Shape]", "alloc::vec::Vec<ctx::Shape>"));
        assert!(!same("[ctx::Shape; 2]", "alloc::vec::Vec<ctx::Shape>"));
        assert!(!same("(u8, u8)", "(u8, i8)"));
        let long = "x".repeat(LONGEST_NAME);
        assert!(same(&format!("{long}a"), &format!("{long}b")));
    }
}
