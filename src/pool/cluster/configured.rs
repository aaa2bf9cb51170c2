//! The file that says to a cluster's own server what it is and who its users are. When they change it is written anew, whole
//! or not at all, and the server reads it again, whatever it was just at.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The file, in the server's folder.
pub const CONFIGURATION: &str = "nats.conf";

/// The file in its folder with its process id.
pub const PID: &str = "nats.pid";

/// A server that has been killed is started again within this, or later, and then reads the new file.
const STARTED: Duration = Duration::from_secs(1);
const GLANCE: Duration = Duration::from_millis(5);

/// Has the server of this folder go by this from now on. Connections of users that stay are left alone. When the
/// file cannot be written, everything is as before.
pub fn change(folder: &Path, text: &str) -> io::Result<()> {
    write(folder, text)?;
    // One that is just starting may have read the file before: its number tells when it can be asked to read it again.
    let since = Instant::now();
    loop {
        let process = process_in(folder).map(Pid::from_raw);
        match process.map_or(Err(Errno::ESRCH), |it| kill(it, Signal::SIGHUP)) {
            Err(Errno::ESRCH) if since.elapsed() <= STARTED => std::thread::sleep(GLANCE),
            Ok(()) | Err(Errno::ESRCH) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What the server finds when it starts.
pub fn write(folder: &Path, text: &str) -> io::Result<()> {
    let file = folder.join(CONFIGURATION);
    let new = file.with_extension("new");
    // One that could not be written is there still.
    let _ = std::fs::remove_file(&new);
    write_private(&new, text)?;
    std::fs::rename(new, file)
}

/// The server of this folder, when it runs.
pub fn process_in(folder: &Path) -> Option<i32> {
    let pid = std::fs::read_to_string(folder.join(PID)).ok()?;
    let pid = pid.trim().parse().ok()?;
    // The number may be another one's by now.
    let at = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    (at == folder.canonicalize().ok()?).then_some(pid)
}

/// A file for this user alone; none when it cannot be written whole.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(path)?.write_all(text.as_bytes());
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process in this folder that ends by SIGHUP, as the server of the folder; also where who runs the tests ignores that.
    fn start(folder: &Path) -> Child {
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP", "sleep", "1000"]);
        command.stdin(Stdio::null());
        let child = command.current_dir(folder).spawn().unwrap();
        let name = format!("/proc/{}/comm", child.id());
        while std::fs::read_to_string(&name).unwrap().trim() != "sleep" {
            std::thread::sleep(GLANCE);
        }
        std::fs::write(folder.join(PID), child.id().to_string()).unwrap();
        child
    }

    #[test]
    fn what_could_not_be_written_once_can_be_later() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "one").unwrap();
        // Left by one for which there was no room.
        std::fs::write(folder.path().join("nats.new"), "").unwrap();
        write(folder.path(), "two").unwrap();
        let text = std::fs::read_to_string(folder.path().join(CONFIGURATION));
        assert_eq!(text.unwrap(), "two");
    }

    #[test]
    fn only_the_server_of_the_folder_is_told() {
        let [folder, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let mut server = start(folder.path());
        change(folder.path(), "new").unwrap();
        use std::os::unix::process::ExitStatusExt as _;
        assert_eq!(server.wait().unwrap().signal(), Some(Signal::SIGHUP as i32));
        // Its number is another process's now, which lives on.
        let mut foreign = start(other.path());
        std::fs::copy(other.path().join(PID), folder.path().join(PID)).unwrap();
        change(folder.path(), "newer").unwrap();
        assert_eq!(foreign.try_wait().unwrap(), None);
        foreign.kill().unwrap();
        foreign.wait().unwrap();
    }
}
