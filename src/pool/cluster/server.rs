//! The private `nats-server` of a cluster: on a port of the loopback interface, or where other hosts reach it and then with
//! a certificate. Only those can use it who have a password from the session; when nodes come and go, it is told who that is.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;

use super::configured::{self, CONFIGURATION, PID, write_private};
use super::listen::{Listen, Place};
use super::message::Join;
use super::users::Users;
use super::{PATIENCE, certificate, post};
use crate::outcome::ServerFault;
use crate::servers::{Server, Tries, installed};
use crate::wire::VERSION;

const PROGRAM: &str = "nats-server";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// What the program, or the system, has said to its start.
pub fn not_started(says: &dyn std::fmt::Display) -> ServerFault {
    ServerFault::NotStarted {
        says: says.to_string(),
    }
}

/// The same of the system alone.
fn failed(error: std::io::Error) -> ServerFault {
    match error.kind() {
        std::io::ErrorKind::StorageFull => ServerFault::NoRoom {
            says: error.to_string(),
        },
        _ => not_started(&error),
    }
}

/// On how many processors the server may be at once: half of them, unless its user says so. The others are for the session
/// and the engines beside it, which it would else wake on its own account: one item waits a sixth less with two processors.
fn processors() -> Vec<(&'static str, String)> {
    const LIMIT: &str = "GOMAXPROCS";
    if std::env::var_os(LIMIT).is_some() {
        return Vec::new();
    }
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    vec![(LIMIT, all.div_ceil(2).to_string())]
}

/// A folder for the files of a server that ends with its session.
pub fn own_folder() -> std::io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("regatta-nats-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
}

/// A server that runs for one cluster. It ends when this is dropped.
pub struct Private {
    pub server: Server,
    place: Place,
    /// What the session connects with.
    pub session: Join,
    users: Mutex<Users>,
}

impl Private {
    /// On a port of the loopback interface; or there, with a certificate, where other hosts reach it. `folder` makes the folder
    /// of its files. `is_durable`: with streams.
    pub fn start(
        folder: impl FnOnce() -> std::io::Result<TempDir>,
        path: Option<&str>,
        listen: Option<&Listen>,
        is_durable: bool,
        tries: Tries,
    ) -> Result<Self, ServerFault> {
        let program = installed(PROGRAM, path);
        let program = program.ok_or(ServerFault::Missing)?;
        let folder = folder().map_err(failed)?;
        let cluster = format!("regatta-{}", secret().map_err(failed)?);
        let (place, certificate) = match listen {
            None => (loopback().map_err(failed)?, None),
            Some(listen) => {
                let place = listen.place()?;
                let certificate = certify(folder.path(), &cluster, &place)?;
                (place, Some(certificate))
            }
        };
        let users = Users::of(&cluster, is_durable).map_err(failed)?;
        let configuration = configuration(&place, &cluster, certificate.is_some(), &users);
        configured::write(folder.path(), &configuration).map_err(|error| {
            let says = format!("{}: {error}", folder.path().join(CONFIGURATION).display());
            failed(std::io::Error::new(error.kind(), says))
        })?;
        let arguments = ["-c", CONFIGURATION].map(OsStr::new);
        let server = Server::start(folder, &program, &arguments, &processors(), tries);
        let server = server.map_err(failed)?;
        let session = Join {
            version: VERSION,
            cluster,
            server: match certificate {
                None => format!("nats://{place}"),
                Some(_) => format!("tls://{place}"),
            },
            certificate,
            credentials: None,
            user: users.session().name.clone(),
            password: users.session().password.clone(),
            node: None,
            file: None,
            host: None,
            slots: None,
            is_durable,
            epoch: 0,
            keeps: None,
        };
        Ok(Self {
            server,
            place,
            session,
            users: Mutex::new(users),
        })
    }

    /// What a node connects with. The server takes it soon: see [`wait_until_taken`].
    pub fn admit(&self, node: u32) -> std::io::Result<Join> {
        let join = self.with_user(&node.to_string(), false)?;
        Ok(Join {
            node: Some(node),
            ..join
        })
    }

    /// What the nodes connect with that somebody starts with this file. The server takes it soon too.
    pub fn admit_file(&self, file: u32) -> std::io::Result<Join> {
        let join = self.with_user(&file_seat(file), true)?;
        Ok(Join {
            file: Some(file),
            ..join
        })
    }

    fn with_user(&self, seat: &str, shared: bool) -> std::io::Result<Join> {
        let user = self.changed(|users| users.admit(seat, shared))?;
        Ok(Join {
            user: user.name,
            password: user.password,
            ..self.session.clone()
        })
    }

    /// A node's password is worth nothing any more, and its connection ends.
    pub fn dismiss(&self, node: u32) -> std::io::Result<()> {
        self.dismiss_seat(&node.to_string())
    }

    /// The same of the nodes that have this file.
    pub fn dismiss_file(&self, file: u32) -> std::io::Result<()> {
        self.dismiss_seat(&file_seat(file))
    }

    fn dismiss_seat(&self, seat: &str) -> std::io::Result<()> {
        let mut users = self.users();
        // Should it not be told now, it is with the next change.
        match users.dismiss(seat) {
            true => self.tell(&users),
            false => Ok(()),
        }
    }

    /// Whoever has the session's password has it no more: its connection ends, and another needs the new one.
    pub fn change_password(&mut self) -> std::io::Result<()> {
        self.session.password = self.changed(Users::change_password)?;
        Ok(())
    }

    fn users(&self) -> MutexGuard<'_, Users> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes who the server's users are, and tells it; when that fails they are the old ones.
    fn changed<T>(
        &self,
        change: impl FnOnce(&mut Users) -> std::io::Result<T>,
    ) -> std::io::Result<T> {
        let mut users = self.users();
        let before = users.clone();
        let changed = change(&mut users)?;
        if let Err(error) = self.tell(&users) {
            *users = before;
            return Err(error);
        }
        Ok(changed)
    }

    /// Has the server read who its users are.
    fn tell(&self, users: &Users) -> std::io::Result<()> {
        let (cluster, certified) = (&self.session.cluster, self.session.certificate.is_some());
        let text = configuration(&self.place, cluster, certified, users);
        configured::change(self.server.folder(), &text)
    }
}

/// Waits until the server takes who connects with this; an error when it does not answer for [`PATIENCE`].
pub fn wait_until_taken(join: &Join) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let taken = async {
        loop {
            let (told, _) = unbounded_channel();
            let options = post::options(join, "session", told)?;
            if options.connect(&join.server).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let taken = runtime.block_on(async { tokio::time::timeout(PATIENCE, taken).await });
    taken.unwrap_or_else(|_late| Err(std::io::ErrorKind::TimedOut.into()))
}

/// A port that nobody listens on now. It stays the server's also when that is started again.
fn loopback() -> std::io::Result<Place> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let at = listener.local_addr()?;
    let reached = at.ip().to_string();
    Ok(Place { at, reached })
}

/// Makes the certificate, and gives it.
fn certify(folder: &Path, cluster: &str, place: &Place) -> Result<String, ServerFault> {
    let failed = |error: &dyn std::fmt::Display| ServerFault::NoCertificate {
        says: error.to_string(),
    };
    let names = certificate::names(&place.reached, place.address());
    let made = certificate::make(cluster, names).map_err(|error| failed(&error))?;
    for (file, text) in [(CERTIFICATE, &made.certificate), (KEY, &made.key)] {
        write_private(&folder.join(file), text).map_err(|error| failed(&error))?;
    }
    Ok(made.certificate)
}

/// What the subjects of the nodes that have this file begin with.
pub fn file_seat(file: u32) -> String {
    format!("f{file}")
}

/// 128 bits that nobody can guess, in hexadecimal digits.
pub fn secret() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// What a server keeps on disk: in its folder, and no more than so much.
const STORE: &str = r#"jetstream {
  store_dir: "streams"
  max_memory_store: 64MB
  max_file_store: 64GB
}
"#;

fn configuration(place: &Place, cluster: &str, certified: bool, users: &Users) -> String {
    let tls = match certified {
        true => format!("tls {{ cert_file: \"{CERTIFICATE}\", key_file: \"{KEY}\" }}\n"),
        false => String::new(),
    };
    let store = if users.have_queue() { STORE } else { "" };
    format!(
        r#"listen: "{}"
server_name: "{cluster}"
pid_file: "{PID}"
max_payload: 1MB
max_pending: 256MB
write_deadline: "30s"
ping_interval: "5s"
{tls}{store}{}"#,
        place.at,
        users.authorization()
    )
}
