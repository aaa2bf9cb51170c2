//! Connections that engines open to a service of the hub, beside their own to the hub: user code reaches the service
//! through them, from any engine. A service has one to itself while it is in use; otherwise it waits here.

use super::event::{Asked, PoolEvent};
use super::hub::State;
use crate::ids::EngineId;
use crate::wire::{Channel, Payload, Service};

/// One that waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(u64);

pub struct Connection {
    pub owner: EngineId,
    pub service: Service,
    pub channel: Channel,
}

impl Connection {
    pub fn new(owner: EngineId, service: Service, channel: Channel) -> Self {
        Self {
            owner,
            service,
            channel,
        }
    }
}

impl State {
    /// An engine has opened a connection.
    pub(super) fn add_connection(&mut self, owner: EngineId, service: Service, payload: Payload) {
        // Without an answer it is told by the connection's end.
        if let Some(socket) = payload.into_file() {
            let channel = Channel::new(socket.into());
            if channel.set_nonblocking().is_ok() {
                self.hear(Connection::new(owner, service, channel));
            }
        }
    }

    pub(super) fn connection_ready(&mut self, id: ConnectionId) {
        if let Some(mut connection) = self.connections.remove(&id)
            && connection.channel.fill().is_none()
        {
            self.hear(connection);
        }
    }

    fn hear(&mut self, connection: Connection) {
        self.unheard.push_back(connection);
        self.hear_due();
    }

    /// What was said on connections that have just been opened, have something to say or are free again: their services
    /// go on with them.
    pub(super) fn hear_due(&mut self) {
        while let Some(connection) = self.unheard.pop_front() {
            match connection.service {
                Service::Map => self.hear_for_maps(connection),
                // Not the hub's: the session has them.
                Service::Children => {
                    let asked = Asked(connection.channel);
                    self.emit(connection.owner, PoolEvent::Children(asked));
                }
            }
        }
    }

    /// Nothing has been said on it.
    pub(super) fn wait_for(&mut self, connection: Connection) {
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.insert(id, connection);
    }
}
