//! What this binary does when the bench starts it a second time: the plain programs to compare with, which
//! know nothing of regatta and of the measuring around them.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::figures::median;
use crate::nats;
use crate::outside::{Failure, Outcome, Programs, output};

/// The argument by which it knows its part.
const ECHO: &str = "__echo";
const SPINS: &str = "__spins";

const MESSAGE: usize = 64;
const TRIPS: usize = 20_000;
/// Trips that only warm.
const FIRST: usize = 1000;

/// Plays a part if the arguments name one.
pub fn part() -> Option<Outcome<()>> {
    match std::env::args().nth(1)?.as_str() {
        ECHO => Some(echo().map_err(failed)),
        SPINS => Some(spins()),
        nats::ANSWERS => Some(nats::answers()),
        _ => None,
    }
}

fn failed(error: io::Error) -> Failure {
    Failure(error.to_string())
}

fn itself() -> Outcome<Command> {
    std::env::current_exe().map(Command::new).map_err(failed)
}

/// Sends back what comes by its standard input, which is a socket, until that is closed.
fn echo() -> io::Result<()> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut message = [0; MESSAGE];
    while socket.read_exact(&mut message).is_ok() {
        socket.write_all(&message)?;
    }
    Ok(())
}

/// Seconds that 64 bytes need to another process and back, over a socket and with nothing else to do.
pub fn ping_pong() -> Outcome<f64> {
    let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut child = itself()?
        .arg(ECHO)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .map_err(failed)?;
    let mut trips = || -> io::Result<Vec<f64>> {
        let mut times = Vec::with_capacity(TRIPS);
        let mut message = [7; MESSAGE];
        for _ in 0..FIRST + TRIPS {
            let begin = Instant::now();
            ours.write_all(&message)?;
            ours.read_exact(&mut message)?;
            times.push(begin.elapsed().as_secs_f64());
        }
        Ok(times)
    };
    let times = trips();
    drop(ours);
    child.wait().map_err(failed)?;
    Ok(median(&times.map_err(failed)?[FIRST..]))
}

/// Seconds to copy so many numbers from one place in memory to another that was touched before.
pub fn copy(numbers: usize) -> f64 {
    let from = vec![1.0_f64; numbers];
    // Zeros would be pages that the system gives only when they are written.
    let mut to = vec![2.0_f64; numbers];
    let begin = Instant::now();
    to.copy_from_slice(std::hint::black_box(&from));
    std::hint::black_box(&mut to);
    begin.elapsed().as_secs_f64()
}

pub const SPIN_ITEMS: u64 = 10_000;
pub const SPIN: Duration = Duration::from_micros(50);

/// The item of `spins`, by the clock: a cell's code is not optimised as a program's, and the same loop would take
/// another time.
fn spin(x: u64) -> u64 {
    let begin = Instant::now();
    while begin.elapsed() < SPIN {}
    x
}

/// rayon's `par_iter` on two threads; prints the seconds of the second time, when the threads are there.
fn spins() -> Outcome<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    let pool = pool.map_err(|error| Failure(error.to_string()))?;
    let mut seconds = 0.0;
    for _ in 0..2 {
        let begin = Instant::now();
        let got: Vec<u64> = pool.install(|| (0..SPIN_ITEMS).into_par_iter().map(spin).collect());
        seconds = begin.elapsed().as_secs_f64();
        if got != (0..SPIN_ITEMS).collect::<Vec<_>>() {
            return Err(Failure("rayon gave other results".to_owned()));
        }
    }
    writeln!(io::stdout(), "{seconds}").map_err(failed)
}

/// Seconds of rayon's `par_iter` over the spinning items in a program of its own.
pub fn rayon_program(programs: &Programs) -> Outcome<f64> {
    let program = std::env::current_exe().map_err(failed)?;
    let text = output(programs.command(&program).arg(SPINS), "")?;
    text.trim()
        .parse()
        .map_err(|_| Failure(format!("no number was printed: {text:?}")))
}
