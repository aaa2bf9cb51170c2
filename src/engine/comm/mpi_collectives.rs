//! Calls that all ranks of an MPI pool make together: MPI's own, of numbers as numbers.

use std::ffi::c_int;

use regatta_cell::comm::table::{Envelope, Kind, NULL, Op, Reduction, UNDEFINED};

use super::meeting::Brings;
use super::mpi::Mpi;
use super::mpi_parts::Collective;
use super::shared::{Comm, Shared};
use super::{Into, Trouble, words};
use crate::wire::monotonic;
use crate::wire::world::{Call, CommTold};

impl Mpi {
    /// The root of a call.
    pub(super) fn root(&self, call: Call, of: &Envelope) -> Result<c_int, Trouble> {
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
    pub(super) fn other_kind(
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
        self.arrive(Brings::call(Call::Barrier), of)?;
        // SAFETY: the communicator is one of the shim's.
        let code = unsafe { (self.library.shim.barrier)(of.comm as c_int) };
        self.checked(Call::Barrier, code)
    }

    /// Notes what a call gives to a rank of its communicator; how MPI carries it is MPI's affair.
    pub(super) fn count_together(&self, of: &Envelope, to: u32, bytes: u64) {
        let members = { self.book.comms.get(&of.comm) }.map(|comm| &comm.members);
        if let Some(to) = members.and_then(|members| members.get(to as usize))
            && *to != self.book.rank
        {
            self.book.count_collective(*to, bytes);
        }
    }

    /// A call of MPI's that all have come to: what it takes is time for the others.
    pub(super) fn together(&self, call: impl FnOnce() -> c_int) -> c_int {
        let began = monotonic();
        let code = call();
        self.book.note(began, monotonic(), false);
        code
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
        let comm = self.book.comm(of.comm)?;
        let (is_root, ranks) = (comm.rank.cast_signed() == root, comm.members.len() as u32);
        self.arrive(Brings::to_root(call, of.peer).values(of), of)?;
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
        let is_refused = to.is_null();
        let to = match is_refused {
            true => {
                aside.resize(total as usize, 0);
                aside.as_mut_ptr()
            }
            false => to,
        };
        let number = Self::number(kind as u32);
        for to in 0..if is_root { ranks } else { 0 } {
            self.count_together(of, to, total);
        }
        let code = self.together(|| unsafe {
            // SAFETY: the room was made for so many bytes.
            (self.library.shim.broadcast)(of.comm as c_int, to, total, number, root)
        });
        self.checked(call, code)?;
        wrong?;
        match is_refused {
            false => Ok(()),
            true => Err(words::of(
                call,
                "the value has another length than there is room for",
            )),
        }
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
        let brings = Brings {
            call,
            root: (who == Reduction::Root).then_some(of.peer),
            op: Some(op),
            kind: of.kind,
            bytes: numbers.len() as u64,
            name: 0,
        };
        self.arrive(brings, of)?;
        let comm = self.book.comm(of.comm)?;
        let takers = match who {
            Reduction::Root => of.peer..of.peer + 1,
            Reduction::All => 0..comm.members.len() as u32,
            Reduction::Scan | Reduction::Before => comm.rank..comm.members.len() as u32,
        };
        for to in takers {
            self.count_together(of, to, numbers.len() as u64);
        }
        let number = Self::number(of.kind.0);
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
        let code = self.together(|| unsafe {
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
        });
        self.checked(call, code)
    }

    pub(super) fn divide(&mut self, of: &Envelope, color: u32, key: i64) -> Result<u32, Trouble> {
        let call = Call::Split;
        let ranks = self.book.comm(of.comm)?.members.len();
        self.arrive(Brings::call(call), of)?;
        // MPI's own colors and keys are less than 2^31; so it gets their places among all of them.
        let mut said = vec![0; 2 * ranks];
        let how = Collective::AllGather as c_int;
        let given = [u64::from(color), key.cast_unsigned()];
        self.words(call, of, how, &given, &mut said, 2, 0)?;
        let place = |number: i64, at: usize| -> c_int {
            let all = said.iter().skip(at).step_by(2).map(|it| it.cast_signed());
            all.filter(|it| *it < number).count() as c_int
        };
        let key = place(key, 1);
        let color = match color {
            UNDEFINED => -1,
            color => place(i64::from(color), 0),
        };
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
        if color < 0 {
            return Ok(NULL);
        }
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
