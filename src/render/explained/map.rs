//! The words for maps that are refused, or have no results.

use regatta_cell::checks;

use crate::outcome::{MapCause, NotExchanged, Stuck};
use crate::render::faults::no_room;
use crate::render::notices::quoted;

pub(super) fn what(cause: &MapCause) -> String {
    match cause {
        MapCause::Captures { variables, pointer } => captures(variables, *pointer),
        MapCause::Stuck { kind, of } => match of {
            Stuck::Captured(Some((name, whole))) => {
                format!("`{name}`: {whole} cannot travel to other processes")
            }
            Stuck::Variable(name) => {
                format!("`{name}` cannot travel to other processes: {}", stuck(kind))
            }
            Stuck::Value | Stuck::Captured(None) => stuck(kind),
        },
        MapCause::NotExchanged { kind, .. } => checks::NOT_EXCHANGED.replace("{Self}", kind),
        MapCause::Borrows(names) => {
            let borrowed = match names.as_slice() {
                [] => "what ends with the cell".to_owned(),
                names => quoted(names),
            };
            format!("a job goes on after its cell, and its inputs borrow {borrowed}")
        }
        MapCause::NoTuples { arguments } => format!(
            "the function takes {arguments} arguments, and the inputs are no tuples of {arguments}"
        ),
        MapCause::NothingToReduce => "%reduce needs at least one input".to_owned(),
        MapCause::Panicked { item, message } => format!("item {item} panicked: {message}"),
        MapCause::Crashed { item, last } => {
            format!("item {item} ended three engines; the last one: {last}")
        }
        MapCause::Lost { item, last } => {
            format!("ten engines ended before they came to item {item}; the last one: {last}")
        }
        MapCause::TimedOut { item } => {
            format!("item {item} took longer than `--timeout` allows; its engine was replaced")
        }
        MapCause::NoEngineLeft => "no engine of the pool is left to run the map".to_owned(),
        MapCause::Interrupted { done, total } => {
            let total = total.map_or_else(String::new, |total| format!(" of {total}"));
            format!("the map was interrupted; {done}{total} items were done")
        }
        MapCause::InputsPanicked { message } => format!("the inputs panicked: {message}"),
        MapCause::NoRoom { folder, left, .. } => {
            format!("the map has stopped: {}", no_room(folder, *left))
        }
        MapCause::Failed { why } => format!("the map failed: {why}"),
    }
}

fn captures(variables: &[(String, Option<String>)], pointer: bool) -> String {
    let named = variables.iter().map(|(name, kind)| match kind {
        Some(kind) => format!("`{name}`: {kind}"),
        None => format!("`{name}`"),
    });
    let named: Vec<String> = named.collect();
    if !named.is_empty() {
        return format!("the function captures {}", named.join(", "));
    }
    let pointer = if pointer {
        ", or is a function pointer"
    } else {
        ""
    };
    format!("the function of a map on a process pool captures variables{pointer}")
}

/// What the cell crate's check says of this type.
fn stuck(kind: &str) -> String {
    checks::NOT_TRAVELLING.replace("{Self}", kind)
}

pub(super) fn notes(cause: &MapCause) -> Vec<String> {
    match cause {
        // Its kind is known when the code runs.
        MapCause::Captures { .. } => vec![
            "maps in code are compiled for pools of either kind, and in another process these variables are not"
                .to_owned(),
        ],
        _ => Vec::new(),
    }
}

pub(super) fn hint(cause: &MapCause) -> Option<String> {
    let hint = match cause {
        MapCause::Captures { .. } => {
            "share a value by `pool::map_with(&value, inputs, |value, x| …)`, or write `%map`, which takes variables along, and on a thread pool borrows them"
        }
        MapCause::Stuck {
            of: Stuck::Captured(_),
            ..
        } => {
            "capture plain data instead: `let` what the function needs of it in a variable of its own, or use a thread pool, whose threads borrow (`%pool start threads`)"
        }
        MapCause::Stuck { .. } => {
            "its type needs `#[derive(Serialize, Deserialize)]`, and so do all its fields"
        }
        MapCause::NotExchanged { is, .. } => exchangeable(*is),
        MapCause::Borrows(names) => {
            let clone = match names.as_slice() {
                [name] => format!("`over {name}.clone()` gives the job inputs of its own"),
                _ => "give the job inputs of its own, `.iter().cloned()`".to_owned(),
            };
            return Some(format!(
                "{clone}, which a function of references takes as `|x| f(&x)`; without `-a` threads borrow"
            ));
        }
        MapCause::NoTuples { .. } => {
            "`over xs, ys` goes over several side by side, `over grid(xs, ys)` over all their combinations"
        }
        MapCause::NothingToReduce => {
            "put a neutral value in front: `std::iter::once(…).chain(inputs)`, or `pool::reduce`, whose result is an Option"
        }
        MapCause::Panicked { .. } => {
            "the map stops at its first failure; the other engines are free again"
        }
        MapCause::Crashed { .. } => {
            "try that input in a plain cell; `--on-error collect` keeps the other results"
        }
        MapCause::Lost { .. } => {
            "what the function captures, or an earlier input, may end them: try it in a plain cell"
        }
        MapCause::TimedOut { .. } => "`--on-error collect` keeps the other results",
        MapCause::NoEngineLeft => "the next %px or map starts them again",
        MapCause::Interrupted { .. } => {
            "`--on-error collect` keeps what is done, and so does a job: `%map -a`"
        }
        MapCause::NoRoom {
            temporary: true, ..
        } => {
            "make room there and run it again; TMPDIR says where the servers of later sessions keep theirs"
        }
        MapCause::NoRoom { .. } => "make room there and run it again",
        MapCause::InputsPanicked { .. } | MapCause::Failed { .. } => return None,
    };
    Some(hint.to_owned())
}

/// What to send instead of a value of such a type.
fn exchangeable(is: NotExchanged) -> &'static str {
    match is {
        NotExchanged::Never => {
            "the function never returns a value: write its result type, `|x| -> u64 { … }`"
        }
        NotExchanged::Reference => {
            "send values, not references: `.iter().cloned()` on the inputs, `String` instead of `&str` (`.map(String::from)`), or map on a thread pool: `%pool start threads`"
        }
        NotExchanged::Standard => {
            "send plain data instead, or map on a thread pool, where nothing is encoded: `%pool start threads`"
        }
        NotExchanged::Other => {
            "add #[derive(Serialize, Deserialize)] to the type (serde is there), or map on a thread pool, where nothing is encoded: `%pool start threads`"
        }
    }
}
