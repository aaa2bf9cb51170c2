//! Maps through a work queue: pieces of their inputs are messages of a stream on the cluster's server, nodes take them when
//! their engines have room, and results are messages of another one. What is queued is done, and what was done is there,
//! whatever becomes of the session.
//!
//! | file | what it is for | whose |
//! |---|---|---|
//! | `schema` | names and records on the server | everybody's |
//! | `sizes` | how inputs become pieces; pure | the hub's |
//! | `line` | the hub's end of a map's way to the queue | the hub's |
//! | `setup` | the streams: made, mended, removed | the session's thread |
//! | `publisher` | what is queued gets to the server, and what comes of it back | the session's thread |
//! | `former` | jobs that are no map of the session's any more | the session's thread |
//! | `reader` | what streams have, read | the session's thread |
//! | `found` | the jobs on a server | the session's thread |
//! | `objects` | artifacts, captured values and large records | both threads' |
//! | `narrow` | a piece at a node, and which item is to blame; pure | a node's |
//! | `taker` | pieces taken from the server, and results given to it | a node's |
//! | `worklist` | pieces and the engines of a node | a node's |

mod former;
mod found;
mod line;
mod narrow;
mod objects;
mod patience;
mod publisher;
mod reader;
pub mod schema;
mod setup;
mod sizes;
mod taker;
mod worklist;

pub use former::{Former, Formers};
pub use found::formers;
pub use line::{Begin, Order, Queue, Told};
pub use publisher::{Ask, Ears, Publisher, Word, told};
pub use schema::{Done, Inputs, Manifest, Part, Results};
pub use setup::leave_nothing;
pub use sizes::Sizes;
pub use worklist::{Hand, SeatId, Worklist};
