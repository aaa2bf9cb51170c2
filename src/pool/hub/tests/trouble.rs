//! What can happen to a recorded map: what happens of itself, and what goes wrong or is wished.

use super::*;

/// What goes wrong, or is wished. How often it may is limited; everything else happens of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The engine dies: at an item or before it, and another process can be started in its place or not.
    Dies {
        engine: EngineId,
        at: bool,
        replaced: bool,
    },
    /// It takes too long with an item: it is to be killed, and may answer before that.
    IsSlow(EngineId),
    /// It dies just after it has answered.
    AnswersAndDies(EngineId),
    Panics(EngineId),
    /// Its command takes its time: what waits behind it is to run elsewhere.
    GivesBack(EngineId),
    /// The caller cancels; Ctrl-C; the same with force; nobody waits any longer.
    CallerCancels,
    Ends(EndEarly),
    CallerDies,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Answers(EngineId),
    /// As it was told, after none of the items of its chunk.
    Stops(EngineId),
    /// An engine that was started in the place of another answers for the first time.
    ComesUp(EngineId),
    /// It was killed.
    Falls(EngineId),
    CallerGives,
    CallerCloses,
    TimeIsUp,
    Trouble(Trouble),
}
