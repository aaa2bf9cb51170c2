//! The compiler thread: one evcxr context that serves all namespaces.
//!
//! evcxr does not export the name of its state type, so the states live in this one function's map, and the
//! rest of the program knows them by number.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::process::CommandExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use evcxr::EvalContext;

use super::analysis::Analysis;
use super::message::{Beginning, Made, StateId};
use super::process::{Kept, Reply};
use super::told::{Lets, Told};
use super::tools::{direct, record};
use super::{
    Artifact, CompileError, Setting, Source, artifact, carried, crates, refusal, relay, template,
    toolchain, wrapper,
};

type Answer = Result<Made, CompileError>;

/// What the thread is asked to do; in the order in which it is asked.
pub enum Request {
    Compile {
        source: Source,
        state: StateId,
        answer: Reply<Answer>,
    },
    /// The state without these variables.
    Forget {
        names: Vec<String>,
        state: StateId,
        answer: Reply<Answer>,
    },
    AddCrate {
        name: String,
        config: String,
        answer: Reply<Answer>,
    },
    Configure {
        setting: Setting,
        answer: Reply<Answer>,
    },
    Free(StateId),
    /// The session is gone: everything is to be as it was before it. The answer says whether it is.
    Clear(Sender<bool>),
}

/// Defined in every artifact; see `regatta_cell::entry`.
const PRELUDE: &str = r#"
use regatta_cell::prelude::*;
#[unsafe(no_mangle)]
pub extern "C" fn regatta_attach() { regatta_cell::entry::attach() }
#[unsafe(no_mangle)]
pub extern "C" fn regatta_flush() { regatta_cell::entry::flush() }
"#;

/// Serves requests until nobody can make any; `ready` is told the root's state once there is one. Nobody waits for
/// answers while `abandoned` is set.
pub fn serve(
    folder: &Path,
    analyst: &Analysis,
    beginning: &Beginning,
    incoming: &Receiver<Request>,
    abandoned: &AtomicBool,
    ready: impl FnOnce(StateId),
) -> Result<(), String> {
    let lock = crates::lock(folder, beginning).map_err(|error| error.to_string())?;
    let sysroot = std::env::var_os(toolchain::SYSROOT_VARIABLE).unwrap_or_default();
    let (sysroot, build) = (Path::new(&sysroot).to_owned(), folder.join("build"));
    let laid = beginning.adopts || template::lay(&sysroot, &build);
    if !laid {
        // Without them, cargo builds them.
        let _ = carried::lay(&sysroot, &build);
    }
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut relay = Command::new(&exe);
    relay.env(relay::FOLDER_VARIABLE, folder).process_group(0);
    let (mut context, _outputs) = EvalContext::with_subprocess_command(relay).map_err(|error| {
        let gone = std::env::current_dir().is_err();
        let gone = gone.then(|| toolchain::ToolchainError::NoWorkingFolder.to_string());
        gone.unwrap_or_else(|| error.to_string())
    })?;

    // Offline first: what this binary was built from is there already. Without it, the registry helps.
    let mut root = None;
    for offline in [true, false] {
        let mut state = context.state();
        state.set_offline_mode(offline);
        // Not evcxr's cache of built crates: two sessions at once spoil each other's entries.
        state.set_build_env("RUSTC_WRAPPER", &exe.to_string_lossy());
        state.set_build_env(wrapper::ROLE_VARIABLE, "1");
        for (name, value) in template::PROFILE {
            state.set_build_env(name, value);
        }
        // The prelude is compiled only for the sake of the crates below it.
        state.set_build_env(direct::NOT_LOADED_VARIABLE, "1");
        let add = |name: &str, config: &str| {
            state.add_dep(name, config)?;
            // Validating it has dropped every other crate's version, and the newest ones may be other builds than
            // the template's.
            std::fs::write(build.join("Cargo.lock"), &lock).map_err(evcxr::Error::from)
        };
        match crates::add_all(beginning, add).and_then(|()| {
            context
                .eval_with_state(PRELUDE, state)
                .map_err(|error| error.to_string())
        }) {
            Ok(_) => {
                let mut state = context.state();
                // A crate that a cell needs, also tokio for its first `await`, may have to be fetched.
                state.set_offline_mode(false);
                state.set_build_env(direct::NOT_LOADED_VARIABLE, "");
                root = Some(state);
                break;
            }
            Err(why) if !offline => return Err(why),
            Err(_) => {}
        }
    }
    let Some(mut root) = root else {
        return Err("no prelude".to_owned());
    };
    if !beginning.adopts && (!laid || !record::is_recorded(&build)) {
        // Only the speed of the next start depends on it.
        let _ = template::keep(&sysroot, &build);
    }
    let mut states = HashMap::new();
    let mut next: StateId = FIRST;
    let mut settings: Vec<Setting> = beginning.settings.clone();
    states.insert(FIRST, root.clone());
    let first = root.clone();
    let kept = Kept::of(&build);
    ready(FIRST);
    for request in incoming {
        let clears = matches!(request, Request::Clear(_));
        if abandoned.load(Ordering::Relaxed) && !clears {
            continue;
        }
        match request {
            Request::Clear(done) => {
                settings.clear();
                states.clear();
                root = first.clone();
                states.insert(FIRST, first.clone());
                let restored = kept
                    .as_ref()
                    .is_ok_and(|kept| matches!(kept.restore(), Ok(true)));
                // Whoever has given up waiting ends this process.
                let _ = done.send(restored && *beginning == Beginning::default());
            }
            // Sessions begin with it, and it is told to them more than once.
            Request::Free(FIRST) => {}
            Request::Free(id) => {
                states.remove(&id);
            }
            Request::Configure { setting, answer } => {
                settings.push(setting);
                answer.send(Ok(Made {
                    artifact: Artifact::default(),
                    after: FIRST,
                    variables: BTreeMap::new(),
                    crates: crates::listed(&build),
                }));
            }
            Request::AddCrate {
                name,
                config,
                answer,
            } => {
                // Tried on the root first; the other namespaces take it over with their next cell.
                let mut state = root.clone();
                state.set_offline_mode(false);
                let added = crates::config(&name, &config)
                    .and_then(|config| {
                        let lock = build.join("Cargo.lock");
                        let locked = std::fs::read(&lock);
                        state
                            .add_dep(&name, &config)
                            .map_err(|error| error.to_string())?;
                        // Validating has dropped every other crate's version from it.
                        if let Ok(locked) = locked {
                            let _ = std::fs::write(&lock, locked);
                        }
                        context
                            .eval_with_state("let _ = ();", state)
                            .map_err(|error| error.to_string())?;
                        Ok(config)
                    })
                    .map_err(CompileError::Trouble);
                let answered = added.and_then(|config| {
                    root = context.state();
                    let lock = build.join("Cargo.lock");
                    let locked = std::fs::read(&lock);
                    for state in states.values_mut() {
                        state.set_offline_mode(false);
                        // Validated above, and evcxr skips what it knows.
                        state
                            .add_dep(&name, &config)
                            .map_err(|error| CompileError::Trouble(error.to_string()))?;
                    }
                    if let Ok(locked) = locked {
                        let _ = std::fs::write(&lock, locked);
                    }
                    next += 1;
                    states.insert(next, root.clone());
                    Ok(Made {
                        artifact: Artifact::default(),
                        after: next,
                        variables: BTreeMap::new(),
                        crates: crates::listed(&build),
                    })
                });
                answer.send(answered);
            }
            Request::Compile {
                source,
                state,
                answer,
            } => {
                let Some(mut before) = states.get(&state).cloned() else {
                    answer.send(Err(CompileError::Trouble("the state is gone".to_owned())));
                    continue;
                };
                for setting in &settings {
                    match setting {
                        Setting::OptLevel(level) => {
                            let _ = before.set_opt_level(level);
                        }
                        Setting::Checks(on) => {
                            for key in ["OVERFLOW_CHECKS", "DEBUG_ASSERTIONS"] {
                                before.set_build_env(
                                    &format!("CARGO_PROFILE_DEV_{key}"),
                                    if *on { "true" } else { "false" },
                                );
                            }
                        }
                    }
                }
                before.set_build_env(wrapper::CHANGES_VARIABLE, &source.changes);
                let prefix_lines = source.prefix.lines().count();
                let full = whole(&source);
                let told = types(analyst, &full, |refused| {
                    let mut never = before.clone();
                    never.set_build_env(NEVER.0, NEVER.1);
                    // It fails, and leaves what it would have analysed where a cell's source goes.
                    let _ = caught(|| context.eval_with_state(refused, never).map(|_| ()));
                    context.last_source().ok()
                });
                let evaluated = caught(|| {
                    artifact::clear(folder);
                    let full = told.as_ref().map_or(&full, |told| &told.code);
                    context.eval_with_state(full, before).map(|_| ())
                });
                let answered = match evaluated {
                    Ok(()) => artifact::last(folder, &context, beginning).map(|artifact| {
                        next += 1;
                        states.insert(next, context.state());
                        Made {
                            artifact,
                            after: next,
                            variables: variables(&context),
                            crates: crates::listed(&build),
                        }
                    }),
                    Err(error) => {
                        let mut refused = refusal::refusal(error, prefix_lines, &context);
                        if let (Some(told), CompileError::Refused(errors)) = (&told, &mut refused) {
                            let places = errors.iter_mut().flat_map(|error| &mut error.places);
                            places.for_each(|place| told.back(place, prefix_lines));
                        }
                        Err(refused)
                    }
                };
                answer.send(answered);
            }
            Request::Forget {
                names,
                state,
                answer,
            } => {
                let Some(before) = states.get(&state).cloned() else {
                    continue;
                };
                let code: String = names
                    .iter()
                    .map(|name| format!("let {name} = ();\n"))
                    .collect();
                let file = folder.join(relay::PANIC_FILE);
                let evaluated = std::fs::write(&file, "")
                    .map_err(Into::into)
                    .and_then(|()| caught(|| context.eval_with_state(&code, before).map(|_| ())));
                let _ = std::fs::remove_file(&file);
                let answered = evaluated
                    .map_err(|error| refusal::refusal(error, 0, &context))
                    .map(|()| {
                        next += 1;
                        states.insert(next, context.state());
                        Made {
                            artifact: Artifact::default(),
                            after: next,
                            variables: variables(&context),
                            crates: crates::listed(&build),
                        }
                    });
                answer.send(answered);
            }
        }
    }
    Ok(())
}

/// The state of the root that a session begins with.
const FIRST: StateId = 0;

/// A setting of a build that keeps it from starting: no process can be given it.
const NEVER: (&str, &str) = ("REGATTA_NEVER", "\0");

/// The cell with the types of its variables, when there are any to be found out. `laid_out` gives a cell as evcxr
/// lays it out to analyse it.
fn types(
    analyst: &Analysis,
    code: &str,
    laid_out: impl FnOnce(&str) -> Option<String>,
) -> Option<Told> {
    let lets = Lets::of(code);
    if !lets.ask() {
        return None;
    }
    let types = analyst.types(laid_out(&lets.refused(code))?)?;
    // Behind that of the statement for which it is refused.
    lets.told(code, types.get(1..)?)
}

/// An evcxr or rust-analyzer that panics costs this cell, not the session.
fn caught(work: impl FnOnce() -> Result<(), evcxr::Error>) -> Result<(), evcxr::Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(evcxr::Error::Message(
            "the compiler's analysis gave up on this cell".to_owned(),
        ))
    })
}

fn whole(source: &Source) -> String {
    if source.prefix.is_empty() {
        return source.code.clone();
    }
    let newline = if source.prefix.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{}{newline}{}", source.prefix, source.code)
}

fn variables(context: &EvalContext) -> BTreeMap<String, String> {
    context
        .variables_and_types()
        .map(|(name, type_name)| (name.to_owned(), type_name.to_owned()))
        .collect()
}
