//! The lines of engines: connections of their own to a service of the hub, which user code reaches through them from
//! any engine. A service has a line to itself while it is in use; otherwise the line waits here.

use super::hub::State;
use crate::ids::EngineId;
use crate::wire::{Channel, Payload, Service};

/// One that waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineId(u64);

pub struct Line {
    pub owner: EngineId,
    pub service: Service,
    pub channel: Channel,
}

impl Line {
    pub fn new(owner: EngineId, service: Service, channel: Channel) -> Self {
        Self {
            owner,
            service,
            channel,
        }
    }
}

impl State {
    /// An engine has opened a line.
    pub(super) fn add_line(&mut self, owner: EngineId, service: Service, payload: Payload) {
        // Without an answer it is told by the connection's end.
        if let Some(socket) = payload.into_file() {
            let channel = Channel::new(socket.into());
            if channel.set_nonblocking().is_ok() {
                self.hear_line(Line::new(owner, service, channel));
            }
        }
    }

    pub(super) fn line_ready(&mut self, id: LineId) {
        if let Some(mut line) = self.lines.remove(&id)
            && line.channel.fill().is_none()
        {
            self.hear_line(line);
        }
    }

    /// Its service goes on with it.
    fn hear_line(&mut self, line: Line) {
        match line.service {
            Service::Map => self.hear_for_maps(line),
        }
    }

    /// Nothing has been said on it.
    pub(super) fn wait_for(&mut self, line: Line) {
        let id = LineId(self.next_line);
        self.next_line += 1;
        self.lines.insert(id, line);
    }
}
