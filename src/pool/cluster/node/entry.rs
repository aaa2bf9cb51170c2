//! How a node comes to its cluster: what it is told, how it connects, and what it says of itself.

use std::io::Read as _;
use std::time::Duration;

use async_nats::{Client, ConnectError, ConnectErrorKind, Event};
use nix::sys::signal::Signal;
use signal_hook::iterator::Signals;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::super::message::{About, Join};
use super::super::{post, processor};
use super::NodeError;
use crate::servers::is_ignored;
use crate::wire::VERSION;

/// What stands in one line, of which no byte that follows is read.
pub(super) fn whispered(mut from: impl std::io::Read) -> Result<Join, NodeError> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while from.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    serde_json::from_slice(&line).map_err(|error| NodeError::Malformed(error.to_string()))
}

/// The server refuses whoever is about to say who he is while it reads anew who its users are, which it does when any node comes
/// or goes. So often, and so long after, a node tries again.
const REFUSALS: u32 = 20;
const REFUSED: Duration = Duration::from_millis(50);

pub(super) async fn connect(
    join: &Join,
    told: &UnboundedSender<Event>,
) -> Result<Client, NodeError> {
    let mut refusals = 0;
    loop {
        let options = post::options(join, "node", told.clone())?;
        match options.connect(&join.server).await {
            Ok(client) => return Ok(client),
            Err(error)
                if error.kind() == ConnectErrorKind::AuthorizationViolation
                    && refusals < REFUSALS =>
            {
                refusals += 1;
                tokio::time::sleep(REFUSED).await;
            }
            Err(error) => return Err(unreached(join, &error)),
        }
    }
}

/// Why the server is not spoken with.
fn unreached(join: &Join, error: &ConnectError) -> NodeError {
    let server = &join.server;
    // Files and sessions have a number for it; who names the server by a URL has none.
    let is_by_url = join.node.is_none() && join.file.is_none();
    let source = std::error::Error::source(error).map(ToString::to_string);
    let says = source.unwrap_or_else(|| error.to_string());
    // A handshake that fails is one more failure of the connection to the client.
    let is_impostor = ["certificate", "UnknownIssuer", "handshake"]
        .iter()
        .any(|it| says.contains(it));
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation if is_by_url => {
            NodeError::NotLetIn(server.to_owned())
        }
        ConnectErrorKind::AuthorizationViolation => NodeError::Unknown(server.to_owned()),
        ConnectErrorKind::Tls => NodeError::Impostor(server.to_owned(), says),
        _ if is_impostor => NodeError::Impostor(server.to_owned(), says),
        _ => NodeError::Unreachable(server.to_owned(), says),
    }
}

/// Tells when standard input has ended.
pub(super) fn input_ended() -> std::io::Result<oneshot::Receiver<()>> {
    let (told, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || {
            let mut room = [0; 256];
            while matches!(std::io::stdin().read(&mut room), Ok(1..)) {}
            // A node that ends needs no word of it.
            let _ = told.send(());
        })?;
    Ok(ended)
}

/// The signals by which processes are told to end.
pub(super) const ENDS: [Signal; 3] = [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT];

/// Tells of the first signal that would end this process: its host is needed for something else, or Slurm's time for it is over.
pub(super) fn told_to_end() -> std::io::Result<oneshot::Receiver<Signal>> {
    // Those of `nohup` stay ignored.
    let caught = ENDS.into_iter().filter(|signal| !is_ignored(*signal));
    let mut signals = Signals::new(caught.map(|signal| signal as i32))?;
    let (told, asked) = oneshot::channel();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let first = signals.forever().next();
            if let Some(signal) = first.and_then(|it| Signal::try_from(it).ok()) {
                // A node that ends needs no word of it.
                let _ = told.send(signal);
            }
        })?;
    Ok(asked)
}

/// Waits for the end of standard input; without one for ever.
pub(super) async fn wait_for(input: &mut Option<oneshot::Receiver<()>>) {
    match input {
        Some(input) => drop(input.await),
        None => std::future::pending().await,
    }
}

pub(super) fn about(join: &Join, slots: Option<u32>) -> About {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u32;
    let named = || {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    };
    let memory = rustix::system::sysinfo();
    About {
        version: VERSION,
        host: join.host.clone().unwrap_or_else(named),
        pid: std::process::id(),
        slots: slots.or(join.slots).unwrap_or(cores).max(1),
        cores,
        memory: memory.totalram as u64 * u64::from(memory.mem_unit),
        libc: crate::engine::libc_version(),
        architecture: std::env::consts::ARCH.to_owned(),
        features: processor::features(),
        is_durable: join.is_durable,
    }
}
