//! The engine's loop on a connection whose other end the test holds: frames in order, and such as are wrong, late
//! or cut. No process, no artifact.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use regatta_cell::options::MapOptions;

use super::context::Context;
use super::link::Link;
use super::serve;
use crate::ids::{ArtifactId, EngineId, JobId, PoolName, Rank, ToolchainStamp};
use crate::wire::places::Places;
use crate::wire::{
    Channel, FromEngine, Function, FunctionAddress, Payload, RunEnd, Runs, Span, Task, ToEngine,
    WireError, greeting, memory_file,
};

/// An engine on a thread of its own, and the session's end of its connection, greetings exchanged.
fn engine() -> (UnixStream, JoinHandle<Result<(), WireError>>) {
    let (mut session, engine) = greeted(greeting());
    let mut theirs = [0; 12];
    session.read_exact(&mut theirs).expect("a greeting");
    assert_eq!(theirs, greeting());
    (session, engine)
}

fn greeted(with: [u8; 12]) -> (UnixStream, JoinHandle<Result<(), WireError>>) {
    let (mut session, socket) = UnixStream::pair().expect("a pair");
    let engine = std::thread::spawn(|| serve(&Context::new(Link::open(socket)?)));
    session.write_all(&with).expect("the engine listens");
    (session, engine)
}

fn ended(engine: JoinHandle<Result<(), WireError>>) -> Result<(), WireError> {
    engine.join().expect("the engine does not panic")
}

fn welcome() -> ToEngine {
    ToEngine::Welcome {
        id: EngineId(7),
        rank: Rank(0),
        size: 2,
        pool: Some(PoolName("p0".to_owned())),
        session: 0,
    }
}

const ARTIFACT: ArtifactId = ArtifactId {
    content: 7,
    toolchain: ToolchainStamp(1),
};

/// The answer to an engine that wants it.
fn none() -> ToEngine {
    ToEngine::Artifact {
        artifact: ARTIFACT,
        why: "/no/such/artifact.so".to_owned(),
    }
}

fn run() -> ToEngine {
    ToEngine::Run {
        artifact: ARTIFACT,
        entry: "run_user_code_0".to_owned(),
        pools: Vec::new(),
        places: Places::default(),
    }
}

fn chunk(job: u32, chunk: u32) -> ToEngine {
    let span = Span {
        chunk,
        first: 0,
        count: 1,
        from: 0,
        to: 1,
    };
    ToEngine::Chunk {
        job: JobId(job),
        span,
    }
}

fn function(job: u32) -> ToEngine {
    let task = Task {
        runs: Runs::Function(Function {
            address: FunctionAddress {
                artifact: ARTIFACT,
                offset: 64,
            },
            captures: None,
        }),
        options: MapOptions::default(),
    };
    ToEngine::Task {
        job: JobId(job),
        task,
        places: Places::default(),
    }
}

/// What the engine answers, in few words.
fn said(message: &FromEngine) -> String {
    match message {
        FromEngine::Ready => "ready".to_owned(),
        FromEngine::WantArtifact { artifact: ARTIFACT } => "wants it".to_owned(),
        FromEngine::RunDone {
            end: RunEnd::NotLoaded { why },
            ..
        } => format!("not run: {}", why.contains("/no/such/artifact.so")),
        FromEngine::ChunkDone { chunk, ended, .. } => {
            let why = ended.error.as_ref().map(|error| error.message.as_str());
            let why = why.unwrap_or_default();
            let why = if why.contains("/no/such/artifact.so") {
                "no artifact"
            } else {
                why
            };
            format!("chunk {chunk}, {} done: {why}", ended.done)
        }
        other => panic!("not expected: {other:?}"),
    }
}

/// Everything that the engine answers until it ends.
fn answers(session: UnixStream) -> Vec<String> {
    let mut session = Channel::new(session);
    let mut answers = Vec::new();
    while let Ok((message, _)) = session.receive() {
        answers.push(said(&message));
    }
    answers
}

/// The frames as bytes, and where each of them ends.
fn bytes(messages: &[ToEngine]) -> (Vec<u8>, Vec<usize>) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let mut channel = Channel::new(ours);
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for message in messages {
        channel.queue(message, &Payload::None).expect("a frame");
        let length = channel.queued();
        channel.flush().expect("room");
        let mut frame = vec![0; length];
        theirs.read_exact(&mut frame).expect("a frame");
        all.extend(frame);
        ends.push(all.len());
    }
    (all, ends)
}

fn talk() -> ([ToEngine; 9], [&'static str; 8]) {
    let said = [
        welcome(),
        run(),
        none(),
        chunk(3, 0),
        function(3),
        chunk(3, 1),
        none(),
        run(),
        none(),
    ];
    let heard = [
        "ready",
        "wants it",
        "not run: true",
        "chunk 0, 0 done: the job is not known here",
        "wants it",
        "chunk 1, 0 done: no artifact",
        "wants it",
        "not run: true",
    ];
    (said, heard)
}

#[test]
fn each_frame_is_answered_in_order() {
    let (frames, heard) = talk();
    let (bytes, _) = bytes(&frames);
    let (mut session, engine) = engine();
    session.write_all(&bytes).expect("the engine listens");
    session.shutdown(Shutdown::Write).expect("a socket");
    assert_eq!(answers(session), heard);
    assert!(ended(engine).is_ok(), "the session has left");
}

#[test]
fn frames_that_come_late_or_in_pieces_are_answered_the_same() {
    let (frames, heard) = talk();
    let (bytes, _) = bytes(&frames);
    let (mut session, running) = engine();
    for byte in bytes {
        session.write_all(&[byte]).expect("the engine listens");
    }
    session.shutdown(Shutdown::Write).expect("a socket");
    assert_eq!(answers(session), heard);
    assert!(ended(running).is_ok());

    // What is about a job that is over, or was never there.
    let (session, running) = engine();
    let mut session = Channel::new(session);
    let unknown = "chunk 4, 0 done: the job is not known here";
    for (late, heard) in [
        (welcome(), Some("ready")),
        (function(1), None),
        (chunk(1, 0), Some("wants it")),
        (none(), Some("chunk 0, 0 done: no artifact")),
        (none(), None),
        (ToEngine::JobOver { job: JobId(1) }, None),
        (ToEngine::JobOver { job: JobId(1) }, None),
        (ToEngine::ForgetCapture { hash: 5 }, None),
        (chunk(1, 4), Some(unknown)),
        (ToEngine::Resized { size: 9 }, None),
        (welcome(), Some("ready")),
        (chunk(2, 4), Some(unknown)),
    ] {
        session.queue(&late, &Payload::None).expect("a frame");
        session.flush().expect("the engine listens");
        if let Some(heard) = heard {
            let (message, _) = session.receive().expect("an answer");
            assert_eq!(said(&message), heard, "{late:?}");
        }
    }
    drop(session);
    assert!(ended(running).is_ok());
}

#[test]
fn a_connection_cut_anywhere_ends_the_engine_after_what_came_whole() {
    let (frames, heard) = talk();
    let (bytes, ends) = bytes(&frames);
    // The fifth frame has no answer.
    let answered = |whole: usize| whole - usize::from(whole > 4);
    for cut in 0..=bytes.len() {
        let (mut session, engine) = engine();
        session
            .write_all(&bytes[..cut])
            .expect("the engine listens");
        session.shutdown(Shutdown::Write).expect("a socket");
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(answers(session), heard[..answered(whole)], "at {cut}");
        let between = cut == 0 || ends.contains(&cut);
        match ended(engine) {
            Ok(()) => assert!(between, "at {cut}"),
            Err(WireError::Cut) => assert!(!between, "at {cut}"),
            Err(error) => panic!("at {cut}: {error}"),
        }
    }
}

#[test]
fn what_comes_before_an_artifact_waits_for_its_turn() {
    let other = ToEngine::Artifact {
        artifact: ArtifactId::default(),
        why: String::new(),
    };
    let frames = [run(), chunk(3, 0), other, welcome(), none(), chunk(4, 1)];
    let (bytes, _) = bytes(&frames);
    let (mut session, engine) = engine();
    session.write_all(&bytes).expect("the engine listens");
    session.shutdown(Shutdown::Write).expect("a socket");
    let unknown = |chunk| format!("chunk {chunk}, 0 done: the job is not known here");
    let heard = [
        "wants it".to_owned(),
        "not run: true".to_owned(),
        unknown(0),
        "ready".to_owned(),
        unknown(1),
    ];
    assert_eq!(answers(session), heard);
    assert!(ended(engine).is_ok());
}

#[test]
fn a_session_that_leaves_with_answers_unread_ends_the_engine() {
    let (session, running) = engine();
    let mut session = Channel::new(session);
    for message in [welcome(), run(), chunk(1, 0)] {
        session.queue(&message, &Payload::None).expect("a frame");
    }
    session.flush().expect("the engine listens");
    drop(session);
    // It may find out while it answers, or when it listens again.
    match ended(running) {
        Ok(()) | Err(WireError::Io(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_is_wrong_ends_the_engine_with_the_reason() {
    let mut older = greeting();
    older[8] -= 1;
    let (_session, engine_of) = greeted(older);
    assert!(matches!(ended(engine_of), Err(WireError::Version(_))));
    let (_session, engine_of) = greeted(*b"GET / HTTP/1");
    assert!(matches!(ended(engine_of), Err(WireError::Version(_))));

    let (welcome_bytes, _) = bytes(&[welcome()]);
    let after_welcome = |wrong: &[u8]| {
        let (mut session, running) = engine();
        session.write_all(&welcome_bytes).expect("it listens");
        session.write_all(wrong).expect("it listens");
        let ended = ended(running).expect_err("it is wrong");
        assert_eq!(answers(session)[..], ["ready"], "{ended}");
        ended
    };
    let absurd = after_welcome(&[0xff; 16]);
    assert!(matches!(absurd, WireError::TooLong(_)), "{absurd}");
    // A header of one byte that no message begins with, and one that ends in its middle.
    let unknown = after_welcome(&[1, 0, 0, 0, 1, 0, 0, 0, 0x7f]);
    assert!(matches!(unknown, WireError::Malformed(_)), "{unknown}");
    let short = after_welcome(&[1, 0, 0, 0, 1, 0, 0, 0, 0]);
    assert!(matches!(short, WireError::Malformed(_)), "{short}");
    // `Data`, whose payload is said to be a file: none comes.
    let fileless = after_welcome(&[1, 0, 0, 0, 1, 0, 0, 0x80, 2]);
    assert!(matches!(fileless, WireError::NoFile), "{fileless}");
}

#[test]
fn memory_that_is_shorter_than_it_says_is_refused() {
    // Looking beyond a file's end would kill the process.
    for message in [welcome(), ToEngine::Data, ToEngine::Capture { hash: 1 }] {
        let file = memory_file().expect("a file");
        std::os::unix::fs::FileExt::write_all_at(&file, &100_u64.to_ne_bytes(), 8).expect("room");
        let (session, running) = engine();
        let mut session = Channel::new(session);
        let payload = Payload::file(file.into());
        session.queue(&message, &payload).expect("a frame");
        session.flush().expect("the engine listens");
        let error = ended(running).expect_err("too short");
        assert!(error.to_string().contains("shorter"), "{error}");
    }
}
