//! The session's store: its own, or the one that a session above it has named in its environment.

use regatta_cell::store::call::{ADDRESS, Call, Reply, Trouble};

use super::Session;
use crate::store::redis::private::Private;
use crate::store::{Server, Store, connect};

/// Where the values are.
#[derive(Default)]
pub(super) struct Shared {
    /// The session's own one, unless it takes part in another's.
    pub own: Option<Server>,
    pub client: Option<Box<dyn Store>>,
    /// A Redis server that runs for this session.
    pub private: Option<Private>,
}

impl Shared {
    /// Takes part in the store that the environment names, if somebody serves it, or begins an own one.
    pub fn start() -> std::io::Result<Self> {
        if let Ok(address) = std::env::var(ADDRESS)
            && let Ok(mut client) = connect(&address)
        {
            let key = String::new();
            let reply = client.call(&Call::Len { key }, &|| false);
            if !matches!(reply, Reply::Failed(Trouble::Unavailable { .. })) {
                let client = Some(client);
                return Ok(Self {
                    client,
                    ..Self::default()
                });
            }
        }
        let own = Some(Server::start()?);
        Ok(Self {
            own,
            ..Self::default()
        })
    }

    /// By which engines and children find it; `None`: by what the environment says already.
    pub fn address(&self) -> Option<&str> {
        self.own.as_ref().map(Server::address)
    }
}

impl Session {
    /// Tells engines and commands where the store is.
    pub(super) fn name_store(&mut self) {
        if let Some(address) = self.shared.address().map(str::to_owned) {
            self.surroundings.set(ADDRESS, Some(&address));
            self.crew.hub().set_environment(ADDRESS, Some(&address));
        }
    }

    /// Makes a call of the store for the prompt; a wait ends with Ctrl-C.
    pub fn store(&mut self, call: &Call) -> Reply {
        let address = self.environment_variable(ADDRESS);
        let client = match &mut self.shared.client {
            Some(client) => client,
            none => match address.ok_or(Trouble::NoStore).and_then(|at| connect(&at)) {
                Ok(client) => none.insert(client),
                Err(trouble) => return Reply::Failed(trouble),
            },
        };
        let interrupt = self.crew.interrupt();
        let reply = client.call(call, &|| interrupt.is_pressed());
        if reply == Reply::Interrupted {
            let _ = interrupt.take();
        }
        reply
    }
}
