//! What is said with a host that is being reached: whether it has the program, how its node gets back to the session, and how
//! the node joins. `bring.sh` is what runs there.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::message::Join;
use super::server;
use crate::outcome::NodeFault;

/// What is read of a line that a host says, bytes, and how many of its last lines are kept.
const LONGEST: u64 = 4096;
const WORDS: usize = 3;

/// What a host may say before it says what it is asked, bytes.
const GREETING: u64 = 1 << 20;

/// How long a host may take to be reached.
const PATIENCE: Duration = Duration::from_secs(30);

/// What this program is called on a host that has got it: by what is in it. It is read once, however many hosts there are.
fn program() -> std::io::Result<(String, u64)> {
    static KNOWN: Mutex<Option<(String, u64)>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = &*known {
        return Ok(known.clone());
    }
    let bytes = std::fs::read("/proc/self/exe")?;
    let hash = xxhash_rust::xxh3::xxh3_128(&bytes);
    Ok(known
        .insert((format!("{hash:032x}"), bytes.len() as u64))
        .clone())
}

/// What a host's shell is to run.
pub fn command() -> std::io::Result<String> {
    let (hash, length) = program()?;
    Ok(script(&hash, length))
}

/// What runs on a host, as one word for a shell.
fn script(hash: &str, length: u64) -> String {
    let lines = include_str!("bring.sh").lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
    let text = format!("hash={hash}; length={length}; {}", lines.join(" "));
    shell_words::join(["exec", "sh", "-c", &text])
}

/// The ends of what reaches a host.
pub struct Ends {
    pub input: ChildStdin,
    pub output: ChildStdout,
    pub errors: ChildStderr,
}

/// How a node has come to its end.
pub enum Over {
    /// It never was one: the host was too busy with others to let anybody in.
    TurnedAway(NodeFault),
    Ended(NodeFault),
}

/// Gives a node what it needs, and waits for its end; why it has ended.
pub fn accompany(
    ends: Ends,
    mut join: Join,
    is_ssh: bool,
    tunnel: Option<&str>,
    tried: &dyn Fn(bool),
) -> Over {
    let Ends {
        mut input,
        output,
        errors,
    } = ends;
    let (ports, port) = channel();
    let forwarded = tunnel.unwrap_or_default().to_owned();
    let errors = std::thread::Builder::new().spawn(move || listen(errors, &forwarded, &ports));
    let errors = match errors {
        Ok(errors) => errors,
        Err(error) => return Over::Ended(NodeFault::Says(error.to_string())),
    };
    let mut output = BufReader::new(output);
    // From here, before the host's own way to it is known.
    let taken = server::wait_until_taken(&join).map_err(|error| match error.kind() {
        std::io::ErrorKind::TimedOut => NodeFault::NoServer,
        _ => NodeFault::Says(error.to_string()),
    });
    let told = taken.and_then(|()| match is_ssh {
        true => {
            let port = tunnel.map(|_| &port);
            bring(&mut input, &mut output, port, &mut join, tried)
        }
        false => Ok(()),
    });
    let told = told.and_then(|()| {
        let says = |error: std::io::Error| NodeFault::Says(error.to_string());
        let line = serde_json::to_string(&join).map_err(|error| says(error.into()))?;
        writeln!(input, "{line}")
            .and_then(|()| input.flush())
            .map_err(says)
    });
    if told.is_ok() {
        // Until it ends; it has nothing to say here.
        let _ = std::io::copy(&mut output, &mut std::io::sink());
    }
    drop(input);
    let said = errors.join().unwrap_or_default();
    if told == Err(NodeFault::Ended) && turns_away(&said) {
        return Over::TurnedAway(NodeFault::Says(said));
    }
    Over::Ended(match told {
        Err(fault @ NodeFault::NoWayBack) => fault,
        _ if !said.is_empty() => NodeFault::Says(said),
        Err(fault) => fault,
        Ok(()) => NodeFault::Ended,
    })
}

/// Sees to it that the host has the program and a way back.
fn bring(
    input: &mut ChildStdin,
    output: &mut BufReader<ChildStdout>,
    port: Option<&Receiver<Option<u16>>>,
    join: &mut Join,
    tried: &dyn Fn(bool),
) -> Result<(), NodeFault> {
    let says = |error: std::io::Error| NodeFault::Says(error.to_string());
    match first_word(output).map_err(says)? {
        First::Have => tried(true),
        First::Want => {
            // However long that takes.
            tried(false);
            let mut program = std::fs::File::open("/proc/self/exe").map_err(says)?;
            std::io::copy(&mut program, input).map_err(says)?;
            tried(true);
        }
        First::Ended(said) if said.is_empty() => return Err(NodeFault::Ended),
        First::Ended(said) => return Err(NodeFault::Says(said)),
    }
    let Some(port) = port else {
        return Ok(());
    };
    let Some(port) = port.recv_timeout(PATIENCE).ok().flatten() else {
        // Some hosts forbid it. There may be another way.
        return match join.is_reached() {
            true => Ok(()),
            false => Err(NodeFault::NoWayBack),
        };
    };
    let (scheme, _) = join.server.split_once("://").unwrap_or(("nats", ""));
    join.server = format!("{scheme}://127.0.0.1:{port}");
    Ok(())
}

/// What a host says first of all that is meant for this program.
#[derive(Debug, PartialEq, Eq)]
enum First {
    Have,
    Want,
    /// None of it; the last that it has said.
    Ended(String),
}

/// Reads until there. A shell may print a greeting before it, and not end its line.
fn first_word(output: &mut impl BufRead) -> std::io::Result<First> {
    let mut output = output.take(GREETING);
    let mut last = String::new();
    loop {
        let mut line = Vec::new();
        if output.read_until(b'\n', &mut line)? == 0 {
            return Ok(First::Ended(last));
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        if line.ends_with("regatta: have") {
            return Ok(First::Have);
        }
        if line.ends_with("regatta: want") {
            return Ok(First::Want);
        }
        if !line.is_empty() {
            last = line.chars().take(LONGEST as usize).collect();
        }
    }
}

/// Whether these words of ssh's are of a server that has let it go before it said anything: `MaxStartups`, of a host behind
/// which there are many.
fn turns_away(said: &str) -> bool {
    let before = [
        "kex_exchange_identification",
        "banner exchange",
        "Not allowed at this time",
    ];
    before.iter().any(|word| said.contains(word))
}

/// What ssh and the node have to say, but for the port that ssh has found there for the way to `tunnel`; it is told `None` when
/// there is none.
fn listen(errors: impl Read, tunnel: &str, ports: &Sender<Option<u16>>) -> String {
    let mut said: VecDeque<String> = VecDeque::new();
    let mut errors = BufReader::new(errors);
    loop {
        let mut line = Vec::new();
        let read = errors.by_ref().take(LONGEST).read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) {
            break;
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        match port_of(line, tunnel) {
            // Nobody waits for it any more, perhaps.
            Some(port) => drop(ports.send(port)),
            None if line.is_empty() || line.starts_with("Warning: Permanently added") => {}
            // The server was away for a while: that is no reason for anything later.
            None if line.starts_with("connect_to ") => {}
            None => {
                // The last words are the reason.
                said.push_back(line.to_owned());
                if said.len() > WORDS {
                    said.pop_front();
                }
            }
        }
    }
    Vec::from(said).join("; ")
}

/// What a line of ssh's says of the way back to this address.
fn port_of(line: &str, tunnel: &str) -> Option<Option<u16>> {
    // The configuration may have others, whose listening ports are not chosen by the host.
    if line == "Warning: remote port forwarding failed for listen port 0" {
        return Some(None);
    }
    let (number, rest) = line.strip_prefix("Allocated port ")?.split_once(' ')?;
    let is_it = rest.strip_prefix("for remote forward to ") == Some(tunnel);
    number.parse().ok().filter(|_| is_it).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_told_from_others() {
        let said = "bind [127.0.0.1]:8888: Address already in use\n\
                    Warning: remote port forwarding failed for listen port 8080\n\
                    Allocated port 41000 for remote forward to 127.0.0.1:9\n\
                    Allocated port 41001 for remote forward to 127.0.0.1:4222\r\n\
                    node: cannot\n";
        let (ports, port) = channel();
        let words = listen(said.as_bytes(), "127.0.0.1:4222", &ports);
        assert_eq!(port.try_iter().collect::<Vec<_>>(), [Some(41001)]);
        assert!(
            words.ends_with("remote forward to 127.0.0.1:9; node: cannot"),
            "{words}"
        );
        let none = "Warning: remote port forwarding failed for listen port 0";
        assert_eq!(port_of(none, "127.0.0.1:4222"), Some(None));
    }

    #[test]
    fn a_host_that_turns_ssh_away_is_told_from_one_that_is_not_there() {
        assert!(turns_away(
            "kex_exchange_identification: read: Connection reset by peer; Connection reset by 192.0.2.1 port 22"
        ));
        assert!(!turns_away(
            "ssh: connect to host node1 port 22: Connection refused"
        ));
        assert!(!turns_away(
            "root@192.0.2.1: Permission denied (publickey)."
        ));
    }

    #[test]
    fn greetings_of_a_host_are_passed_over() {
        let first = |said: &str| first_word(&mut said.as_bytes()).unwrap();
        assert_eq!(first("regatta: have\n"), First::Have);
        assert_eq!(
            first("Welcome\r\n\n* 3 updates\nregatta: want\r\n"),
            First::Want
        );
        assert_eq!(first("you have mail> regatta: have\n"), First::Have);
        let none = "This account is not available.";
        assert_eq!(first(&format!("{none}\n\n")), First::Ended(none.to_owned()));
        assert_eq!(first(""), First::Ended(String::new()));
    }

    #[test]
    fn what_runs_on_a_host_first_is_one_line() {
        let script = script("00ff", 12);
        assert!(!script.contains(['\n', '!', '#']), "{script}");
        assert!(script.starts_with("exec sh -c 'hash=00ff; length=12; set -e;"));
        let words = shell_words::split(&script).unwrap();
        let mut sh = std::process::Command::new("sh");
        let read = sh.args(["-n", "-c", &words[3]]).status().unwrap();
        assert!(read.success());
    }
}
