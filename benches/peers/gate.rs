//! A cell at which a session waits while peers are measured, so that rounds of ours and of theirs alternate and
//! a busy moment of the machine meets both. The waiting side sleeps in the system and takes no core.

use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::outside::{Failure, Outcome};

const MARK: &str = "the session waits at the gate";

pub struct Gate(TcpListener);

impl Gate {
    pub fn new() -> Outcome<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0));
        listener
            .map(Self)
            .map_err(|error| Failure(format!("no gate: {error}")))
    }

    /// The cell that waits. It goes on by itself when the bench is gone.
    pub fn cell(&self) -> Outcome<String> {
        let address = self.0.local_addr();
        let address = address.map_err(|error| Failure(format!("no gate: {error}")))?;
        Ok(format!(
            "{{ let mut gate = std::net::TcpStream::connect(\"{address}\").unwrap(); \
             println!(\"{MARK}\"); \
             std::io::Read::read(&mut gate, &mut [0u8]).unwrap(); }};"
        ))
    }

    /// Whether this event says that the session has come to the gate.
    pub fn is_reached(event: &Value) -> bool {
        event["event"] == "output" && event["text"].as_str().is_some_and(|it| it.contains(MARK))
    }

    /// The session that waits; it goes on when this is dropped.
    pub fn waiting(&self) -> Outcome<TcpStream> {
        let accepted = self.0.accept();
        accepted
            .map(|(stream, _)| stream)
            .map_err(|error| Failure(format!("no session at the gate: {error}")))
    }
}
