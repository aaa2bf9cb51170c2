//! The store's place: the session's own one, a Redis server that runs somewhere, or one that the session starts.

use regatta_cell::store::call::ADDRESS;

use super::Session;
use super::store::{evicts, unless_interrupted, unreached};
use crate::outcome::{Notice, Report};
use crate::store::Server;
use crate::store::redis::private::{Private, PrivateError};
use crate::store::redis::{About, Address, REDIS_URL, Redis, is_url};

/// Where the store is.
pub enum Place {
    Embedded,
    /// That of another session, which the environment has named.
    Theirs {
        address: String,
    },
    Redis {
        /// Without a password.
        address: String,
        about: About,
        /// The path of the socket, for `redis-cli -s`.
        socket: Option<String>,
        /// The environment has named it when the session began.
        is_given: bool,
    },
}

impl Place {
    /// What whoever goes there is to know.
    pub fn warning(&self) -> Option<Notice> {
        match self {
            Self::Redis { address, about, .. } => evicts(address, about),
            _ => None,
        }
    }
}

impl Session {
    /// Where the store is now.
    pub fn store_place(&mut self) -> Result<Place, Report> {
        match self.environment_variable(ADDRESS) {
            Some(url) if is_url(&url) => {
                let address = Address::parse(&url, None).map_err(|error| unusable(&error))?;
                let about = self.look(&address)?;
                let is_given = self.shared.given.as_deref() == Some(address.url());
                Ok(place(&address, about, is_given))
            }
            Some(address) if self.shared.address() != Some(&address) => {
                Ok(Place::Theirs { address })
            }
            _ => Ok(Place::Embedded),
        }
    }

    /// Goes to a server, with all engines and the scripts that are started from then on.
    pub fn use_redis(&mut self, url: &str, password: Option<&str>) -> Result<Place, Report> {
        let address = Address::parse(url, password).map_err(|error| unusable(&error))?;
        let about = self.look(&address)?;
        self.name_redis(&address)?;
        Ok(place(&address, about, false))
    }

    /// Goes back to the session's own store, which has what it had.
    pub fn use_embedded(&mut self) -> Result<Place, Report> {
        let own = match &mut self.shared.own {
            Some(own) => own,
            none => none.insert(Server::start().map_err(|error| {
                Report::usage(format!("the session's store cannot be started: {error}"))
            })?),
        };
        let address = own.address().to_owned();
        self.set_environment(ADDRESS, Some(&address))?;
        self.set_environment(REDIS_URL, None)?;
        self.shared.client = None;
        Ok(Place::Embedded)
    }

    /// Goes to a server that runs for this session alone, and starts it, unless it runs.
    pub fn start_redis(&mut self, program: Option<&str>) -> Result<Place, Report> {
        let path = self.environment_variable("PATH");
        let fits =
            |private: &Private| program.is_none_or(|program| private.program.starts_with(program));
        let running = self.shared.private.as_ref().filter(|private| fits(private));
        let running = running.and_then(|private| Address::parse(&private.address(), None).ok());
        let running = running.and_then(|address| {
            let about = self.look(&address).ok()?;
            Some((address, about))
        });
        let (address, about) = match running {
            Some(running) => running,
            None => {
                let private =
                    Private::start(program, path.as_deref()).map_err(|error| missing(&error))?;
                let address =
                    Address::parse(&private.address(), None).map_err(|error| unusable(&error))?;
                let about = self.look(&address)?;
                self.shared.private = Some(private);
                (address, about)
            }
        };
        self.name_redis(&address)?;
        Ok(place(&address, about, false))
    }

    /// What the server is; an error when there is none that is of use.
    fn look(&self, address: &Address) -> Result<About, Report> {
        let interrupt = self.crew.interrupt();
        let redis = Redis::at(address.clone());
        let Some(about) = unless_interrupted(interrupt, move || redis.about()) else {
            let _ = interrupt.take();
            let what = format!("Ctrl-C came before the server at {address} had answered");
            return Err(Report::usage(what).hint("the store stays where it was"));
        };
        let about = about.map_err(|trouble| {
            Report::usage(unreached(&trouble))
                .hint("the store stays where it was; `%store start redis` starts a server")
        })?;
        if let Some((why, hint)) = about.unfit() {
            let what = format!("{address} is {about}, {why}");
            return Err(Report::usage(what).hint(format!("{hint}; the store stays where it was")));
        }
        Ok(about)
    }

    fn name_redis(&mut self, address: &Address) -> Result<(), Report> {
        self.set_environment(ADDRESS, Some(address.url()))?;
        self.set_environment(REDIS_URL, Some(address.url()))?;
        let redis = Redis::at(address.clone());
        redis.follow_ages();
        self.shared.client = Some(Box::new(redis));
        Ok(())
    }
}

fn place(address: &Address, about: About, is_given: bool) -> Place {
    Place::Redis {
        is_given,
        address: address.to_string(),
        about,
        socket: address.socket().map(|path| path.display().to_string()),
    }
}

fn unusable(error: &dyn std::fmt::Display) -> Report {
    let hint =
        "the store stays where it was; `%store start redis` starts a server for this session";
    Report::usage(format!("%store: {error}")).hint(hint)
}

fn missing(error: &PrivateError) -> Report {
    let report = Report::usage(format!("%store: {error}"));
    match error {
        PrivateError::Missing(_) => report.hint(
            "install one: `apt install redis-server`, `dnf install valkey`, `apk add valkey`, `brew install redis`",
        ),
        PrivateError::Start { .. } => report,
    }
}
