//! Where a cluster's own server listens when other hosts are to reach it.

use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket};

use serde::{Deserialize, Serialize};

use crate::outcome::ServerFault;

/// `ADDRESS[:PORT]`, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listen {
    /// An address or a name of this host, or `0.0.0.0`.
    pub host: String,
    /// Any that is free without it.
    pub port: Option<u16>,
}

impl Listen {
    /// `192.0.2.1`, `node0:4222`, `[2001:db8::1]:4222`, `2001:db8::1`; an error when that is none of these.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |port: &str| port.parse().ok().filter(|port| *port > 0);
        let (host, port) = if let Some(inside) = text.strip_prefix('[') {
            match inside.split_once(']')? {
                (host, "") => (host, None),
                (host, rest) => (host, Some(number(rest.strip_prefix(':')?)?)),
            }
        } else if text.matches(':').count() > 1 {
            (text, None)
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(number(port)?)),
                None => (text, None),
            }
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || ".-:_".contains(c);
        let is_right = !host.is_empty() && host.chars().all(is_name) && !host.starts_with('-');
        is_right.then(|| Self {
            host: host.to_owned(),
            port,
        })
    }

    /// Where that is.
    pub fn place(&self) -> Result<Place, ServerFault> {
        let host = &self.host;
        let unknown = |says: String| ServerFault::UnknownHost {
            host: host.clone(),
            says,
        };
        let found = (host.as_str(), self.port.unwrap_or(0)).to_socket_addrs();
        let found = found.map_err(|error| unknown(error.to_string()))?;
        let found: Vec<SocketAddr> = found.collect();
        let first = found.iter().find(|it| it.is_ipv4()).or(found.first());
        let at = *first.ok_or_else(|| {
            unknown(std::io::Error::from(ErrorKind::AddrNotAvailable).to_string())
        })?;
        let refused = |error: std::io::Error| {
            let address = match self.port {
                Some(_) => at.to_string(),
                None => at.ip().to_string(),
            };
            match error.kind() {
                ErrorKind::AddrInUse => ServerFault::PortTaken { address },
                ErrorKind::AddrNotAvailable => ServerFault::NoSuchAddress { address },
                ErrorKind::PermissionDenied => ServerFault::NotAllowed { address },
                _ => unknown(error.to_string()),
            }
        };
        // Nobody listens there now; the server will, also when it is started again.
        let at = TcpListener::bind(at)
            .and_then(|listener| listener.local_addr())
            .map_err(refused)?;
        let reached = if at.ip().is_unspecified() {
            outside().ok_or(ServerFault::NoAddress)?.to_string()
        } else {
            host.clone()
        };
        Ok(Place { at, reached })
    }
}

/// Where a server listens, and as what it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub at: SocketAddr,
    pub reached: String,
}

impl Place {
    /// The address to which connections from this host go.
    pub fn address(&self) -> IpAddr {
        match self.at.ip() {
            any if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            address => address,
        }
    }
}

/// As in a URL.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reached.contains(':') {
            true => write!(f, "[{}]:{}", self.reached, self.at.port()),
            false => write!(f, "{}:{}", self.reached, self.at.port()),
        }
    }
}

/// The address from which this host's packets to others come. None is sent: the address asked for is one of those for
/// documentation.
pub fn outside() -> Option<IpAddr> {
    towards((Ipv4Addr::new(192, 0, 2, 1), 9).into())
}

/// The same of packets to this one.
pub fn towards(there: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = match there {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(there).ok()?;
    socket.local_addr().ok().map(|it| it.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let read = |text: &str| Listen::parse(text).map(|it| (it.host, it.port));
        let is = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(read("192.0.2.1"), is("192.0.2.1", None));
        assert_eq!(read("node0:4222"), is("node0", Some(4222)));
        assert_eq!(read("[2001:db8::1]:4222"), is("2001:db8::1", Some(4222)));
        assert_eq!(read("2001:db8::1"), is("2001:db8::1", None));
        for wrong in [
            "", ":1", "a:b", "a:0", "a:70000", "[::1", "[::1]4", "-o", "a b", "a/b",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn who_cannot_listen_is_told_why() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let place = |text: &str| Listen::parse(text).unwrap().place();
        assert_eq!(place(&address), Err(ServerFault::PortTaken { address }));
        let address = "192.0.2.1".to_owned();
        assert_eq!(place(&address), Err(ServerFault::NoSuchAddress { address }));
        let fault = place("there-is-no-such-host.invalid");
        assert!(
            matches!(fault, Err(ServerFault::UnknownHost { .. })),
            "{fault:?}"
        );
        let place = place("127.0.0.1").unwrap();
        assert_eq!(place.to_string(), format!("127.0.0.1:{}", place.at.port()));
    }
}
