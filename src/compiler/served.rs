//! What the compiler's thread does for each request: one evcxr context, and a state for each namespace.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use evcxr::EvalContext;

use super::analysis::Analysis;
use super::message::{Beginning, Made, StateId};
use super::phrases::{UNKNOWN_TYPE, UNTOLD};
use super::process::Kept;
use super::thread::Request;
use super::told::{Lets, Told};
use super::{Artifact, CompileError, Setting, Source, artifact, crates, refusal, relay, wrapper};

type Answer = Result<Made, CompileError>;

/// The state of the root that a session begins with.
pub(super) const FIRST: StateId = 0;

/// A setting of a build that keeps it from starting: no process can be given it.
const NEVER: (&str, &str) = ("REGATTA_NEVER", "\0");

/// What evcxr can do with a state. The type of states has no name outside of evcxr: what handles them is generic,
/// and has this to handle them with.
pub(super) struct Ways<S> {
    pub state: fn(&EvalContext) -> S,
    pub eval: fn(&mut EvalContext, &str, S) -> Result<(), evcxr::Error>,
    pub add_dep: fn(&mut S, &str, &str) -> Result<(), evcxr::Error>,
    pub set_opt_level: fn(&mut S, &str) -> Result<(), evcxr::Error>,
    pub set_env: fn(&mut S, &str, &str),
    pub set_offline: fn(&mut S, bool),
}

pub(super) struct Served<'a, S> {
    ways: Ways<S>,
    context: EvalContext,
    folder: &'a Path,
    build: &'a Path,
    analyst: &'a Analysis,
    beginning: &'a Beginning,
    kept: std::io::Result<Kept>,
    settings: Vec<Setting>,
    /// As it was at the beginning.
    first: S,
    /// With all crates.
    root: S,
    states: HashMap<StateId, S>,
    next: StateId,
}

impl<'a, S: Clone> Served<'a, S> {
    pub fn new(
        ways: Ways<S>,
        context: EvalContext,
        root: S,
        (folder, build): (&'a Path, &'a Path),
        analyst: &'a Analysis,
        beginning: &'a Beginning,
    ) -> Self {
        Self {
            ways,
            context,
            folder,
            build,
            analyst,
            beginning,
            kept: Kept::of(build),
            settings: beginning.settings.clone(),
            first: root.clone(),
            states: HashMap::from([(FIRST, root.clone())]),
            root,
            next: FIRST,
        }
    }

    pub fn serve(&mut self, request: Request) {
        match request {
            // Whoever has given up waiting ends this process.
            Request::Clear(done) => drop(done.send(self.clear())),
            // Sessions begin with it, and it is told to them more than once.
            Request::Free(FIRST) => {}
            Request::Free(id) => drop(self.states.remove(&id)),
            Request::Configure { setting, answer } => answer.send(Ok(self.configure(setting))),
            Request::AddCrate {
                name,
                config,
                answer,
            } => answer.send(self.add_crate(&name, &config)),
            Request::Compile {
                source,
                state,
                answer,
            } => answer.send(self.compile(&source, state)),
            Request::Forget {
                names,
                state,
                answer,
            } => {
                if let Some(before) = self.states.get(&state).cloned() {
                    answer.send(self.forget(&names, before));
                }
            }
        }
    }

    /// Whether everything is as it was before the session.
    fn clear(&mut self) -> bool {
        self.settings.clear();
        self.root = self.first.clone();
        self.states = HashMap::from([(FIRST, self.first.clone())]);
        let restored = self.kept.as_ref().map(Kept::restore);
        matches!(restored, Ok(Ok(true))) && *self.beginning == Beginning::default()
    }

    fn configure(&mut self, setting: Setting) -> Made {
        self.settings.push(setting);
        self.made(Artifact::default(), FIRST, BTreeMap::new())
    }

    fn made(
        &self,
        artifact: Artifact,
        after: StateId,
        variables: BTreeMap<String, String>,
    ) -> Made {
        Made {
            artifact,
            after,
            variables,
            crates: crates::listed(self.build),
        }
    }

    fn keep(&mut self, state: S) -> StateId {
        self.next += 1;
        self.states.insert(self.next, state);
        self.next
    }

    /// The state after what has been compiled just now, with its variables.
    fn after(&mut self, artifact: Artifact) -> Made {
        let state = (self.ways.state)(&self.context);
        let after = self.keep(state);
        let variables = self.context.variables_and_types();
        let variables = variables
            .map(|(name, type_name)| (name.to_owned(), type_name.to_owned()))
            .collect();
        self.made(artifact, after, variables)
    }

    /// Tried on the root first; the other namespaces take it over with their next cell.
    fn add_crate(&mut self, name: &str, config: &str) -> Answer {
        let mut state = self.root.clone();
        (self.ways.set_offline)(&mut state, false);
        let config = crates::config(name, config).map_err(CompileError::Trouble)?;
        self.with_lock_kept(|served| (served.ways.add_dep)(&mut state, name, &config))?;
        (self.ways.eval)(&mut self.context, "let _ = ();", state).map_err(trouble)?;
        self.root = (self.ways.state)(&self.context);
        self.with_lock_kept(|served| {
            for state in served.states.values_mut() {
                (served.ways.set_offline)(state, false);
                // Validated above, and evcxr skips what it knows.
                (served.ways.add_dep)(state, name, &config)?;
            }
            Ok(())
        })?;
        let after = self.keep(self.root.clone());
        Ok(self.made(Artifact::default(), after, BTreeMap::new()))
    }

    /// Validating a crate drops every other crate's version from the lock.
    fn with_lock_kept(
        &mut self,
        add: impl FnOnce(&mut Self) -> Result<(), evcxr::Error>,
    ) -> Result<(), CompileError> {
        let lock = self.build.join("Cargo.lock");
        let locked = std::fs::read(&lock);
        add(self).map_err(trouble)?;
        if let Ok(locked) = locked {
            let _ = std::fs::write(&lock, locked);
        }
        Ok(())
    }

    fn compile(&mut self, source: &Source, state: StateId) -> Answer {
        let Some(mut before) = self.states.get(&state).cloned() else {
            return Err(CompileError::Trouble("the state is gone".to_owned()));
        };
        self.set(&mut before);
        let changes = serde_json::to_string(&source.changes).unwrap_or_default();
        (self.ways.set_env)(&mut before, wrapper::CHANGES_VARIABLE, &changes);
        let prefix_lines = source.prefix.lines().count();
        let full = whole(source);
        let (told, untold) = match self.types(&full, &before) {
            Ok(told) => (told, None),
            Err(why) => (None, Some(why)),
        };
        let compiled = caught(|| {
            artifact::clear(self.folder);
            let full = told.as_ref().map_or(&full, |told| &told.code);
            (self.ways.eval)(&mut self.context, full, before)
        });
        match compiled {
            Ok(()) => {
                let artifact = artifact::last(self.folder, &self.context, self.beginning)?;
                Ok(self.after(artifact))
            }
            Err(error) => {
                let mut refused = refusal::refusal(error, prefix_lines, &self.context);
                if let (Some(told), CompileError::Refused(errors)) = (&told, &mut refused) {
                    let places = errors.iter_mut().flat_map(|error| &mut error.places);
                    places.for_each(|place| told.back(place, prefix_lines));
                }
                if let (Some(why), CompileError::Trouble(message)) = (untold, &mut refused)
                    && message.contains(UNKNOWN_TYPE)
                {
                    message.push_str(&format!("\n{UNTOLD}{why}"));
                }
                Err(refused)
            }
        }
    }

    /// The session's settings, on a state.
    fn set(&self, state: &mut S) {
        for setting in &self.settings {
            match setting {
                Setting::OptLevel(level) => {
                    let _ = (self.ways.set_opt_level)(state, level);
                }
                Setting::NativeCpu(on) => {
                    let cpu = if *on { wrapper::NATIVE } else { "" };
                    (self.ways.set_env)(state, wrapper::CPU_VARIABLE, cpu);
                }
                Setting::Checks(on) => {
                    for key in ["OVERFLOW_CHECKS", "DEBUG_ASSERTIONS"] {
                        let key = format!("CARGO_PROFILE_DEV_{key}");
                        (self.ways.set_env)(state, &key, if *on { "true" } else { "false" });
                    }
                }
            }
        }
    }

    /// The cell with the types of its variables, when there are any to be found out. An error: why none can be.
    fn types(&mut self, code: &str, before: &S) -> Result<Option<Told>, String> {
        let lets = Lets::of(code);
        if !lets.ask() {
            return Ok(None);
        }
        let mut never = before.clone();
        (self.ways.set_env)(&mut never, NEVER.0, NEVER.1);
        // It fails, and leaves what it would have analysed where a cell's source goes.
        let refused = lets.refused(code);
        let _ = caught(|| (self.ways.eval)(&mut self.context, &refused, never));
        let Ok(text) = self.context.last_source() else {
            return Ok(None);
        };
        let types = self.analyst.types(text)?;
        // Behind that of the statement for which it is refused.
        let types = types.as_ref().and_then(|it| it.get(1..));
        Ok(types.and_then(|types| lets.told(code, types)))
    }

    fn forget(&mut self, names: &[String], before: S) -> Answer {
        let lets = names.iter().map(|name| format!("let {name} = ();\n"));
        let code: String = lets.collect();
        let file = self.folder.join(relay::PANIC_FILE);
        let forgot = std::fs::write(&file, "")
            .map_err(Into::into)
            .and_then(|()| caught(|| (self.ways.eval)(&mut self.context, &code, before)));
        let _ = std::fs::remove_file(&file);
        forgot.map_err(|error| refusal::refusal(error, 0, &self.context))?;
        Ok(self.after(Artifact::default()))
    }
}

fn trouble(error: evcxr::Error) -> CompileError {
    CompileError::Trouble(error.to_string())
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
