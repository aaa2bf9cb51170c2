//! The server of a cluster: one of its own, or one that was there before and that others use too.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ServerAddr};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;

use super::allowed;
use super::listen::Listen;
use super::message::Join;
use super::ordered::LARGEST;
use super::server::{Private, secret};
use super::{PATIENCE, post};
use crate::outcome::ServerFault;
use crate::servers::Tries;
use crate::wire::VERSION;

/// Which server a cluster has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// One of its own, on the loopback interface.
    Own,
    /// One of its own, where other hosts reach it.
    Listens(Listen),
    /// One that is there.
    Given {
        url: String,
        /// A file of NATS' own tools with a user's key.
        credentials: Option<PathBuf>,
    },
}

pub enum Backbone {
    Own(Box<Private>),
    Given(Box<Join>),
}

impl Backbone {
    /// Starts it, found on this `PATH`, with its files in a folder that `folder` makes; or sees whether it does what a cluster
    /// needs.
    pub fn open(
        path: Option<&str>,
        which: &Which,
        is_durable: bool,
        tries: Tries,
        folder: impl FnOnce() -> io::Result<TempDir>,
    ) -> Result<Self, ServerFault> {
        let own = |listen| Private::start(folder, path, listen, is_durable, tries);
        Ok(match which {
            Which::Own => Self::Own(Box::new(own(None)?)),
            Which::Listens(listen) => Self::Own(Box::new(own(Some(listen))?)),
            Which::Given { url, credentials } => {
                let mut join = given(url, credentials.as_deref())?;
                join.is_durable = is_durable;
                look(&join)?;
                Self::Given(Box::new(join))
            }
        })
    }

    /// What the session connects with.
    pub fn session(&self) -> &Join {
        match self {
            Self::Own(private) => &private.session,
            Self::Given(join) => join,
        }
    }

    /// What a node connects with. At a server that is not the cluster's own it is what the session does.
    pub fn admit(&self, node: u32) -> io::Result<Join> {
        match self {
            Self::Own(private) => private.admit(node),
            Self::Given(join) => Ok(Join {
                node: Some(node),
                ..Join::clone(join)
            }),
        }
    }

    /// What the nodes connect with that somebody starts with this file.
    pub fn admit_file(&self, file: u32) -> io::Result<Join> {
        match self {
            Self::Own(private) => private.admit_file(file),
            Self::Given(join) => Ok(Join {
                file: Some(file),
                ..Join::clone(join)
            }),
        }
    }

    /// A node is none any more.
    pub fn dismiss(&self, node: u32) -> io::Result<()> {
        match self {
            Self::Own(private) => private.dismiss(node),
            Self::Given(_) => Ok(()),
        }
    }

    /// The nodes that have this file are none any more.
    pub fn dismiss_file(&self, file: u32) -> io::Result<()> {
        match self {
            Self::Own(private) => private.dismiss_file(file),
            Self::Given(_) => Ok(()),
        }
    }

    /// Whoever has the session's password has it no more, where the cluster has one of its own.
    pub fn change_password(&mut self) -> io::Result<()> {
        match self {
            Self::Own(private) => private.change_password(),
            Self::Given(_) => Ok(()),
        }
    }

    /// Where a way back from a host leads that is reached by ssh; `None`: hosts reach the server by themselves.
    pub fn tunnel(&self) -> Option<String> {
        let address = self.session().address();
        match self {
            Self::Own(_) => Some(address.to_owned()),
            Self::Given(join) => join.is_near().then(|| address.to_owned()),
        }
    }

    /// What a node joins by that is started by hand, where that is no secret: words stand for its user. `keeps`: see
    /// [`Join::keeps`].
    pub fn url(&self, keeps: Option<u64>) -> Option<String> {
        let Self::Given(join) = self else {
            return None;
        };
        let how = match keeps {
            Some(seconds) => format!("{KEEPS}{seconds}"),
            None if join.is_durable => DURABLE.to_owned(),
            None => String::new(),
        };
        let who = match (join.user.as_str(), join.password.as_str()) {
            ("", _) => "",
            (_, "") => "TOKEN@",
            _ => "USER:PASSWORD@",
        };
        let server = match join.server.split_once("://") {
            Some((scheme, address)) => format!("{scheme}://{who}{address}"),
            None => join.server.clone(),
        };
        Some(format!("{server}/{}{how}", join.cluster))
    }

    /// A folder of the server's own, for what goes with the cluster.
    pub fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Own(private) => Some(private.server.folder().to_owned()),
            Self::Given(_) => None,
        }
    }

    /// It cannot be used, and says this.
    pub fn failed(&self, says: &str) -> ServerFault {
        match self {
            Self::Own(_) => super::server::not_started(&says),
            Self::Given(join) => ServerFault::Unreached {
                url: join.server.clone(),
                says: says.to_owned(),
            },
        }
    }

    /// Sees to it that its own server is kept running.
    pub fn keep_up(&mut self) -> io::Result<()> {
        match self {
            Self::Own(private) => private.server.keep_up(),
            Self::Given(_) => Ok(()),
        }
    }

    /// Its own server has ended for good; the last thing that it said.
    pub fn has_ended(&mut self) -> Option<String> {
        match self {
            Self::Own(private) => private
                .server
                .has_ended()
                .then(|| private.server.last_words().unwrap_or_default()),
            Self::Given(_) => None,
        }
    }
}

/// What stands behind the name of a cluster whose maps go through a queue.
const DURABLE: &str = "?durable";

/// The same of one that outlives its session, for so many seconds; what is kept has a queue.
const KEEPS: &str = "?keep=";

/// `nats://user:password@host:4222`, with a cluster's name as its path when nodes join by it. The name is made when it has none.
pub fn given(url: &str, credentials: Option<&std::path::Path>) -> Result<Join, ServerFault> {
    let wrong = || ServerFault::NoUrl {
        url: without_password(url),
    };
    let (url, is_durable, keeps) = match (url.strip_suffix(DURABLE), url.split_once(KEEPS)) {
        (Some(url), _) => (url, true, None),
        (None, Some((url, seconds))) => (url, true, Some(seconds.parse().map_err(|_| wrong())?)),
        (None, None) => (url, false, None),
    };
    let address: ServerAddr = url.parse().map_err(|_| wrong())?;
    if !["nats", "tls"].contains(&address.scheme()) || address.host().is_empty() {
        return Err(wrong());
    }
    let credentials = credentials
        .map(|file| {
            std::fs::read_to_string(file).map_err(|error| ServerFault::NoCredentials {
                file: file.display().to_string(),
                says: error.to_string(),
            })
        })
        .transpose()?;
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    let (user, password) = (text(address.username()), text(address.password()));
    let (scheme, port) = (address.scheme().to_owned(), address.port());
    let address = address.into_inner();
    let host = address.host_str().unwrap_or_default();
    let path = address.path().trim_matches('/').to_owned();
    let cluster = match path.as_str() {
        "" => {
            let secret = secret().map_err(|error| super::server::not_started(&error))?;
            format!("regatta-{secret}")
        }
        name if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => path,
        _ => return Err(wrong()),
    };
    Ok(Join {
        version: VERSION,
        cluster,
        server: format!("{scheme}://{host}:{port}"),
        certificate: None,
        credentials,
        user,
        password,
        node: None,
        file: None,
        host: None,
        slots: None,
        is_durable,
        epoch: 0,
        keeps,
    })
}

/// A URL that may be shown.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => url.to_owned(),
    }
}

/// Whether a server does what a cluster needs, and which of it it does not.
fn look(join: &Join) -> Result<(), ServerFault> {
    let url = &join.server;
    let unreached = |says: &dyn std::fmt::Display| ServerFault::Unreached {
        url: url.clone(),
        says: says.to_string(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| unreached(&error))?;
    let looked = async {
        let (told, mut events) = unbounded_channel();
        let options = post::options(join, "session", told).map_err(|error| unreached(&error))?;
        let connected = options.connect(url).await;
        let client = connected.map_err(|error| match error.kind() {
            ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                ServerFault::NotLetIn { url: url.clone() }
            }
            _ => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                unreached(&source.unwrap_or_else(|| error.to_string()))
            }
        })?;
        let (most, needs) = (client.server_info().max_payload, LARGEST);
        if most < needs {
            let url = url.clone();
            return Err(ServerFault::SmallMessages { url, most, needs });
        }
        if join.is_durable && !client.server_info().jetstream {
            return Err(ServerFault::NoStreams { url: url.clone() });
        }
        allowed::look(&client, &join.cluster, join.is_durable, &mut events, url).await?;
        match join.is_durable {
            true => streams(&client, url).await,
            false => Ok(()),
        }
    };
    let late = io::Error::from(io::ErrorKind::TimedOut);
    let late = Err(unreached(&late.to_string()));
    let limited = async { tokio::time::timeout(PATIENCE, looked).await };
    let looked = runtime.block_on(limited).unwrap_or(late);
    runtime.shutdown_timeout(Duration::ZERO);
    looked
}

/// What every account with streams answers.
pub const ABOUT: &str = "$JS.API.INFO";

/// Whether the user's account has streams.
async fn streams(client: &Client, url: &str) -> Result<(), ServerFault> {
    let none = || ServerFault::NoStreams {
        url: url.to_owned(),
    };
    // Of an account without them nobody answers, or the answer is that there are none.
    let answered = client.request(ABOUT, "".into()).await;
    let answered = answered.map_err(|_| none())?;
    let answer: serde_json::Value = serde_json::from_slice(&answered.payload).unwrap_or_default();
    match answer.get("error") {
        Some(_) => Err(none()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_server_user_and_cluster() {
        let join = given("nats://me:secret@example.net/regatta-1", None).unwrap();
        assert_eq!(join.server, "nats://example.net:4222");
        assert_eq!(
            (join.user.as_str(), join.password.as_str()),
            ("me", "secret")
        );
        assert_eq!(join.cluster, "regatta-1");
        assert!(!join.is_durable);
        let join = given("nats://example.net/regatta-1?durable", None).unwrap();
        assert_eq!(
            (join.cluster.as_str(), join.is_durable),
            ("regatta-1", true)
        );
        let backbone = Backbone::Given(Box::new(join));
        let url = |keeps| backbone.url(keeps).unwrap();
        assert_eq!(url(None), "nats://example.net:4222/regatta-1?durable");
        let join = given(&url(Some(60)), None).unwrap();
        assert_eq!((join.is_durable, join.keeps), (true, Some(60)));
        for (who, shown) in [
            ("me:secret@", "USER:PASSWORD@"),
            ("secret@", "TOKEN@"),
            ("", ""),
        ] {
            let join = given(&format!("nats://{who}host/c"), None).unwrap();
            let url = Backbone::Given(Box::new(join)).url(None);
            assert_eq!(url, Some(format!("nats://{shown}host:4222/c")));
        }
        let join = given("tls://example.net:4443", None).unwrap();
        assert!(join.cluster.starts_with("regatta-"));
        let near = |url: &str| Backbone::Given(Box::new(given(url, None).unwrap())).tunnel();
        for address in ["127.0.0.1:1", "[::1]:1", "localhost:1"] {
            assert_eq!(near(&format!("nats://{address}")), Some(address.to_owned()));
        }
        assert_eq!(near("nats://example.net"), None);
        for wrong in [
            "http://me:secret@host",
            "",
            "nats://",
            "nats://host/a.b",
            "nats://host/a/b",
            "nats://host/a?keep=soon",
        ] {
            let fault = given(wrong, None).unwrap_err();
            assert!(
                matches!(&fault, ServerFault::NoUrl { url } if !url.contains("secret")),
                "{wrong}"
            );
        }
    }
}
