//! Maps whose engines are not there at all: what they say to their callers.

use std::os::unix::net::UnixStream;

use super::*;
use crate::ids::ArtifactId;
use crate::outcome::EngineActivity;
use crate::wire::{EAGER, FunctionAddress, MapBegin, PROGRESS, Workers};

fn begun(engines: &[(EngineId, Rank, bool)]) -> (Map, Channel) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let begin = MapBegin {
        options: MapOptions::default(),
        input_type: String::new(),
        output_type: String::new(),
        items: Some(9),
        workers: Workers::Engines {
            function: FunctionAddress {
                artifact: ArtifactId::default(),
                offset: 0,
            },
            captures: None,
        },
    };
    let pool = PoolName("p0".to_owned());
    let channel = Channel::new(ours);
    let (map, _) = Map::new(JobId(1), EngineId(0), channel, pool, engines, begin, None);
    (map, Channel::new(theirs))
}

#[test]
fn what_is_dead_does_not_start() {
    let engines = [1, 2, 3, 4].map(|id| (EngineId(id), Rank(id), id != 1));
    let (mut map, _theirs) = begun(&engines);
    map.died(EngineId(2), &DeathCause::Signal(9), None, false, false);
    map.died(EngineId(3), &DeathCause::Signal(9), None, false, true);
    map.told -= 2 * PROGRESS;
    let view = map.view(|_, _| Seen::default(), None).unwrap();
    let shown: Vec<_> = view.engines.into_iter().map(|one| one.activity).collect();
    use EngineActivity::{Dead, Idle, Starting};
    assert_eq!(shown, [Dead, Dead, Starting, Idle]);
}

/// The connection is the next map's then.
#[test]
fn nothing_is_told_after_the_end() {
    let engines = [(EngineId(1), Rank(0), true), (EngineId(2), Rank(1), true)];
    let (mut map, mut theirs) = begun(&engines);
    for _ in 0..EAGER {
        map.inputs(1, false, 0, Payload::of(vec![7]).unwrap());
    }
    let sent = |step: &Step| match step {
        Step::Send {
            engine,
            message: ToEngine::Chunk { span, .. },
            ..
        } => Some((*engine, span.chunk)),
        _ => None,
    };
    let chunks: Vec<(EngineId, u32)> = map
        .steps(&Elsewhere::default())
        .iter()
        .filter_map(sent)
        .collect();
    assert_eq!(chunks.len(), 2);
    map.fail(None, None, MapFault::Inputs("as wanted".to_owned()));
    for (engine, chunk) in chunks {
        let ended = ChunkEnded::well(1);
        map.chunk_done(engine, chunk, &ended, Payload::of(vec![7]).unwrap());
        map.died(engine, &DeathCause::Signal(9), None, false, false);
    }
    map.steps(&Elsewhere::default());
    map.flush();
    drop(map);
    let mut told = Vec::new();
    while let Ok((message, _)) = theirs.receive::<ToCaller>() {
        told.push(message);
    }
    assert!(
        matches!(told.last(), Some(ToCaller::Over { .. })),
        "{told:?}"
    );
}
