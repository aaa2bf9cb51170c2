//! The compiler thread: brings an evcxr context to the state with which sessions begin, and serves requests from
//! there on. The rest of the program knows states by number.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};

use evcxr::EvalContext;

use super::analysis::Analysis;
use super::message::{Beginning, Made, StateId};
use super::process::Reply;
use super::served::{FIRST, Served, Ways};
use super::tools::{direct, record};
use super::{CompileError, Setting, Source, carried, crates, relay, template, toolchain, wrapper};

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

/// Serves requests until nobody can make any; `say` tells the user, and `ready` is told the root's state once there
/// is one. Nobody waits for answers while `abandoned` is set.
pub fn serve(
    folder: &Path,
    analyst: &Analysis,
    beginning: &Beginning,
    incoming: &Receiver<Request>,
    abandoned: &AtomicBool,
    say: impl Fn(&str),
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

    let ways = Ways {
        state: EvalContext::state,
        eval: |context, code, state| context.eval_with_state(code, state).map(drop),
        add_dep: |state, name, config| state.add_dep(name, config),
        set_opt_level: |state, level| state.set_opt_level(level),
        set_env: |state, name, value| state.set_build_env(name, value),
        set_offline: |state, offline| state.set_offline_mode(offline),
    };
    let root = root(&ways, &mut context, &build, &lock, beginning)?;
    if !beginning.adopts && (!laid || !record::is_recorded(&build)) {
        // Only the speed of the next start depends on it.
        if let Err(error) = template::keep(&sysroot, &build) {
            say(&format!(
                "the crates that cells link to could not be kept for later starts, which build them again: {error}"
            ));
        }
    }
    let mut served = Served::new(ways, context, root, (folder, &build), analyst, beginning);
    ready(FIRST);
    for request in incoming {
        if !abandoned.load(Ordering::Relaxed) || matches!(request, Request::Clear(_)) {
            served.serve(request);
        }
    }
    Ok(())
}

/// The state with the crates that every cell has, compiled.
fn root<S>(
    ways: &Ways<S>,
    context: &mut EvalContext,
    build: &Path,
    lock: &str,
    beginning: &Beginning,
) -> Result<S, String> {
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    // Offline first: what this binary was built from is there already. Without it, the registry helps.
    let mut tried = Err("no prelude".to_owned());
    for offline in [true, false] {
        let mut state = (ways.state)(context);
        (ways.set_offline)(&mut state, offline);
        // Not evcxr's cache of built crates: two sessions at once spoil each other's entries.
        let own = [
            ("RUSTC_WRAPPER", &*exe.to_string_lossy()),
            (wrapper::ROLE_VARIABLE, "1"),
            // The prelude is compiled only for the sake of the crates below it.
            (direct::NOT_LOADED_VARIABLE, "1"),
        ];
        for (name, value) in own.into_iter().chain(template::PROFILE) {
            (ways.set_env)(&mut state, name, value);
        }
        let add = |name: &str, config: &str| {
            (ways.add_dep)(&mut state, name, config)?;
            // Validating it has dropped every other crate's version, and the newest ones may be other builds than
            // the template's.
            std::fs::write(build.join("Cargo.lock"), lock).map_err(evcxr::Error::from)
        };
        tried = crates::add_all(build, beginning, add).and_then(|()| {
            let compiled = (ways.eval)(context, PRELUDE, state);
            compiled.map_err(|error| error.to_string())
        });
        if tried.is_ok() {
            break;
        }
    }
    tried?;
    let mut state = (ways.state)(context);
    // A crate that a cell needs, also tokio for its first `await`, may have to be fetched.
    (ways.set_offline)(&mut state, false);
    (ways.set_env)(&mut state, direct::NOT_LOADED_VARIABLE, "");
    Ok(state)
}
