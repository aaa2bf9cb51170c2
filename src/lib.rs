//! Regatta: an interactive, notebook-style REPL for Rust that commands a crew of engines.
//!
//! You type Rust; each cell is compiled once and runs on this session, on every engine of a pool, or as a
//! typed parallel map, and you see per-engine results in a table.
//!
//! # Processes
//!
//! ```text
//!  terminal ─► this process: line editor ► cell parser ► magics ► session
//!                │                                  │
//!                │ compiler (process): evcxr,       │ hub: schedules maps, owns engine processes
//!                │ rust-analyzer; may outlive us    │
//!                ▼                                  ▼
//!            artifact (.so), compiled ONCE ──► local engine    (process; thread pools live inside)
//!                                      ├─────► engine 0 … N-1  (processes of a pool)
//!                                      └─────► nodes on other hosts, each with engines of its own
//! ```
//!
//! The one binary plays every part; [`cli`] sorts out the roles: the session, an engine, the compiler, evcxr's child
//! (the relay, which only says what was compiled), the programs of the toolchain as evcxr finds them, rustc's
//! wrapper, the cleaner of the compiler's folder, a node, and what keeps servers and clusters.
//!
//! The compiler's process is warm some seconds after its start, and forgets everything when its session ends, so that
//! the next one finds it warm (`compiler::warm`). When it dies, another one is told of the session's definitions and
//! of the types of its variables; their values are in the engines.
//!
//! # Rooms
//!
//! Data runs downwards; outcomes come back up as values, and only the renderer turns them into text. A room
//! never imports one above it (`tests/rooms.rs` holds it to that).
//!
//! | room | what it is for |
//! |---|---|
//! | [`cli`] | the command line and the roles |
//! | [`repl`] | line editor, prompt, the read–evaluate–render loop |
//! | [`assist`] | what can be typed at a place, as plain data: for the prompt and any other front end |
//! | `notebook_run` | notebooks and single cells without a terminal |
//! | [`magic`] | one file per magic; help, completion and docs derive from their declarations |
//! | [`session`] | composes the workshop (compiler, definitions, settings) and the crew (hub, pools, who has what); one pump |
//! | [`c`] | C to shared objects and the Rust functions that call them: parsed, wrapped, compiled by the user's `cc` |
//! | [`compiler`] | the only importer of evcxr: artifacts, states, diagnostics as data, warm-up |
//! | [`pool`] | the hub thread: engines and where they come from, maps, their ledger and dispatch (pure) |
//! | [`children`] | the session's child programs: a pure state machine of each, and the thread that supervises them |
//! | [`engine`] | the engine process: loop, loader, host table, thread pools; the only unsafe room here |
//! | [`store`] | named values that engines, the session and child scripts share: calls to it, and the session's own one |
//! | [`servers`] | programs that serve this session alone, kept running and ended with it |
//! | [`wire`] | handshake, messages, frames, payloads as bytes or as files |
//! | [`render`] | outcomes to tables, errors, JSON |
//! | [`notebook`] | Markdown notebooks in and out, masks, comparison |
//! | [`cell`] | text to segments (Rust, magic calls), targets, items |
//! | [`outcome`], [`vocabulary`], [`ids`] | plain values that rooms exchange |
//!
//! # A cell's way
//!
//! [`magic::evaluate`] parses the whole cell first, so that a typo in its last line runs nothing. Rust goes to
//! [`session::Session::run_local`]: the compiler turns code and the namespace's state into an artifact
//! and the state after it. evcxr keeps a variable only when it knows its type, for which its own rust-analyzer would
//! have to read the standard library first: ours does, beside the first cells, and evcxr is told (`compiler::told`).
//! Nor does a cell wait for cargo once its crates are built (`compiler::tools`). An artifact is named by its
//! content and its toolchain; an engine that lacks it asks the hub, which gives it as an open file. The session
//! follows the engine's events to its end and adopts the new state only when the cell ran through. `%px` does the
//! same once per set of variables that its engines have.
//! Whatever the session waits for is a condition that one pump (`session::crew::pump`) looks at between events, and
//! every event goes to the flight of its engine, whoever waits: so cells in the background come to their end beside
//! others. Events carry the cell and the job that they belong to, and data instead of words: those are `render`'s.
//!
//! # A map's way
//!
//! `%map` is written out as a call of the cell crate's map, which the local engine runs: the caller. For its time
//! the map has a connection to itself, on which the hub asks for inputs and gives results, so that a map in the
//! background is served by a thread of its own while the local engine runs other cells; afterwards the connection
//! is kept for the next map. A generic function of the map's instance describes the user's function: how it is made
//! from the captured variables, run over a chunk, dropped. Its address less the artifact's load address names it in
//! every engine. Captured variables travel once per engine and value, known by their content's hash; where they are
//! large numbers, the pages of that payload are the values' own (`engine::laid`). Of the cell crate only what
//! depends on a map's types is generic: the rest would be compiled anew with every cell.
//!
//! The hub pulls chunks as the map's dispatch (`pool::dispatch`, pure) asks for them, sends each to an engine, and
//! passes its results on; an engine that dies is replaced, and its items run elsewhere. What has become of each
//! input stands in the map's ledger (`pool::ledger`, pure), the one home of the first invariant. Each engine shares
//! a page of numbers with the hub: the item that it is at, so that the item that ended it is known, and a job
//! whose items it should stop. Payloads of more than a few tens of kilobytes are buffers in shared memory that
//! travel as open files; nothing of them has a name in any file system, so nothing can be left behind. Caller
//! and hub stay awake for the first moments of a map: to be woken takes longer than a short map.
//!
//! # Engines on other hosts
//!
//! A node (`pool::cluster::node`, `regatta node`) is a process on another host that runs engines for the session. It is
//! reached by ssh, which carries the program there and a way back to a NATS server that the session has started for itself.
//! To the hub an engine of a node is one like any other (`pool::cluster::remote`), without a connection of its own: what it
//! says, prints and counts waits on a seat until the hub takes it, put there by a proxy on a thread of the session's own, which
//! also takes what the hub says. Between proxy and node go messages that are numbered, acknowledged and sent again
//! (`pool::cluster::ordered`, pure), so that the server may be killed. Each node has a user of its
//! own at the server (`pool::cluster::users`), which other hosts reach encrypted, if at all (`pool::cluster::listen`), or which
//! is one that was there (`pool::cluster::backbone`). Artifacts, the shared objects that they link to, and captured variables
//! are known by their content, and go once to each node. A cluster that outlives its session belongs to a process beside it, the
//! holder (`pool::cluster::keep`): it has the server and the connections to the nodes, and one session at a time has it. Its
//! maps, and those of clusters with `--durable`, go through a work queue on the server (`pool::cluster::queue`), from which nodes
//! take pieces; what is queued is done and kept without a session, and later ones find it (`queue::former`). Ranks
//! on several hosts have a copy of their world's memory each, which nodes keep alike (`engine::comm::relay`).
//!
//! # Invariants
//!
//! 1. A finished map has exactly one result or one error per input index, in order, whatever died meanwhile.
//! 2. An engine's death, a panic, a compile error and an interrupt are different outcomes; one engine's
//!    failure is an outcome of that engine, never an error of the session.
//! 3. A failed cell leaves every variable and definition that it did not consume as it was; what is lost is
//!    named.
//! 4. This process never runs user code; an engine never compiles.
//! 5. Every number shown is measured.

#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the map is for those who work in the rooms: `cargo doc --document-private-items`"
)]

mod assist;
mod c;
mod cell;
mod children;
pub mod cli;
mod compiler;
#[allow(
    unsafe_code,
    reason = "it loads foreign code and serves it through a C table"
)]
mod engine;
mod ids;
mod magic;
mod notebook;
mod notebook_run;
mod outcome;
mod pool;
mod render;
mod repl;
mod servers;
mod session;
mod store;
mod vocabulary;
mod wire;

// What the tests of the documentation and of the examples read.
pub use magic::{examples, readme_table};
