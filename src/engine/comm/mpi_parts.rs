//! Parts from ranks to ranks of an MPI pool. Their lengths are exchanged first, with what they are. Short ones go by
//! MPI's own collective call; each of the others is a message from the sender's memory to the receiver's, and as long as
//! it likes: MPI's calls move less than 2^31 of anything. Numbers go as numbers of MPI's; what is of another type than is
//! expected is taken as bytes, and told.

use std::ffi::{c_int, c_void};

use regatta_cell::comm::table::{Envelope, Kind, Number};

use super::meeting::Brings;
use super::mpi::Mpi;
use super::mpi_sending::{LONGEST, end_all};
use super::{Into, Trouble, words};
use crate::wire::world::{Call, MOST_RANKS};

/// As the shim numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collective {
    Scatter = 1,
    Gather = 2,
    AllGather = 3,
    AllToAll = 4,
}

/// Parts of more bytes go by themselves: sender and receiver both know of which these are.
const LONG: u64 = 1 << 20;
const _: () = assert!(LONG * (MOST_RANKS as u64) < 1 << 31, "MPI counts so far");

/// No body of a message has this tag.
const TAG: c_int = 0;

fn is_long(bytes: u64) -> bool {
    bytes > LONG
}

/// As what MPI is told of them that parts go and come.
#[derive(Clone, Copy)]
struct Unit {
    /// As the shim numbers the types; 0: bytes.
    number: c_int,
    /// Of one, bytes.
    size: u64,
}

impl Unit {
    fn of(kind: Kind) -> Self {
        Self {
            number: Mpi::number(kind.0),
            size: kind.number().map_or(1, Number::size) as u64,
        }
    }

    const BYTE: Self = Self { number: 0, size: 1 };
}

/// How long the short parts are, and where they begin, in units.
struct Rows {
    counts: Vec<c_int>,
    at: Vec<c_int>,
    total: usize,
}

impl Rows {
    fn of(bytes: impl Iterator<Item = u64>, unit: Unit) -> Self {
        let (mut counts, mut at, mut total) = (Vec::new(), Vec::new(), 0);
        for bytes in bytes {
            let count = match is_long(bytes) {
                true => 0,
                false => (bytes / unit.size) as c_int,
            };
            at.push(total);
            counts.push(count);
            total += count;
        }
        // One number is read also where there are none.
        if counts.is_empty() {
            (counts, at) = (vec![0], vec![0]);
        }
        Self {
            counts,
            at,
            total: total.unsigned_abs() as usize * unit.size as usize,
        }
    }
}

/// A part that comes.
struct Part {
    /// Its sender, a rank of the communicator.
    from: u32,
    bytes: u64,
    kind: u64,
}

impl Mpi {
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
        let comm = self.book.comm(of.comm)?;
        let (ranks, rank) = (comm.members.len(), comm.rank);
        let root = if has_root { self.root(call, of)? } else { 0 };
        let is_root = rank.cast_signed() == root;
        let deals = how == Collective::AllToAll || how == Collective::Scatter && is_root;
        if deals && parts.len() != ranks {
            let given = parts.len();
            let what = format!("there are {given} parts for {ranks} ranks: it takes one for each");
            return Err(words::of(call, &what));
        }
        let brings = match has_root {
            true => Brings::to_root(call, of.peer),
            false => Brings::call(call),
        };
        self.arrive(brings.values(of), of)?;
        // Lengths and kinds.
        let given: Vec<u64> = { parts.iter() }
            .flat_map(|part| [part.len() as u64, u64::from(of.kind.0)])
            .collect();
        let comes = match how {
            Collective::Scatter => 1,
            Collective::Gather if !is_root => 0,
            _ => ranks,
        };
        let mut about = vec![0; 2 * comes.max(1)];
        self.words(call, of, how as c_int, &given, &mut about, 2, root)?;
        about.truncate(2 * comes);
        let coming: Vec<Part> = { (0..).zip(about.chunks(2)) }
            .map(|(place, about)| Part {
                from: if how == Collective::Scatter {
                    of.peer
                } else {
                    place
                },
                bytes: about[0],
                kind: about[1],
            })
            .collect();
        // Room for what comes; null where it is not what is expected.
        let (mut rooms, mut wrong) = (Vec::new(), Ok(()));
        for (place, part) in (0..).zip(&coming) {
            let fits = self.other_kind(call, of, part.from, part.kind);
            let room = match &fits {
                Ok(()) => into.room(place, part.bytes),
                Err(_) => std::ptr::null_mut(),
            };
            let fits = match fits {
                Ok(()) if room.is_null() => Err(words::of(
                    call,
                    "a part has another length than there is room for",
                )),
                fits => fits,
            };
            wrong = wrong.and(fits);
            rooms.push(room);
        }
        let goes: Vec<(u32, &[u8])> = match how {
            Collective::Scatter if !is_root => Vec::new(),
            Collective::Scatter | Collective::AllToAll => {
                (0..).zip(parts.iter().copied()).collect()
            }
            Collective::Gather => vec![(of.peer, parts[0])],
            Collective::AllGather => (0..ranks as u32).map(|to| (to, parts[0])).collect(),
        };
        for (to, data) in &goes {
            self.count_together(of, *to, data.len() as u64);
        }
        let is_same = |part: &Part| Kind(part.kind as u32) == of.kind;
        let unit = match coming.iter().all(is_same) {
            true => Unit::of(of.kind),
            false => Unit::BYTE,
        };
        let mut aside = Vec::new();
        let begun = self.begin_long(of, rank, unit, &goes, &coming, &rooms, &mut aside);
        let short = self.move_short(call, how, of, unit, parts, &coming, root);
        self.end_long(call, begun)?;
        let came = short?;
        let mut rest = came.as_slice();
        for (part, room) in coming.iter().zip(rooms) {
            if is_long(part.bytes) {
                continue;
            }
            let (data, others) = rest.split_at(part.bytes as usize);
            rest = others;
            if !room.is_null() {
                // SAFETY: the room was made for so many bytes.
                unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), room, data.len()) };
            }
        }
        wrong
    }

    /// Short parts; what has come of them, one behind the other.
    #[expect(clippy::too_many_arguments, reason = "what MPI's own calls take")]
    fn move_short(
        &self,
        call: Call,
        how: Collective,
        of: &Envelope,
        unit: Unit,
        parts: &[&[u8]],
        coming: &[Part],
        root: c_int,
    ) -> Result<Vec<u8>, Trouble> {
        let goes = Rows::of(parts.iter().map(|part| part.len() as u64), unit);
        let takes = Rows::of(coming.iter().map(|part| part.bytes), unit);
        let short: Vec<&[u8]> = { parts.iter().copied() }
            .filter(|part| !is_long(part.len() as u64))
            .collect();
        // Of one part the bytes are where they are.
        let joined: Vec<u8>;
        let from = match short[..] {
            [one] => one.as_ptr(),
            _ => {
                joined = short.concat();
                joined.as_ptr()
            }
        };
        let mut came = vec![0_u8; takes.total];
        // SAFETY: the rows say how long what they are of is.
        let code = self.together(|| unsafe {
            (self.library.shim.parts)(
                of.comm as c_int,
                how as c_int,
                unit.number,
                from,
                goes.counts.as_ptr(),
                goes.at.as_ptr(),
                came.as_mut_ptr(),
                takes.counts.as_ptr(),
                takes.at.as_ptr(),
                root,
            )
        });
        self.checked(call, code)?;
        Ok(came)
    }

    /// Long parts are under way from here on. `aside`: room for those that have no other.
    #[expect(clippy::too_many_arguments, reason = "what MPI's own calls take")]
    fn begin_long(
        &self,
        of: &Envelope,
        rank: u32,
        unit: Unit,
        goes: &[(u32, &[u8])],
        coming: &[Part],
        rooms: &[*mut u8],
        aside: &mut Vec<Vec<u8>>,
    ) -> Vec<*mut c_void> {
        let shim = &self.library.shim;
        let comm = of.comm as c_int;
        let mut begun = Vec::new();
        for (part, room) in coming.iter().zip(rooms).filter(|(it, _)| is_long(it.bytes)) {
            if part.from == rank {
                if let Some((_, data)) = goes.iter().find(|(to, _)| *to == rank)
                    && !room.is_null()
                {
                    // SAFETY: the room was made for so many bytes.
                    unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), *room, data.len()) };
                }
                continue;
            }
            let mut to = *room;
            if to.is_null() {
                aside.push(vec![0; part.bytes as usize]);
                to = aside.last_mut().map_or(to, |it| it.as_mut_ptr());
            }
            for at in (0..part.bytes).step_by(LONGEST) {
                let length = (part.bytes - at).min(LONGEST as u64);
                // SAFETY: there is room for so many bytes, until the requests have ended.
                begun.push(unsafe {
                    let from = part.from.cast_signed();
                    (shim.irecv)(comm, 1, to.add(at as usize), length, unit.number, from, TAG)
                });
            }
        }
        for (to, data) in goes {
            if *to == rank || !is_long(data.len() as u64) {
                continue;
            }
            for part in data.chunks(LONGEST) {
                // SAFETY: the bytes are there until the requests have ended.
                begun.push(unsafe {
                    let (length, to) = (part.len() as u64, to.cast_signed());
                    (shim.isend)(comm, 1, part.as_ptr(), length, unit.number, to, TAG)
                });
            }
        }
        begun
    }

    /// They have gone and come: all that they belong to are in this call.
    fn end_long(&self, call: Call, begun: Vec<*mut c_void>) -> Result<(), Trouble> {
        let (code, time) = end_all(self.library, &begun, None);
        self.waited(time, false);
        if begun.iter().any(|handle| handle.is_null()) {
            return Err(words::of(call, "MPI does not take a part"));
        }
        self.checked(call, code)
    }
}
