//! Calls that all ranks of an MPI pool make together: MPI's own, of numbers as numbers. The lengths of parts are
//! exchanged first, with what they are.

use std::ffi::c_int;

use regatta_cell::comm::table::{Envelope, Kind, Op, Reduction};

use super::mpi::Mpi;
use super::shared::{Comm, Shared};
use super::{Into, Trouble, words};
use crate::wire::world::{Call, CommTold};

/// As the shim numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collective {
    Scatter = 1,
    Gather = 2,
    AllGather = 3,
    AllToAll = 4,
}

/// How long parts are, and where they begin, counted in numbers.
struct Rows {
    counts: Vec<c_int>,
    at: Vec<c_int>,
    total: usize,
}

impl Rows {
    fn of(call: Call, bytes: impl Iterator<Item = u64>, size: u64) -> Result<Self, Trouble> {
        let (mut counts, mut at, mut total) = (Vec::new(), Vec::new(), 0_u64);
        for bytes in bytes {
            let too_much = |_| {
                words::of(
                    call,
                    "MPI moves less than 2^31 numbers in one call: use several",
                )
            };
            at.push(c_int::try_from(total / size).map_err(too_much)?);
            counts.push(c_int::try_from(bytes / size).map_err(too_much)?);
            total += bytes;
        }
        Ok(Self {
            counts,
            at,
            total: total as usize,
        })
    }
}

impl Mpi {
    fn number_of(of: &Envelope) -> (c_int, u64) {
        let number = of.kind.number();
        number.map_or((0, 1), |number| (number as c_int, number.size() as u64))
    }

    /// The root of a call.
    fn root(&self, call: Call, of: &Envelope) -> Result<c_int, Trouble> {
        let size = self.book.comm(of.comm)?.members.len();
        match (of.peer as usize) < size {
            true => Ok(of.peer.cast_signed()),
            false => Err(words::of(
                call,
                &format!(
                    "there is no rank {}: the ranks are 0 to {}",
                    of.peer,
                    size - 1
                ),
            )),
        }
    }

    /// Numbers of eight bytes, exchanged in the same way as what follows.
    #[expect(clippy::too_many_arguments, reason = "what MPI's own calls take")]
    pub(super) fn words(
        &self,
        call: Call,
        of: &Envelope,
        how: c_int,
        from: &[u64],
        to: &mut [u64],
        each: c_int,
        root: c_int,
    ) -> Result<(), Trouble> {
        // SAFETY: both are as long as their ranks and `each` say.
        let code = unsafe {
            let words = self.library.shim.words;
            words(
                of.comm as c_int,
                how,
                from.as_ptr(),
                to.as_mut_ptr(),
                each,
                root,
            )
        };
        self.checked(call, code)
    }

    /// What another rank has given is none of what this one takes.
    fn other_kind(
        &mut self,
        call: Call,
        of: &Envelope,
        from: u32,
        kind: u64,
    ) -> Result<(), Trouble> {
        let kind = Kind(kind as u32);
        if kind == of.kind {
            return Ok(());
        }
        // SAFETY: it is the name of a type, in the artifact's memory.
        let name = String::from_utf8_lossy(unsafe { of.name.as_slice() }).into_owned();
        let text = |kind: Kind, own: &str| match kind.text() {
            text if text.is_empty() => own.to_owned(),
            text => text,
        };
        let from = self.book.comm(of.comm)?.members[from as usize];
        Err(Trouble::Told(Box::new(CommTold::Mismatch {
            call,
            from,
            tag: 0,
            sent: text(kind, "a value of serde's"),
            sent_at: None,
            wanted: text(of.kind, &name),
            wanted_at: Shared::place(&mut self.book, of),
        })))
    }

    pub(super) fn meet(&mut self, of: &Envelope) -> Result<(), Trouble> {
        self.arrive(Call::Barrier, of)?;
        // SAFETY: the communicator is one of the shim's.
        let code = unsafe { (self.library.shim.barrier)(of.comm as c_int) };
        self.checked(Call::Barrier, code)
    }

    /// A broadcast.
    pub(super) fn spread(
        &mut self,
        of: &Envelope,
        value: &[u8],
        into: Into,
    ) -> Result<(), Trouble> {
        let call = Call::Broadcast;
        let root = self.root(call, of)?;
        let is_root = self.book.comm(of.comm)?.rank.cast_signed() == root;
        self.arrive(call, of)?;
        let mut about = [value.len() as u64, u64::from(of.kind.0)];
        self.words(call, of, 0, &[], &mut about, 2, root)?;
        let [total, kind] = about;
        let wrong = self.other_kind(call, of, root.unsigned_abs(), kind);
        let mut aside = Vec::new();
        let to = match (&wrong, is_root) {
            // MPI only reads the root's.
            (_, true) => value.as_ptr().cast_mut(),
            (Ok(()), false) => into.room(0, total),
            (Err(_), false) => std::ptr::null_mut(),
        };
        let to = match to.is_null() {
            true => {
                aside.resize(total as usize, 0);
                aside.as_mut_ptr()
            }
            false => to,
        };
        let number = Kind(kind as u32)
            .number()
            .map_or(0, |number| number as c_int);
        // SAFETY: the room was made for so many bytes.
        let code =
            unsafe { (self.library.shim.broadcast)(of.comm as c_int, to, total, number, root) };
        self.checked(call, code)?;
        wrong?;
        match aside.is_empty() {
            true => Ok(()),
            false => Err(words::of(
                call,
                "the value has another length than there is room for",
            )),
        }
    }

    /// Parts from ranks to ranks.
    pub(super) fn exchange(
        &mut self,
        how: Collective,
        of: &Envelope,
        parts: &[&[u8]],
        into: Into,
    ) -> Result<(), Trouble> {
        let (call, has_root) = match how {
            Collective::Scatter => (Call::Scatter, true),
            Collective::Gather => (Call::Gather, true),
            Collective::AllGather => (Call::AllGather, false),
            Collective::AllToAll => (Call::AllToAll, false),
        };
        let Comm { members, rank, .. } = self.book.comm(of.comm)?;
        let (ranks, rank) = (members.len(), *rank);
        let root = match has_root {
            true => self.root(call, of)?,
            false => 0,
        };
        let is_root = rank.cast_signed() == root;
        let (number, size) = Self::number_of(of);
        // Lengths and kinds.
        let given: Vec<u64> = parts
            .iter()
            .flat_map(|part| [part.len() as u64, u64::from(of.kind.0)])
            .collect();
        let comes = match how {
            Collective::Scatter => 1,
            Collective::Gather if !is_root => 0,
            _ => ranks,
        };
        if matches!(how, Collective::AllToAll) && parts.len() != ranks
            || how == Collective::Scatter && is_root && parts.len() != ranks
        {
            return Err(words::of(
                call,
                &format!("{} parts for {ranks} ranks", parts.len()),
            ));
        }
        self.arrive(call, of)?;
        let mut about = vec![0; 2 * comes.max(1)];
        self.words(call, of, how as c_int, &given, &mut about, 2, root)?;
        about.truncate(2 * comes);
        let lengths = about.iter().step_by(2).copied();
        let goes = Rows::of(call, parts.iter().map(|part| part.len() as u64), size)?;
        let takes = Rows::of(call, lengths.clone(), size)?;
        // Of one part the bytes are where they are.
        let joined: Vec<u8>;
        let from = match parts {
            [one] => one.as_ptr(),
            _ => {
                joined = parts.concat();
                joined.as_ptr()
            }
        };
        let mut arrived = vec![0_u8; takes.total];
        let none = [0];
        let or = |row: &[c_int]| {
            if row.is_empty() {
                none.as_ptr()
            } else {
                row.as_ptr()
            }
        };
        // SAFETY: the rows say how long what they are of is.
        let code = unsafe {
            (self.library.shim.parts)(
                of.comm as c_int,
                how as c_int,
                number,
                from,
                or(&goes.counts),
                or(&goes.at),
                arrived.as_mut_ptr(),
                or(&takes.counts),
                or(&takes.at),
                root,
            )
        };
        self.checked(call, code)?;
        for (place, kind) in (0..).zip(about.iter().skip(1).step_by(2)) {
            let from = match how {
                Collective::Scatter => root.unsigned_abs(),
                _ => place,
            };
            self.other_kind(call, of, from, *kind)?;
        }
        let mut rest = arrived.as_slice();
        for (place, length) in (0..).zip(lengths) {
            let (part, others) = rest.split_at(length as usize);
            rest = others;
            let to = into.room(place, length);
            if to.is_null() {
                return Err(words::of(
                    call,
                    "a part has another length than there is room for",
                ));
            }
            // SAFETY: the room was made for so many bytes.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len()) };
        }
        Ok(())
    }

    /// Numbers, one by one.
    pub(super) fn fold(
        &mut self,
        of: &Envelope,
        who: Reduction,
        op: Op,
        numbers: &[u8],
        to: *mut u8,
    ) -> Result<(), Trouble> {
        let call = Call::from(who);
        let root = match who {
            Reduction::Root => self.root(call, of)?,
            _ => 0,
        };
        self.arrive(call, of)?;
        let (number, _) = Self::number_of(of);
        // Nothing comes to the first rank of an exscan; MPI wants a place all the same.
        let mut nothing = Vec::new();
        let to = match who {
            Reduction::Before if to.is_null() => {
                nothing.resize(numbers.len().max(1), 0_u8);
                nothing.as_mut_ptr()
            }
            _ => to,
        };
        // SAFETY: `to` has room for as many numbers, where they come.
        let code = unsafe {
            let reduce = self.library.shim.reduce;
            let (from, length) = (numbers.as_ptr(), numbers.len() as u64);
            reduce(
                of.comm as c_int,
                who as c_int,
                op as c_int,
                number,
                from,
                to,
                length,
                root,
            )
        };
        self.checked(call, code)
    }

    pub(super) fn divide(&mut self, of: &Envelope, color: u32, key: i64) -> Result<u32, Trouble> {
        let call = Call::Split;
        let ranks = self.book.comm(of.comm)?.members.len();
        let (Ok(color), Ok(key)) = (c_int::try_from(color), c_int::try_from(key)) else {
            return Err(words::of(call, "MPI's colors and keys are less than 2^31"));
        };
        self.arrive(call, of)?;
        let mut members = vec![0; ranks];
        let (mut number, mut rank, mut size) = (0, 0, 0);
        // SAFETY: there is room for as many members as the communicator has that is split.
        let code = unsafe {
            let split = self.library.shim.split;
            let of = of.comm as c_int;
            split(
                of,
                color,
                key,
                &raw mut number,
                &raw mut rank,
                &raw mut size,
                members.as_mut_ptr(),
            )
        };
        self.checked(call, code)?;
        let members = members.into_iter().take(size.unsigned_abs() as usize);
        let local = number.unsigned_abs();
        let comm = Comm {
            context: local,
            members: members.map(i32::unsigned_abs).collect(),
            rank: rank.unsigned_abs(),
            calls: 0,
        };
        self.book.comms.insert(local, comm);
        self.name(call, of, local)?;
        Ok(local)
    }
}
