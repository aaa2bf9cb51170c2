//! What `mpiexec` says of an engine's end, for when nobody else tells.

use crate::ids::Rank;
use crate::outcome::{DeathCause, MpiFault};

/// Who ended first, as Open MPI says it.
pub fn rank(said: &str, size: usize) -> Option<Rank> {
    // `process rank 1 with PID 0 on node …`; `Process name: [[7,1],1]`.
    let rank = number_behind(said, "process rank ")
        .or_else(|| number_behind(said.split_once("Process name: [[")?.1, "],"));
    rank.filter(|rank| (*rank as usize) < size).map(Rank)
}

/// How that one ended; `status` is the exit status of `mpiexec`.
pub fn cause(said: &str, status: i32) -> DeathCause {
    // `exited on signal 9 (Killed)`; `EXIT STRING: Killed (signal 9)`.
    let signal = number_behind(said, "on signal ").or_else(|| number_behind(said, "(signal "));
    if let Some(signal) = signal {
        return DeathCause::Signal(signal.cast_signed());
    }
    // `Exit code: 3`; `EXIT CODE: 3`.
    let code = number_behind(said, "Exit code: ").or_else(|| number_behind(said, "EXIT CODE: "));
    match code {
        Some(code) => DeathCause::Exit(code.cast_signed()),
        None if status > 128 => DeathCause::Signal(status - 128),
        None => DeathCause::Exit(status),
    }
}

/// What it says when none of its processes has come to be an engine.
pub fn summary(said: &str, status: i32) -> String {
    match short(said) {
        said if said.is_empty() => MpiFault::Ended(status).to_string(),
        said => said,
    }
}

/// What it says without the frames that it draws, and each line once: all processes say the same.
pub fn short(said: &str) -> String {
    let is_frame = |line: &str| line.chars().all(|letter| "-=*+ ".contains(letter));
    let mut lines: Vec<&str> = Vec::new();
    for line in said.lines().map(str::trim).filter(|line| !is_frame(line)) {
        if lines.len() < 12 && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The number that follows these words, blanks between.
fn number_behind(text: &str, words: &str) -> Option<u32> {
    let (_, rest) = text.split_once(words)?;
    let rest = rest.trim_start();
    let end = rest.find(|letter: char| !letter.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_mpi_tells_who_was_killed() {
        let said = "--------\nmpirun noticed that process rank 1 with PID 0 on node x exited on signal 9 (Killed).\n";
        assert_eq!(rank(said, 2), Some(Rank(1)));
        assert_eq!(cause(said, 137), DeathCause::Signal(9));
    }

    #[test]
    fn open_mpi_tells_who_ended_itself() {
        let said = "mpirun detected that one or more processes exited with non-zero status, thus causing\n\
                    the job to be terminated. The first process to do so was:\n\n  \
                    Process name: [[26313,1],2]\n  Exit code:    3\n";
        assert_eq!(rank(said, 3), Some(Rank(2)));
        assert_eq!(rank(said, 2), None);
        assert_eq!(cause(said, 3), DeathCause::Exit(3));
    }

    #[test]
    fn mpich_tells_how_it_ended() {
        let said = "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n=   PID 8 RUNNING AT x\n\
                    =   EXIT CODE: 11\nYOUR APPLICATION TERMINATED WITH THE EXIT STRING: Segmentation fault (signal 11)\n";
        assert_eq!(rank(said, 2), None);
        assert_eq!(cause(said, 139), DeathCause::Signal(11));
    }

    #[test]
    fn of_what_did_not_start_the_words_are_passed_on() {
        assert_eq!(rank("no slots\n", 1), None);
        assert_eq!(summary("-----\nno slots\n-----\n", 1), "no slots");
        assert_eq!(
            summary("", 3),
            "what was to start them ended with exit status 3"
        );
    }
}
