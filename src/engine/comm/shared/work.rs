//! What a thread does until it is done, step by step.

use regatta_cell::comm::table::Got;

use super::{Outgoing, Peer, Shared, Whose, Work};
use crate::engine::comm::Request;
use crate::engine::comm::matching::{Message, Posted, Want, WantState, Wanted};
use crate::engine::comm::ring::Header;
use crate::wire::world::{Call, Met};

impl Shared {
    /// Moves what can move. True when the work is done.
    #[inline]
    pub(in crate::engine::comm) fn step(&mut self, work: &mut Work<'_, '_>, all: bool) -> bool {
        let mut done = true;
        if let Some(sending) = &mut work.sending
            && !sending.done
        {
            done &= self.push(sending);
        }
        if let Some(want) = &mut work.want
            && want.is_waiting()
        {
            match want.wanted.from {
                Some(from) if from != self.rank => {
                    self.pump(from, &mut Some(want));
                }
                Some(_) => {}
                None => {
                    self.pump_all(&mut Some(want));
                }
            }
            done &= !want.is_waiting();
        }
        if work.request != 0 || work.flush || work.probe.is_some() || !work.any.is_empty() {
            done &= self.step_posted(work);
        }
        if all && !done {
            self.pump_all(&mut work.want.as_deref_mut());
            for to in 0..self.world.size() {
                if self.peers[to as usize]
                    .as_ref()
                    .is_some_and(|peer| !peer.out.is_empty())
                {
                    self.push_out(to);
                }
            }
            // That may have been what was missing.
            return self.step(work, false);
        }
        done
    }

    pub(super) fn step_posted(&mut self, work: &mut Work<'_, '_>) -> bool {
        self.pump_all(&mut None);
        let mut out = false;
        for to in 0..self.world.size() {
            if self.peers[to as usize]
                .as_ref()
                .is_some_and(|peer| !peer.out.is_empty())
            {
                self.push_out(to);
                out |= self
                    .peer(to)
                    .out
                    .iter()
                    .any(|it| it.request == work.request || work.flush);
            }
        }
        if let Some(wanted) = work.probe {
            work.probed = self.probed(&wanted);
            return work.probed.is_some();
        }
        if !work.any.is_empty() {
            return work.any.iter().any(|request| self.is_done(*request));
        }
        let missing = self
            .posted
            .iter()
            .any(|it| it.request == work.request && it.message.is_none());
        !out && !missing
    }

    /// Whether a posted request needs no more waiting.
    pub(super) fn is_done(&self, request: Request) -> bool {
        let is_going = |peer: &Peer| peer.out.iter().any(|it| it.request == request);
        let is_missing = |it: &Posted| it.request == request && it.message.is_none();
        request != 0
            && !self.peers.iter().flatten().any(|peer| is_going(peer))
            && !self.posted.iter().any(is_missing)
    }

    pub(super) fn probed(&mut self, wanted: &Wanted) -> Option<Got> {
        let got = |from: u32, header: &Header| Got {
            from,
            tag: header.tag,
            bytes: header.total,
        };
        let fits = |message: &&Message| wanted.is(message.from, &message.header);
        if let Some(message) = self.queue.iter().find(fits) {
            return Some(got(message.from, &message.header));
        }
        let comes = (0..).zip(&self.peers).find_map(|(from, peer)| {
            let partial = peer.as_ref()?.partial.as_ref()?;
            let is_free = matches!(partial.whose, Whose::Queue(_));
            (is_free && wanted.is(from, &partial.header)).then(|| got(from, &partial.header))
        })?;
        match self.gives_up(comes.from) {
            true => self.probed(wanted),
            false => Some(comes),
        }
    }

    /// The ranks for which the work waits.
    pub(in crate::engine::comm) fn waits_on(&self, work: &Work<'_, '_>) -> Vec<u32> {
        let mut on = Vec::new();
        if let Some(sending) = &work.sending
            && !sending.done
        {
            on.push(sending.to);
        }
        if let Some(want) = &work.want
            && want.is_waiting()
        {
            on.extend(self.senders_to(want));
        }
        if let Some(probe) = &work.probe {
            self.add_senders(probe, &mut on);
        }
        let is_one = |request: Request| request == work.request || work.any.contains(&request);
        for it in self.posted.iter().filter(|it| is_one(it.request)) {
            self.add_senders(&it.wanted, &mut on);
        }
        for (to, peer) in (0..).zip(&self.peers) {
            let is_of = |it: &Outgoing| is_one(it.request) || work.flush;
            if peer.as_ref().is_some_and(|peer| peer.out.iter().any(is_of)) {
                on.push(to);
            }
        }
        on.sort_unstable();
        on.dedup();
        on
    }

    /// Members whose messages say that they make another call as this one, the communicator's so many-th.
    pub(in crate::engine::comm) fn met(&self, call: Call, comm: u32, number: u32) -> Vec<Met> {
        let of = |from: u32, header: &Header| {
            let is_it =
                header.comm == comm && header.collective == number && header.run == self.run as u32;
            let call = { header.collective_call() }.filter(|other| is_it && *other != call)?;
            let (rank, place) = (from, header.place());
            Some(Met { rank, call, place })
        };
        let came = self.queue.iter().map(|it| (it.from, &it.header));
        let coming = (0..).zip(&self.peers).filter_map(|(from, peer)| {
            let partial = peer.as_ref()?.partial.as_ref()?;
            Some((from, &partial.header))
        });
        let mut met: Vec<Met> = came
            .chain(coming)
            .filter_map(|(from, header)| of(from, header))
            .collect();
        met.sort_by_key(|met| met.rank);
        met.dedup_by_key(|met| met.rank);
        met
    }

    /// Who may send what a thread waits for.
    pub(in crate::engine::comm) fn senders_to(&self, want: &Want<'_>) -> Vec<u32> {
        let mut on = Vec::new();
        match want.state {
            // What has begun to come is its sender's to finish.
            WantState::Bound => on.extend(self.sender_of_want()),
            _ => self.add_senders(&want.wanted, &mut on),
        }
        on
    }

    /// Who may send what is wanted.
    pub(super) fn add_senders(&self, wanted: &Wanted, to: &mut Vec<u32>) {
        match (wanted.from, self.comms.get(&wanted.comm)) {
            (Some(rank), _) => to.push(rank),
            (None, Some(comm)) => {
                // Who is alone waits for itself.
                let alone = comm.members.len() == 1;
                let others = { comm.members.iter() }.filter(|rank| alone || **rank != self.rank);
                to.extend(others);
            }
            (None, None) => {}
        }
    }

    pub(super) fn sender_of_want(&self) -> Option<u32> {
        let is_wants = |peer: &Option<Box<Peer>>| {
            let partial = peer.as_ref().and_then(|peer| peer.partial.as_ref());
            partial.is_some_and(|partial| matches!(partial.whose, Whose::Want(_)))
        };
        let at = self.peers.iter().position(is_wants)?;
        u32::try_from(at).ok()
    }

    /// The waiting thread goes away: what was coming for it is nobody's.
    pub(in crate::engine::comm) fn let_go(&mut self) {
        for peer in self.peers.iter_mut().flatten() {
            if let Some(partial) = &mut peer.partial
                && matches!(partial.whose, Whose::Want(_))
            {
                partial.whose = Whose::Nobody;
            }
        }
    }
}
