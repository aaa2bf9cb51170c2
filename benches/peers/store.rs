//! The store that everybody sees: one count there and back, in the session's own store and on Redis. The peer is
//! Redis' own benchmark with one connection.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::figures::{Ratio, Row, Target};
use crate::outside::{Failure, Outcome, Programs, output};
use crate::{install, progress, session};

const ROUNDS: usize = 5;

/// Prints the seconds of one.
const COUNT: &str = "{ for _ in 0..2000 { store::incr(\"n\", 1); } let begin = std::time::Instant::now(); \
    for _ in 0..100_000 { store::incr(\"n\", 1); } println!(\"{}\", begin.elapsed().as_secs_f64() / 1e5); }";

pub fn incr(programs: &Programs) -> Outcome<(Vec<Row>, String)> {
    progress("the store");
    let redis = Redis::start(programs)?;
    let mut theirs = Vec::new();
    let opening = ["%opt 3".to_owned(), "%pool start -n 1".to_owned()];
    let rounds = session::alternate(
        programs,
        &opening,
        ROUNDS,
        |_| {
            vec![
                "%store use embedded".to_owned(),
                format!("%px {COUNT}"),
                format!("%store use unix:{}", redis.socket.display()),
                format!("%px {COUNT}"),
            ]
        },
        &mut |round| {
            let seconds = redis.benchmark()?;
            if round > 0 {
                theirs.push(seconds);
            }
            Ok(())
        },
    )?;
    let ours = |cell: usize| -> Outcome<Vec<f64>> {
        rounds.iter().map(|round| round[cell].printed()).collect()
    };
    let peer = "redis-benchmark -c 1, unix socket";
    let rows = vec![
        Row::against(
            "store::incr, embedded",
            &ours(1)?,
            (&theirs, peer),
            Ratio::Faster,
            Target::AtLeast(1.0),
        ),
        Row::against(
            "store::incr on Redis",
            &ours(3)?,
            (&theirs, peer),
            Ratio::Share,
            Target::AtMost(1.3),
        ),
    ];
    let note = format!(
        "the store: the loop of the cell `%px {COUNT}` on one engine by its own clock, with `%opt 3`; `redis-benchmark -t \
         incr -c 1 -n 100000` on the same server's socket; {ROUNDS} alternating rounds."
    );
    Ok((rows, note))
}

/// A server of the bench's own, on a socket alone.
pub struct Redis {
    server: Child,
    pub socket: PathBuf,
    folder: tempfile::TempDir,
}

impl Redis {
    pub fn start(programs: &Programs) -> Outcome<Self> {
        install::debian(
            &["redis-server", "redis-benchmark", "redis-cli"],
            &["redis-server", "redis-tools"],
        )?;
        let failed = |error: std::io::Error| Failure(format!("redis-server: {error}"));
        // A socket's path has to be short.
        let folder = tempfile::tempdir().map_err(failed)?;
        let socket = folder.path().join("redis");
        let server = Command::new("redis-server")
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--unixsocket",
            ])
            .arg(&socket)
            .current_dir(&programs.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let redis = Self {
            server,
            socket,
            folder,
        };
        let until = Instant::now() + Duration::from_secs(10);
        while redis.client(&["PING"]).is_err() {
            if Instant::now() > until {
                return Err(Failure("redis-server does not answer".to_owned()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(redis)
    }

    pub fn client(&self, words: &[&str]) -> Outcome<String> {
        output(
            Command::new("redis-cli")
                .arg("-s")
                .arg(&self.socket)
                .args(words),
            "",
        )
    }

    /// Seconds of one `INCR`.
    fn benchmark(&self) -> Outcome<f64> {
        let mut benchmark = Command::new("redis-benchmark");
        benchmark.arg("-s").arg(&self.socket);
        benchmark.args(["-t", "incr", "-c", "1", "-n", "100000", "--csv"]);
        let text = output(&mut benchmark, "")?;
        // A table: the second field of the last line is how many per second.
        let last = text.lines().last().unwrap_or_default();
        let field = last.split(',').nth(1).unwrap_or_default();
        let per_second: Result<f64, _> = field.trim_matches('"').parse();
        per_second
            .map(|count| 1.0 / count)
            .map_err(|_| Failure(format!("redis-benchmark: {text}")))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may be gone; its folder goes with the bench.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(self.folder.path());
    }
}
