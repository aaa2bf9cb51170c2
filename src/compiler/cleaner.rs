//! The cleaner role: a process that waits for a compiler and its session to end, however they end, and then removes
//! the compiler's folder with whatever still builds in it.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::builds;

/// The first command line argument of a cleaner; the second is the folder.
pub const ROLE: &str = "__cleaner";

/// How long the end of a compiler waits for its folder to go.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the folder is tried to be removed, each time for a second.
const TRIES: usize = 10;

/// Waits until standard input closes, and cleans.
pub fn main(folder: &Path) -> std::io::Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // A flag nobody reads: the signal is for the session.
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    // Nothing is ever written; whatever ends the reading ends the session.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    // A compiler that ends while it warms copies into the folder until it is gone.
    for _ in 0..TRIES {
        builds::remove(folder);
        if !folder.exists() {
            break;
        }
    }
    Ok(())
}

/// Holds the cleaner back. When it is dropped, or this process is gone, and nobody else holds it, it begins.
#[derive(Debug)]
pub struct Cleaner {
    pipe: Option<OwnedFd>,
    folder: PathBuf,
    /// `None` when another process has started it.
    child: Option<Child>,
}

impl Cleaner {
    /// Starts the process; the folder need not exist yet.
    pub fn start(folder: &Path) -> std::io::Result<Self> {
        let exe: PathBuf = std::env::current_exe()?;
        let mut command = Command::new(exe);
        command
            .arg(ROLE)
            .arg(folder)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn()?;
        Ok(Self {
            pipe: child.stdin.take().map(Into::into),
            folder: folder.to_owned(),
            child: Some(child),
        })
    }

    /// One that another process has started and held back by `pipe`.
    pub fn adopt(pipe: OwnedFd, folder: &Path) -> Self {
        Self {
            pipe: Some(pipe),
            folder: folder.to_owned(),
            child: None,
        }
    }

    /// For another process that is to hold it back too.
    pub fn pipe(&self) -> std::io::Result<OwnedFd> {
        let pipe = self.pipe.as_ref().ok_or(std::io::ErrorKind::NotFound)?;
        pipe.try_clone()
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let since = Instant::now();
        let mut works = || match &mut self.child {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => self.folder.exists(),
        };
        while works() && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
