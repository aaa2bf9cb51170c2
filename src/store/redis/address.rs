//! Where a Redis server is, as a user writes it and as programs take it: the password is in the one and never in what
//! is shown.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use redis::{
    Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _,
    RedisConnectionInfo, TlsCertificates,
};

/// What stands in the place of a password.
pub const HIDDEN: &str = "***";

/// The forms of an address, for whoever wrote another.
pub const FORMS: &str = "redis://host:6379/0, rediss://user:password@host:6379/0?ca=/path/ca.pem (TLS), \
                         or unix:/path/redis.sock";

/// How programs name the options of TLS, redis-py among them, and how people do.
const OPTIONS: [(&str, &[&str]); 3] = [
    ("ssl_ca_certs", &["ca", "ssl_ca_certs"]),
    ("ssl_certfile", &["cert", "ssl_certfile"]),
    ("ssl_keyfile", &["key", "ssl_keyfile"]),
];

const PORT: u16 = 6379;

/// A server and how to get in.
#[derive(Clone)]
pub struct Address {
    client: Client,
    url: String,
    shown: String,
}

/// Why an address is none; without its password.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// Not a URL, or not one of a kind that Redis has.
    #[error("`{0}` is no address of a Redis server: write {FORMS}")]
    Form(String),
    /// A user's name or a password has what ends it in a URL.
    #[error(
        "`{0}` has an `@` behind a `/`, `?` or `#`: in a password these are written as %2F, %3F and %23, and `@` as %40; \
         --password-env takes it as it is"
    )]
    Raw(String),
    /// An option that no address has, or not this one.
    #[error("`{option}` is no option of `{address}`: {known}")]
    Option {
        option: String,
        address: String,
        known: &'static str,
    },
    /// A number of a database that is none.
    #[error("`{0}` is no number of a database: 0, 1, 2, …")]
    Database(String),
    /// A file of certificates that cannot be read.
    #[error("{what} {path} of `{address}` cannot be used: {why}")]
    Certificate {
        what: &'static str,
        path: String,
        address: String,
        why: String,
    },
}

impl Address {
    /// Reads an address; `password` is one that was given elsewhere.
    pub fn parse(text: &str, password: Option<&str>) -> Result<Self, AddressError> {
        let bad = || match has_raw_login(text) {
            true => AddressError::Raw(without_password(text)),
            false => AddressError::Form(without_password(text)),
        };
        // `unix:name` would be a path from the root.
        if let Some(path) = text.strip_prefix("unix:")
            && !path.starts_with('/')
        {
            return Err(bad());
        }
        let (login, text) = login_of_socket(text);
        let url = redis::parse_redis_url(&text).ok_or_else(bad)?;
        let tls = matches!(url.scheme(), "rediss" | "valkeys");
        let unix = url.scheme().contains("unix");
        let shown = without_password(&text);
        let mut settings = Settings::default();
        if let Some(login) = login {
            let given = redis::parse_redis_url(&format!("redis://{login}@host"))
                .and_then(|url| url.into_connection_info().ok())
                .ok_or_else(bad)?;
            let given = given.redis_settings();
            settings.user = given.username().map(str::to_owned);
            settings.password = given.password().map(str::to_owned);
        }
        for (option, value) in url.query_pairs() {
            let known = OPTIONS
                .iter()
                .position(|(_, names)| names.contains(&option.as_ref()));
            match (option.as_ref(), known) {
                ("db", _) => settings.database = Some(value.into_owned()),
                ("user" | "username", _) => settings.user = Some(value.into_owned()),
                ("pass" | "password", _) => settings.password = Some(value.into_owned()),
                // Of redis-py's and redis-rs's; here either comes to the same.
                ("protocol", _) if ["2", "3", "resp2", "resp3"].contains(&&*value) => {}
                (_, Some(at)) if tls => {
                    if let Some(file) = settings.files.get_mut(at) {
                        // Others that take it are in other folders.
                        let path = std::path::absolute(value.as_ref());
                        let path = path
                            .ok()
                            .and_then(|path| path.into_os_string().into_string().ok());
                        *file = path.or(Some(value.into_owned()));
                    }
                }
                // Of a password that has a `?`.
                _ if option.contains('@') => return Err(bad()),
                _ => {
                    return Err(AddressError::Option {
                        option: option.into_owned(),
                        address: shown,
                        known: if tls {
                            "db, username and password are, and ca, cert and key, which name files"
                        } else if unix {
                            "db, username and password are"
                        } else {
                            "db, username and password are (ca, cert and key belong to rediss://)"
                        },
                    });
                }
            }
        }
        if url.fragment().is_some() {
            return Err(bad());
        }
        let plain = url.clone().into_connection_info();
        if unix {
            // What the crate reads from the options is read above.
            let path = url.to_file_path().map_err(|()| bad())?;
            settings.password = password.map(str::to_owned).or(settings.password);
            return settings.of_socket(path);
        }
        let host = url.host_str().ok_or_else(bad)?.to_owned();
        let plain = plain.map_err(|_| match url.path().trim_matches('/') {
            "" => bad(),
            path if path.contains('@') => bad(),
            path => AddressError::Database(path.to_owned()),
        })?;
        let given = plain.redis_settings();
        settings.user = settings.user.or(given.username().map(str::to_owned));
        let password = password.map(str::to_owned).or(settings.password);
        settings.password = password.or(given.password().map(str::to_owned));
        settings.database = settings.database.or(Some(given.db().to_string()));
        settings.of_host(&host, url.port().unwrap_or(PORT), plain, tls)
    }

    /// For programs, with the password: redis-py, redis-rs and others take it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The path of the socket, when it is one.
    pub fn socket(&self) -> Option<&Path> {
        match self.client.get_connection_info().addr() {
            ConnectionAddr::Unix(path) => Some(path),
            _ => None,
        }
    }

    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Without the password.
impl Display for Address {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "Address({})", self.shown)
    }
}

/// An address from the environment as it is shown.
pub fn shown(text: &str) -> String {
    Address::parse(text, None).map_or_else(|_| without_password(text), |it| it.to_string())
}

/// What an address says beside the place.
#[derive(Default)]
struct Settings {
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    /// As in [`OPTIONS`].
    files: [Option<String>; OPTIONS.len()],
}

impl Settings {
    fn database(&self) -> Result<i64, AddressError> {
        let Some(text) = &self.database else {
            return Ok(0);
        };
        text.parse()
            .ok()
            .filter(|number| *number >= 0)
            .ok_or_else(|| AddressError::Database(text.clone()))
    }

    fn redis(&self) -> Result<RedisConnectionInfo, AddressError> {
        let mut redis = RedisConnectionInfo::default()
            .set_db(self.database()?)
            .set_lib_name("regatta", env!("CARGO_PKG_VERSION"));
        if let Some(user) = &self.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = &self.password {
            redis = redis.set_password(password);
        }
        Ok(redis)
    }

    fn of_socket(self, path: PathBuf) -> Result<Address, AddressError> {
        let shown = format!("unix:{}", path.display());
        let mut options = Vec::new();
        let database = self.database()?;
        if database != 0 {
            options.push(format!("db={database}"));
        }
        let mut shown_options = options.clone();
        if let Some(user) = &self.user {
            options.push(format!("username={}", encoded(user)));
            shown_options.push(format!("username={}", encoded(user)));
        }
        if let Some(password) = &self.password {
            options.push(format!("password={}", encoded(password)));
            shown_options.push(format!("password={HIDDEN}"));
        }
        let with = |options: &[String]| {
            if options.is_empty() {
                String::new()
            } else {
                format!("?{}", options.join("&"))
            }
        };
        let parts = path.to_str().unwrap_or_default().split('/');
        let place = parts.map(encoded).collect::<Vec<_>>().join("/");
        let url = format!("unix://{place}{}", with(&options));
        let shown = format!("{shown}{}", with(&shown_options));
        let info = ConnectionAddr::Unix(path)
            .into_connection_info()
            .map(|info| self.redis().map(|redis| info.set_redis_settings(redis)))
            .map_err(|_| AddressError::Form(shown.clone()))??;
        client(info, url, shown)
    }

    fn of_host(
        self,
        host: &str,
        port: u16,
        plain: ConnectionInfo,
        tls: bool,
    ) -> Result<Address, AddressError> {
        let scheme = if tls { "rediss" } else { "redis" };
        let login = |password: Option<&str>| match (&self.user, password) {
            (None, None) => String::new(),
            (user, password) => {
                let user = user.as_deref().map(encoded).unwrap_or_default();
                let password = password.map(|word| format!(":{word}")).unwrap_or_default();
                format!("{user}{password}@")
            }
        };
        let place = format!("{host}:{port}/{}", self.database()?);
        let mut options = String::new();
        for ((name, _), file) in OPTIONS.iter().zip(&self.files) {
            if let Some(file) = file {
                let start = if options.is_empty() { '?' } else { '&' };
                options += &format!("{start}{name}={}", encoded(file));
            }
        }
        let password = self.password.as_deref().map(encoded);
        let url = format!("{scheme}://{}{place}{options}", login(password.as_deref()));
        let hidden = self.password.as_ref().map(|_| HIDDEN);
        let shown = format!("{scheme}://{}{place}", login(hidden));
        let info = plain.set_redis_settings(self.redis()?);
        let [ca, certificate, key] = &self.files;
        if ca.is_none() && certificate.is_none() && key.is_none() {
            return client(info, url, shown);
        }
        let read = |what, path: &Option<String>| {
            let Some(path) = path else { return Ok(None) };
            std::fs::read(path)
                .map(Some)
                .map_err(|error| AddressError::Certificate {
                    what,
                    path: path.clone(),
                    address: shown.clone(),
                    why: error.to_string(),
                })
        };
        let ca_text = read("the certificates of the authority,", ca)?;
        let pair = (read("the certificate", certificate)?, read("the key", key)?);
        let client_tls = match pair {
            (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig {
                client_cert,
                client_key,
            }),
            (None, None) => None,
            _ => {
                return Err(AddressError::Option {
                    option: if key.is_some() { "key" } else { "cert" }.to_owned(),
                    address: shown,
                    known: "cert and key stand together",
                });
            }
        };
        let certificates = TlsCertificates {
            client_tls,
            root_cert: ca_text,
        };
        let client = Client::build_with_tls(info, certificates).map_err(|error| {
            AddressError::Certificate {
                what: "the certificates in",
                path: ca.clone().or(certificate.clone()).unwrap_or_default(),
                address: shown.clone(),
                why: error.to_string(),
            }
        })?;
        Ok(Address { client, url, shown })
    }
}

fn client(info: ConnectionInfo, url: String, shown: String) -> Result<Address, AddressError> {
    let client = Client::open(info).map_err(|_| AddressError::Form(shown.clone()))?;
    Ok(Address { client, url, shown })
}

/// `unix://user:password@/path`, as redis-py has it, in two: who logs in, and the place.
fn login_of_socket(text: &str) -> (Option<&str>, Cow<'_, str>) {
    let split = || {
        let (scheme, rest) = text.split_once("://")?;
        let (login, place) = rest.split_once('@')?;
        (scheme.to_ascii_lowercase().ends_with("unix") && !login.contains(['/', '?', '#']))
            .then(|| (login, format!("{scheme}://{place}")))
    };
    match split() {
        Some((login, place)) => (Some(login), place.into()),
        None => (None, text.into()),
    }
}

/// The address with a file of certificates.
pub fn with_ca(address: &str, path: &str) -> String {
    let start = if address.contains('?') { '&' } else { '?' };
    format!("{address}{start}ca={}", encoded(path))
}

/// For a place in a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            _ => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

/// Whether a user's name or a password seems to have `/`, `?` or `#` as they are: they end the place, where the `@` has to be.
fn has_raw_login(text: &str) -> bool {
    let Some((_, place)) = text.split_once("://") else {
        return false;
    };
    let ends = place.find(['/', '?', '#']);
    ends.zip(place.rfind('@')).is_some_and(|(end, at)| end < at)
}

/// A text, in which passwords of addresses stand, without them.
pub fn without_password(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        hidden += before;
        let is_of_scheme = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
        let opens = rest[..at].trim_end_matches(is_of_scheme);
        // What stands alone before a NATS server's host is a token, not a user.
        let has_token = ["nats", "tls"].contains(&&rest[opens.len()..at]);
        let opens = opens.chars().next_back();
        let quote = opens.filter(|letter| "\"'`".contains(*letter));
        let ends = |letter: char| match quote {
            Some(quote) => letter == quote,
            None => letter.is_whitespace(),
        };
        let end = after.find(ends).unwrap_or(after.len());
        // A password may have `@` and whatever else ends a place, as it is, though then the address is none.
        let login = after[..end].rfind('@').unwrap_or(0);
        rest = &after[login..];
        match after[..login].split_once(':') {
            Some((user, _)) => hidden += &format!("{user}:{HIDDEN}"),
            None if has_token && login > 0 => hidden += HIDDEN,
            None => hidden += &after[..login],
        }
    }
    hidden += rest;
    without_option(&hidden)
}

/// A cell as it may be kept and shown: what follows a `%` at the start of a line, without passwords.
pub fn hide_passwords(cell: &str) -> Cow<'_, str> {
    let is_magic = |line: &str| line.trim_start().starts_with('%');
    if !cell
        .lines()
        .any(|line| is_magic(line) && line.contains(':'))
    {
        return Cow::Borrowed(cell);
    }
    let lines = cell.split_inclusive('\n');
    Cow::Owned(
        lines
            .map(|line| match is_magic(line) {
                true => Cow::Owned(without_password(line)),
                false => Cow::Borrowed(line),
            })
            .collect(),
    )
}

/// `password=…` of the addresses of sockets.
fn without_option(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = ["?password=", "&password=", "?pass=", "&pass="]
        .iter()
        .filter_map(|option| Some(rest.find(option)? + option.len()))
        .min()
    {
        let (before, after) = rest.split_at(at);
        hidden += before;
        hidden += HIDDEN;
        let end = after
            .find(|letter: char| letter.is_whitespace() || "\"'`&".contains(letter))
            .unwrap_or(after.len());
        rest = &after[end..];
    }
    hidden + rest
}

#[cfg(test)]
mod tests;
