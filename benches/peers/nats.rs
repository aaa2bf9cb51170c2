//! NATS without anything of regatta: a server, somebody on a host who answers, and a request there and back. They reach
//! each other as nodes and sessions do, through an ssh connection's tunnel.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;

use crate::figures::median;
use crate::hosts::{Hosts, free_port};
use crate::outside::{Failure, Outcome};

/// The argument by which this binary knows that it is to answer; the server's address follows.
pub const ANSWERS: &str = "__answers";

const SUBJECT: &str = "bench";
const TRIPS: usize = 2000;
/// Trips that only warm.
const FIRST: usize = 100;
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Bare {
    port: u16,
    children: Vec<Child>,
}

impl Bare {
    pub fn start(hosts: &Hosts) -> Outcome<Self> {
        let port = free_port()?;
        let mut bare = Self {
            port,
            children: Vec::new(),
        };
        let number = port.to_string();
        let mut server = Command::new("nats-server");
        server.args(["-a", "127.0.0.1", "-p", &number]);
        bare.run(&mut server)?;
        let itself = std::env::current_exe().map_err(failed)?;
        let (itself, way) = (
            itself.to_string_lossy().into_owned(),
            format!("127.0.0.1:{port}:127.0.0.1:{port}"),
        );
        let url = format!("nats://127.0.0.1:{port}");
        bare.run(&mut hosts.on(1, &["-R", &way], &[&itself, ANSWERS, &url]))?;
        Ok(bare)
    }

    fn run(&mut self, command: &mut Command) -> Outcome<()> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null());
        self.children
            .push(command.stderr(Stdio::null()).spawn().map_err(failed)?);
        Ok(())
    }

    /// The median seconds of a request with eight bytes and its answer.
    pub fn trip(&self) -> Outcome<f64> {
        let trips = async {
            let url = format!("nats://127.0.0.1:{}", self.port);
            let since = Instant::now();
            let client = loop {
                match async_nats::connect(&url).await {
                    Ok(client) => break client,
                    Err(error) if since.elapsed() > PATIENCE => return Err(error.to_string()),
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            };
            let ask = || client.request(SUBJECT, vec![7; 8].into());
            while let Err(error) = ask().await {
                if since.elapsed() > PATIENCE {
                    return Err(error.to_string());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let mut times = Vec::with_capacity(TRIPS);
            for _ in 0..FIRST + TRIPS {
                let begin = Instant::now();
                ask().await.map_err(|error| error.to_string())?;
                times.push(begin.elapsed().as_secs_f64());
            }
            Ok(times)
        };
        let times = runtime()?.block_on(trips).map_err(Failure)?;
        Ok(median(&times[FIRST..]))
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn failed(error: io::Error) -> Failure {
    Failure(error.to_string())
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)
}

/// Answers until its server is gone.
pub fn answers() -> Outcome<()> {
    let url = std::env::args().nth(2).unwrap_or_default();
    let answer = async {
        let client = async_nats::connect(&url)
            .await
            .map_err(|error| error.to_string())?;
        let asked = client.subscribe(SUBJECT).await;
        let mut asked = asked.map_err(|error| error.to_string())?;
        while let Some(question) = asked.next().await {
            if let Some(to) = question.reply {
                let sent = client.publish(to, question.payload).await;
                sent.map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    };
    runtime()?.block_on(answer).map_err(Failure)
}
