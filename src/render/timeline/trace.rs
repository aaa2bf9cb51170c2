//! The timeline in Chrome's trace event format, which Perfetto and `chrome://tracing` open.

use std::time::Duration;

use serde_json::{Value, json};

use super::lanes;
use super::svg::items;
use crate::outcome::Timeline;

/// The only process of the trace: the pool.
const PROCESS: u32 = 1;

/// The timeline as trace events: the pool is a process, each engine a thread, each chunk a complete event (`X`)
/// with `ts` and `dur` in microseconds.
pub fn trace(timeline: &Timeline) -> String {
    let pool = format!(
        "{}: {} (job {})",
        timeline.pool, timeline.what, timeline.job
    );
    let mut events = vec![named("process_name", 0, json!({ "name": pool }))];
    for lane in lanes(timeline) {
        // Thread 0 is the idle task of a whole machine to some viewers.
        let thread = u64::from(lane.rank.0) + 1;
        let name = json!({ "name": format!("engine {}", lane.rank) });
        events.push(named("thread_name", thread, name));
        let order = json!({ "sort_index": lane.rank.0 });
        events.push(named("thread_sort_index", thread, order));
        for chunk in lane.chunks {
            events.push(json!({
                "ph": "X",
                "name": items(chunk),
                "cat": if chunk.failed { "chunk,failed" } else { "chunk" },
                "pid": PROCESS,
                "tid": thread,
                "ts": micros(chunk.began),
                "dur": micros(chunk.ended.saturating_sub(chunk.began)),
                "args": {
                    "first": chunk.first,
                    "items": chunk.items,
                    "sent": micros(chunk.sent),
                    "failed": chunk.failed,
                },
            }));
        }
    }
    json!({ "displayTimeUnit": "ms", "traceEvents": events }).to_string()
}

fn named(what: &str, thread: u64, args: Value) -> Value {
    json!({ "ph": "M", "name": what, "pid": PROCESS, "tid": thread, "args": args })
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
