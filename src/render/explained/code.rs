//! The words for code that is refused.

use crate::compiler::phrases::SHARED;
use crate::outcome::{CodeCause, NotForThreads, Showing, Unkept, Unshown};

pub(super) fn what(cause: &CodeCause) -> String {
    match cause {
        CodeCause::Around(told)
        | CodeCause::Syntax(told)
        | CodeCause::NotFound { told, .. }
        | CodeCause::IsClosure(told) => told.clone(),
        CodeCause::Shared(told) => told.replace(SHARED, "a variable that all threads share"),
        CodeCause::NotForThreads {
            kind,
            sent,
            variables,
            ..
        } => {
            let what = match variables.as_slice() {
                [] => format!("`{kind}`"),
                names => format!("`{}` of type `{kind}`", names.join("`, `")),
            };
            let done = if *sent { "sent" } else { "shared" };
            format!("{what} cannot be {done} between threads")
        }
        CodeCause::NoDebug { kind, shown, is } => match (shown, is) {
            (Showing::Value, Unshown::Closure) => {
                "the value cannot be shown: it is a closure".to_owned()
            }
            (Showing::Results, Unshown::Closure) => {
                "the results cannot be shown: they are closures".to_owned()
            }
            (Showing::Value, _) => format!("the value cannot be shown: `{kind}` has no `Debug`"),
            (Showing::Results, _) => {
                format!("the results cannot be shown: `{kind}` has no `Debug`")
            }
        },
        CodeCause::Unkept { name, why } => match why {
            Unkept::Closure => {
                format!("the variable `{name}` is a closure, whose type cannot be written down")
            }
            Unkept::Unnamed => {
                format!("the variable `{name}` has a type that cannot be written down")
            }
            Unkept::Unknown => format!("the type of the variable `{name}` cannot be told"),
        },
        CodeCause::Unexplained => "it does not compile".to_owned(),
        CodeCause::NoPattern => "expected a name after `let`".to_owned(),
        CodeCause::TooDeep { most } => format!("the cell nests more than {most} levels deep"),
        CodeCause::NotDisplayed { fields, told } => {
            format!("{} cannot be written out: {told}", fields.join(", "))
        }
    }
}

pub(super) fn hint(cause: &CodeCause) -> Option<String> {
    Some(match cause {
        CodeCause::Around(_)
        | CodeCause::Syntax(_)
        | CodeCause::NotFound { .. }
        | CodeCause::IsClosure(_)
        | CodeCause::Unexplained => return None,
        CodeCause::Shared(_) => {
            "use an atomic or a Mutex, or return a value from each thread".to_owned()
        }
        CodeCause::NotForThreads { kind, is, .. } => match is {
            NotForThreads::Rc => "`std::sync::Arc` in the place of `Rc` can be".to_owned(),
            NotForThreads::Cell => format!(
                "an atomic, a `Mutex` or a `RwLock` of `std::sync` in the place of `{}` can be",
                kind.split('<').next().unwrap_or_default()
            ),
            NotForThreads::Other => {
                "give the threads plain values that are made of it before".to_owned()
            }
        },
        CodeCause::NoDebug { shown, is, .. } => unshown(*shown, is),
        CodeCause::Unkept { name, why } => match why {
            Unkept::Closure => format!(
                "box it, `let {name}: Box<dyn Fn(i32) -> i32> = Box::new(…)`, make it a `fn`, or use it within one block `{{ … }}`"
            ),
            Unkept::Unnamed => format!(
                "box it, `let {name}: Box<dyn Trait> = Box::new(…)`, or use it within one block `{{ … }}`"
            ),
            Unkept::Unknown => format!("write it: `let {name}: Type = …`"),
        },
        CodeCause::NoPattern => "`let name = value;`".to_owned(),
        CodeCause::TooDeep { .. } => {
            "take it apart with `let`; long data stand better in an array or a file".to_owned()
        }
        CodeCause::NotDisplayed { fields, .. } => {
            let first = fields
                .first()
                .map_or("", |field| field.trim_matches(['{', '}']));
            format!("`{{{first}:?}}` writes what has only `Debug`")
        }
    })
}

/// What to do with a value or results that have no `Debug`.
fn unshown(shown: Showing, is: &Unshown) -> String {
    let instead = match shown {
        Showing::Value => "end the cell with `;`",
        Showing::Results => "bind the results: `let r = %map …`",
    };
    match is {
        Unshown::Named(name) => format!("add #[derive(Debug)] to `{name}`, or {instead}"),
        Unshown::Closure | Unshown::Function => "call it, or name it: `let f = …;`".to_owned(),
        Unshown::Future => "`.await` waits for its value".to_owned(),
        Unshown::Other => format!("show a part of it that has `Debug`, or {instead}"),
    }
}
