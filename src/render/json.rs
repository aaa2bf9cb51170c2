//! Events as JSON, one object per event and line, flushed at once. The fields are a promise to other
//! programs: new ones may come, none changes its meaning. Times are in seconds. Progress and live tables are not emitted.
//! Every line has `cell`, the number of the cell that it belongs to (`null`: none), and `job` when it belongs to one: what a
//! job in the background has to say comes among the lines of another cell.
//!
//! | `event` | fields |
//! |---|---|
//! | `cell_started` | `code` |
//! | `output` | `engine` (rank, or `null` for the local engine), of a child `child` (its name), `stream` (`stdout`, `stderr`), `text` |
//! | `child` | `child` (its name), `what` (`started`, `ended`, `restarts`, `not_restarted`, `stopped`, `skipped`), and of those that it has `pid`, `exit_code`, `signal` (its number), `ran`, `restart` (its number) and `after`, `killed`, `lines` (not shown), `why`, `detached` |
//! | `result` | `engine`, `mime` (representations by MIME type), `value` (the `text/plain` one), `type`; one per engine for `%px` |
//! | `map_plan` | `function`, `input_type`, `output_type`, `items` and `chunks` (`null` when not known), `schedule` (`dynamic`, `static`, `guided`), `captures` (each `name`, `type`, `bytes`), `captures_there` (every engine has them already), `pool`, `kind` (`threads`, `processes`; of an MPI pool `processes`), `engines` |
//! | `map_finished` | `pool`, `engines` (each `engine`, `items`, `chunks`, `busy`, and where the items called functions of `%%memo`, `hits` and `misses`), `wall`, `serial` (sum of the time in user code), `speedup` (serial / wall), `efficiency` (speedup / engines), `failed` (items without a result), `died` (each `engine`, `cause`), `spent` (`encode`, `send`, `queue`, `run`, `decode`, each summed over chunks), `items` (with `--items`, each `item`, `input`, `result`, `engine`, `queued`, `busy`) |
//! | `timeline` | `job`, `function`, `pool`, `engines`, `wall`, `chunks` (each `engine`, `first`, `items`, `sent`, `began`, `ended`, `failed`; times since the start), `cut` (more chunks ran) |
//! | `compare` | `function`, `rows` (each `pool`, `kind` or `null`, `engines`, `items`, `wall`, `speedup` and `efficiency` against the first row, `spent`, `same`) |
//! | `scaling` | `function`, `kind` (`threads`, `processes`), `items`, `cores` (of this machine), `rows` (each `engines`, `walls` (one per run), `wall` (the best), `speedup` and `efficiency` against the first row, which has one engine, `serial_fraction` by Karp and Flatt, `null` on one engine), `serial_fraction` (by Amdahl's law, fitted), `fitted` (the engines of the rows that it is from) |
//! | `memo` | `function`, `arguments`, `hit`, `why` (`there`, `never`, `changed`, `expired`, `dropped`), `on_disk` (its results are kept there and can be read), `made` (`null`, or `at`, `session` (its begin), `this_session`, `pool`, `engine`, `thread`); of a hit `in_memory`, `took`, `good_until`; `others` (results of other arguments) and `nearest` (each `arguments`, `made`); `changes` (each `what` (`body`, `item`, `added`, `gone`, `crate`, `rustc`), `name`, `cell`, `before`, `now`, `lines` that begin with `-`, `+` or a blank); `at` and `ttl` of what expired; `at`, `in_memory`, `limit` of what was dropped. `at`, `session` and `good_until` are seconds since 1970 |
//! | `comm` | `pool`, `ranks` (each `rank`, `waited`, `sending`), `sent` (each `from`, `to`, `messages`, `bytes`, `collective_bytes`, `unreceived`; pairs that have sent nothing are left out), `unreceived` (each `from`, `to`, `tag`, `bytes`, `type`, `at`) |
//! | `px_timeline` | `of` (the cell), `pool`, `engines` (each `engine`, `began`, `ended`, `failed`, `known_from` (`null`, or spans before are not kept), `spans` (each `is` (`send`, `wait`), `from`, `to`)); times since the start, what is in no span is computing |
//! | `timing` | `per_loop` (one entry per run), `loops` (per run), `mean`, `deviation`, `best`, `compile` |
//! | `docs` | `path` (where it is defined), `signature` (Rust), `text` (Markdown), `imports` (paths, when a `use` is needed), `source` (`null`, or `place` and `code`) |
//! | `table` | `title`, `columns`, `rows` (numbers unformatted, durations in seconds, sizes in bytes, nothing as `null`) |
//! | `plot` | `title`, `x`, `y` (`null` where there is no finite number) |
//! | `text`, `notice` | `text` |
//! | `error` | `kind` (`usage`, `compile`, `panic`, `error`, `engine_died`, `skipped`, `interrupted`, `map`, `comm`, `system`), `engine`, `message`, `code` (rustc's), `place`, `line`, `column`, `notes`, `hint`; one per engine for `%px`. Of `comm`, one for all that it befell, with `comm`: `what` (`deadlock`, `gone`, `type`, `order`), `cycle` (ranks that wait for each other), `ranks` (each `rank`, `call`, `on` (for whom), `tag`, `type`, `place`), `others` (each `rank`, `state`: `not_asked`, `due`, `running`, `left`, `dead`) |
//! | `cell_finished` | `ok`, `compile`, `run` |

use std::io::Write;

use serde::Serialize;

use super::record::{self, Line, Told};
use super::{
    engines, notices, output, record_child, record_comm, record_error, record_job, record_memo,
};
use crate::ids::CellId;
use crate::outcome::{About, EngineOutcome, Event, Origin, PxReport, Sink};

/// Events as JSON lines, for programs.
pub struct JsonLines<W: Write> {
    out: W,
    /// The cell whose events these are.
    cell: Option<CellId>,
    broken: bool,
}

impl<W: Write> JsonLines<W> {
    pub fn new(out: W) -> Self {
        Self {
            out,
            cell: None,
            broken: false,
        }
    }

    /// Whether nothing can be written any more, as when a pipe's reader left.
    pub fn broken(&self) -> bool {
        self.broken
    }

    fn write(&mut self, line: &impl Serialize) {
        if self.broken {
            return;
        }
        // One write per line, so that lines of several writers to one file don't mix.
        let written = serde_json::to_vec(line)
            .map_err(Into::into)
            .and_then(|mut bytes| {
                bytes.push(b'\n');
                self.out.write_all(&bytes)?;
                self.out.flush()
            });
        self.broken = written.is_err();
    }

    /// What belongs to the cell under way.
    fn tell(&mut self, line: Line<'_>) {
        self.tell_of(About::default(), line);
    }

    /// What may belong to another cell than the one under way, or to a job.
    fn tell_of(&mut self, about: About, line: Line<'_>) {
        let cell = about.cell.or(self.cell);
        let job = about.job;
        self.write(&Told { line, cell, job });
    }

    /// Held-back output, then each engine's value or failure.
    fn px(&mut self, report: &PxReport) {
        for (rank, stream, text) in output::held_back(report) {
            let stream = record::stream_name(stream);
            let output = Line::Output {
                engine: Some(rank),
                child: None,
                stream,
                text,
            };
            self.tell_of(About::cell(report.cell), output);
        }
        let mut told: Vec<&EngineOutcome> = Vec::new();
        for row in &report.engines {
            match &row.outcome {
                EngineOutcome::Done(None) => {}
                // The same for all that it befell.
                outcome @ EngineOutcome::Comm(_) if told.contains(&outcome) => {}
                EngineOutcome::Done(Some(value)) => {
                    self.write(&record::result(report.cell, Some(row.rank), value));
                }
                failed => {
                    told.push(failed);
                    if let Some(error) = record_error::failure(report.cell, row.rank, failed) {
                        self.write(&Line::Error(error));
                    }
                }
            }
        }
    }
}

impl<W: Write> Sink for JsonLines<W> {
    fn send(&mut self, event: Event) {
        let cell = self.cell;
        match &event {
            Event::CellStarted { cell, code } => {
                self.cell = Some(*cell);
                self.write(&Line::CellStarted { cell: *cell, code });
            }
            Event::Output {
                about,
                origin,
                stream,
                text,
            } => {
                let (engine, child) = match origin {
                    Origin::Local => (None, None),
                    Origin::Engine(rank) => (Some(*rank), None),
                    Origin::Child(name) => (None, Some(name.as_str())),
                };
                let stream = record::stream_name(*stream);
                let output = Line::Output {
                    engine,
                    child,
                    stream,
                    text,
                };
                self.tell_of(*about, output);
            }
            Event::Result { cell, value } | Event::Whole { cell, value } => {
                self.write(&record::result(*cell, None, value))
            }
            Event::Px(report) => self.px(report),
            Event::MapPlan(about, plan) => self.tell_of(*about, record_job::map_plan(plan)),
            Event::Progress(_) | Event::Live(_) => {}
            Event::Timeline(it) => self.tell(record_job::timeline(it)),
            Event::Compare(it) => self.tell(record_job::compare(it)),
            Event::Scaling(it) => self.tell(record_job::scaling(it)),
            Event::PxTimeline(it) => self.tell(record_comm::px_timeline(it)),
            Event::Comm(it) => self.tell(record_comm::comm(it)),
            Event::Memo(it) => self.tell(record_memo::memo(it)),
            Event::MapFinished(about, report) => {
                let job = Some(report.job);
                let about = About { job, ..*about };
                self.tell_of(about, record_job::map_finished(report));
            }
            Event::Timing(timing) => self.tell(record::timing(timing)),
            Event::Docs(it) => self.tell(record::docs(it)),
            Event::Table(table) => self.tell(record::table(table)),
            Event::Rows(rows) => self.tell(record::rows(rows)),
            Event::Plot(plot) => self.tell(record::plot(plot)),
            Event::Text(text) => self.tell(Line::Text { text }),
            Event::Notice(about, it) => {
                let text = &notices::words(it);
                self.tell_of(*about, Line::Notice { text });
            }
            Event::Engines(about, change) => {
                let text = &engines::change_words(change);
                self.tell_of(*about, Line::Notice { text });
            }
            Event::Child(about, news) => {
                let line = Line::Child(record_child::child(news));
                self.tell_of(*about, line);
            }
            Event::JobOver(about, end) => {
                let text = &engines::end_words(end);
                self.tell_of(*about, Line::Text { text });
            }
            Event::JobAnswer(it) => {
                let about = About {
                    job: Some(it.job),
                    cell,
                };
                let text = &engines::answer_words(it);
                self.tell_of(about, Line::Text { text });
            }
            Event::Error(report) => self.write(&Line::Error(record_error::error(cell, report))),
            Event::CellFinished {
                cell,
                ok,
                compile,
                run,
            } => {
                let (compile, run) = (compile.as_secs_f64(), run.as_secs_f64());
                self.write(&Line::CellFinished {
                    cell: *cell,
                    ok: *ok,
                    compile,
                    run,
                });
                self.cell = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::samples;
    use super::*;
    use crate::ids::{JobId, Rank};
    use crate::outcome::{
        About, CaptureSize, DeathCause, EngineChange, Field, Notice, Schedule, Spent, Stream,
        Table, Timing, Value,
    };

    fn lines(events: Vec<Event>) -> String {
        let mut out = Vec::new();
        let mut json = JsonLines::new(&mut out);
        for event in events {
            json.send(event);
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_cell_is_told_line_by_line() {
        let cell = CellId(3);
        let (compile, run) = (Duration::from_millis(200), Duration::from_millis(50));
        let events = vec![
            Event::CellStarted {
                cell,
                code: "1\n".to_owned(),
            },
            Event::Output {
                about: About::default(),
                origin: Origin::Local,
                stream: Stream::Stdout,
                text: "é\n".to_owned(),
            },
            // Of a job in the background.
            Event::Output {
                about: About {
                    cell: Some(CellId(2)),
                    job: Some(JobId(1)),
                },
                origin: Origin::Engine(Rank(1)),
                stream: Stream::Stdout,
                text: "a\n".to_owned(),
            },
            Event::Progress(None),
            Event::Result {
                cell,
                value: Value::plain("1", "i32"),
            },
            Event::Error(samples::mismatch()),
            Event::CellFinished {
                cell,
                ok: false,
                compile,
                run,
            },
        ];
        let expected = r#"{"event":"cell_started","cell":3,"code":"1\n"}
{"event":"output","engine":null,"stream":"stdout","text":"é\n","cell":3}
{"event":"output","engine":1,"stream":"stdout","text":"a\n","cell":2,"job":1}
{"event":"result","cell":3,"engine":null,"mime":{"text/plain":"1"},"value":"1","type":"i32"}
{"event":"error","cell":3,"kind":"compile","engine":null,"message":"mismatched types","code":"E0308","place":"In [3]","line":2,"column":13,"notes":["a note"],"hint":"a hint"}
{"event":"cell_finished","cell":3,"ok":false,"compile":0.2,"run":0.05}
"#;
        assert_eq!(lines(events), expected);
    }

    #[test]
    fn a_px_has_one_line_per_engine() {
        let report = samples::px(vec![
            samples::done("7"),
            samples::panicked("oh"),
            EngineOutcome::Done(None),
            EngineOutcome::Interrupted,
        ]);
        let expected = r#"{"event":"result","cell":5,"engine":0,"mime":{"text/plain":"7"},"value":"7","type":"T"}
{"event":"error","cell":5,"kind":"panic","engine":1,"message":"oh","code":null,"place":"In [5]","line":1,"column":9,"notes":[],"hint":null}
{"event":"error","cell":5,"kind":"interrupted","engine":3,"message":"interrupted","code":null,"place":null,"line":null,"column":null,"notes":[],"hint":null}
"#;
        assert_eq!(lines(vec![Event::Px(report)]), expected);
    }

    #[test]
    fn numbers_stay_numbers() {
        let mut map = samples::map();
        map.wall = Duration::from_millis(125);
        map.serial = Duration::from_millis(250);
        map.spent.decode = Duration::from_millis(500);
        map.items = samples::items(1);
        map.died.push(samples::killed(1));
        let text = Field::Text("x".to_owned());
        let row = vec![
            Field::Count(1),
            Field::Seconds(0.5),
            Field::Bytes(9),
            text,
            Field::Empty,
        ];
        let table = Table {
            title: None,
            columns: vec!["a", "b", "c", "d", "e"],
            rows: vec![row],
        };
        let timing = Timing {
            per_loop: vec![1.0, 3.0],
            loops: 10,
            compile: None,
        };
        let started = Event::CellStarted {
            cell: CellId(4),
            code: String::new(),
        };
        let events = vec![
            started,
            // Of a job that another cell has begun.
            Event::MapFinished(About::cell(CellId(2)), map),
            Event::Table(table),
            Event::Timing(timing),
        ];
        let expected = r#"{"event":"cell_started","cell":4,"code":""}
{"event":"map_finished","pool":"p0","engines":[{"engine":0,"items":3,"chunks":3,"busy":0.12},{"engine":1,"items":3,"chunks":3,"busy":0.119}],"wall":0.125,"serial":0.25,"speedup":2.0,"efficiency":1.0,"failed":0,"died":[{"engine":1,"cause":"killed by SIGKILL"}],"spent":{"encode":0.0,"send":0.0,"queue":0.0,"run":0.0,"decode":0.5},"items":[{"item":0,"input":"0","result":"Point { x: 0, name: 'a longer text' }","engine":0,"queued":0.000045,"busy":0.012}],"cell":2,"job":1}
{"event":"table","title":null,"columns":["a","b","c","d","e"],"rows":[[1,0.5,9,"x",null]],"cell":4}
{"event":"timing","per_loop":[1.0,3.0],"loops":10,"mean":2.0,"deviation":1.0,"best":1.0,"compile":null,"cell":4}
"#;
        assert_eq!(lines(events), expected);
    }

    #[test]
    fn what_items_found_of_kept_results_is_told_where_they_asked() {
        let mut map = samples::map();
        map.engines[1].lookups.hits = 2;
        let told = lines(vec![Event::MapFinished(About::cell(CellId(2)), map)]);
        for engine in [
            r#"{"engine":0,"items":3,"chunks":3,"busy":0.12,"hits":0,"misses":0}"#,
            r#"{"engine":1,"items":3,"chunks":3,"busy":0.119,"hits":2,"misses":0}"#,
        ] {
            assert!(told.contains(engine), "{told}");
        }
    }

    #[test]
    fn plans_timelines_and_comparisons_are_told() {
        let mut plan = samples::plan();
        plan.schedule = Schedule::Guided;
        plan.captures = vec![CaptureSize {
            name: "k".to_owned(),
            type_name: "f64".to_owned(),
            bytes: 8,
        }];
        let mut timeline = samples::timeline();
        timeline.chunks.drain(..4);
        timeline.chunks.truncate(1);
        timeline.what = "f".to_owned();
        let mut compare = samples::comparison();
        compare.rows.truncate(1);
        compare.rows[0].spent = Spent::default();
        let mut scaling = samples::scaling();
        scaling.rows[1].walls = vec![Duration::from_millis(750)];
        scaling.rows[2].walls = vec![Duration::from_millis(300)];
        let about = About {
            job: Some(JobId(3)),
            ..About::cell(CellId(2))
        };
        let died = EngineChange::LocalDied {
            cause: DeathCause::Exit(1),
            lost: Vec::new(),
        };
        let events = vec![
            Event::MapPlan(about, plan),
            Event::Notice(about, Notice::MapInterrupted),
            Event::Engines(About::default(), died),
            Event::Live(Some((About::default(), samples::job()))),
            Event::Timeline(timeline),
            Event::Compare(compare),
            Event::Scaling(scaling),
        ];
        let expected = r#"{"event":"map_plan","function":"fib","input_type":"u64","output_type":"u64","items":6,"chunks":null,"schedule":"guided","captures":[{"name":"k","type":"f64","bytes":8}],"captures_there":false,"pool":"p0","kind":"processes","engines":2,"cell":2,"job":3}
{"event":"notice","text":"the map was interrupted: what was done is kept, the rest are errors","cell":2,"job":3}
{"event":"notice","text":"the local engine died while idle: ended itself with exit status 1; no variables were lost","cell":null}
{"event":"timeline","job":3,"function":"f","pool":"p0","engines":3,"wall":2.41,"chunks":[{"engine":0,"first":32,"items":8,"sent":0.6,"began":0.602,"ended":0.8,"failed":true}],"cut":false,"cell":null}
{"event":"compare","function":"fib","rows":[{"pool":"serial","kind":null,"engines":1,"items":100,"wall":1.21,"speedup":1.0,"efficiency":1.0,"spent":{"encode":0.0,"send":0.0,"queue":0.0,"run":0.0,"decode":0.0},"same":true}],"cell":null}
{"event":"scaling","function":"fib","kind":"threads","items":100,"cores":2,"rows":[{"engines":1,"walls":[1.3,1.2],"wall":1.2,"speedup":1.0,"efficiency":1.0,"serial_fraction":null},{"engines":2,"walls":[0.75],"wall":0.75,"speedup":1.5999999999999999,"efficiency":0.7999999999999999,"serial_fraction":0.25},{"engines":4,"walls":[0.3],"wall":0.3,"speedup":4.0,"efficiency":1.0,"serial_fraction":0.0}],"serial_fraction":0.25,"fitted":[2],"cell":null}
"#;
        assert_eq!(lines(events), expected);
    }
}
