//! The engine's end of the control connection. One lock around each direction: a worker thread of a thread
//! pool may show a value while others do.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::context::context;
use crate::ids::{ArtifactId, JobId};
use crate::wire::{self, Channel, FromEngine, Payload, ToEngine, WireError};

type Frame = (ToEngine, Payload);

pub struct Link {
    reader: Mutex<Channel>,
    writer: Mutex<Channel>,
    /// Frames that came before the one that was waited for.
    aside: Mutex<VecDeque<Frame>>,
}

impl Link {
    /// Exchanges greetings.
    pub fn open(mut socket: UnixStream) -> Result<Self, WireError> {
        socket.write_all(&wire::greeting())?;
        let mut theirs = [0; 12];
        socket.read_exact(&mut theirs)?;
        wire::check_greeting(theirs)?;
        let writer = Channel::new(socket);
        Ok(Self {
            reader: Mutex::new(writer.twin()),
            writer: Mutex::new(writer),
            aside: Mutex::default(),
        })
    }

    fn writer(&self) -> MutexGuard<'_, Channel> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Channel> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn send(&self, message: &FromEngine, payload: &Payload) -> Result<(), WireError> {
        let mut writer = self.writer();
        writer.queue(message, payload)?;
        Ok(writer.flush()?)
    }

    /// To be sent together with what follows, by [`Self::flush`]; how many bytes wait.
    pub fn queue(&self, message: &FromEngine, payload: &Payload) -> Result<usize, WireError> {
        let mut writer = self.writer();
        writer.queue(message, payload)?;
        Ok(writer.queued())
    }

    pub fn flush(&self) -> Result<(), WireError> {
        Ok(self.writer().flush()?)
    }

    fn aside(&self) -> MutexGuard<'_, VecDeque<Frame>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame, when it is there already.
    pub fn waiting(&self) -> Result<Option<Frame>, WireError> {
        match self.aside().pop_front() {
            None => self.reader().next_frame(),
            some => Ok(some),
        }
    }

    /// Gives back the chunks of a job that have come and wait, and sends what is queued.
    pub fn give_back(&self, job: JobId) -> Result<(), WireError> {
        let chunks = self.take_back(job);
        if !chunks.is_empty() {
            self.queue(&FromEngine::GivenBack { job, chunks }, &Payload::None)?;
        }
        self.flush()
    }

    fn take_back(&self, job: JobId) -> Vec<u32> {
        let (mut aside, mut reader) = (self.aside(), self.reader());
        reader.look();
        // What cannot be read shows to whoever reads next.
        while let Ok(Some(frame)) = reader.next_frame() {
            aside.push_back(frame);
        }
        let mut chunks = Vec::new();
        aside.retain(|(message, _)| match message {
            ToEngine::Chunk { job: of, span } if *of == job => {
                chunks.push(span.chunk);
                false
            }
            _ => true,
        });
        chunks
    }

    /// Waits for the next frame.
    pub fn receive(&self) -> Result<Frame, WireError> {
        self.reader().receive()
    }

    /// Asks for an artifact and waits for its open file, or for why there is none.
    pub fn fetch(&self, wanted: ArtifactId) -> Result<Result<OwnedFd, String>, WireError> {
        let question = FromEngine::WantArtifact { artifact: wanted };
        let is_answer = |message: &ToEngine| matches!(message, ToEngine::Artifact { artifact, .. } if *artifact == wanted);
        let (answer, payload) = self.ask(&question, is_answer)?;
        let why = match answer {
            ToEngine::Artifact { why, .. } => why,
            _ => String::new(),
        };
        Ok(payload.into_file().ok_or(why))
    }

    /// Asks and waits for the answer; what comes before it comes [`Self::waiting`] next.
    pub fn ask(
        &self,
        question: &FromEngine,
        is_answer: impl Fn(&ToEngine) -> bool,
    ) -> Result<Frame, WireError> {
        self.send(question, &Payload::None)?;
        loop {
            let frame = self.receive()?;
            if is_answer(&frame.0) {
                return Ok(frame);
            }
            if matches!(frame.0, ToEngine::Library) {
                // What is asked for may need it.
                super::libraries::open(frame.1);
                continue;
            }
            self.aside().push_back(frame);
        }
    }
}

/// Sends from the C table.
pub fn send(message: &FromEngine, payload: &Payload) -> Result<(), WireError> {
    context().link.send(message, payload)
}
