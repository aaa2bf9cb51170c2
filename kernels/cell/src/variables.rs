//! The variables that outlive their cells. evcxr generates a store of this shape into every cell; the session
//! puts this one in its place (one copy for all cells, and what happens to variables is told as data).
//!
//! The generated code takes every variable out, runs the user's code, and puts the ones that are left back.
//! A store is handed from artifact to artifact as a pointer, so its layout changes with this crate alone.
//!
//! What is generic here is compiled anew with every cell, so it is no more than what a type must say of itself.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use crate::catch::{caught, value_of};
use crate::host::{Bytes, Fact, host, packed};

/// What evcxr's own value in the store is called, for `await`; not one of the user's variables.
const OWN: &str = "evcxr_tokio_runtime";

pub struct VariableStore {
    variables: HashMap<String, Box<dyn Any>>,
}

#[must_use]
pub fn create_variable_store() -> *mut VariableStore {
    Box::into_raw(Box::new(VariableStore {
        variables: HashMap::new(),
    }))
}

impl VariableStore {
    pub fn put_variable<T: 'static>(&mut self, name: &str, value: T) {
        self.put(name, Box::new(value));
    }

    /// Whether the variable can be taken as a `T`. One that can't is told: its type was redefined, and the cell
    /// does not run.
    pub fn check_variable<T: 'static>(&mut self, name: &str) -> bool {
        self.check(name, TypeId::of::<T>())
    }

    /// Takes a variable out if there is one of that name and type.
    pub(crate) fn take_if<T: 'static>(&mut self, name: &str) -> Option<T> {
        let value = self.take(name, TypeId::of::<T>())?;
        // SAFETY: it is a box of this very type.
        Some(unsafe { *Box::from_raw(Box::into_raw(value).cast::<T>()) })
    }

    /// Takes a variable out.
    ///
    /// # Panics
    /// When there is none of that name and type: the session knows which variables an engine has.
    pub fn take_variable<T: 'static>(&mut self, name: &str) -> T {
        let value = self.take_known(name, TypeId::of::<T>());
        // SAFETY: it was a box of this very type, and is this caller's.
        unsafe { *Box::from_raw(value.cast::<T>()) }
    }

    #[inline(never)]
    fn check(&mut self, name: &str, kind: TypeId) -> bool {
        let fits = self
            .variables
            .get(name)
            .is_none_or(|value| (**value).type_id() == kind);
        if !fits {
            tell(Fact::ChangedType, name);
        }
        fits
    }

    /// A variable of that name and type; one of another type stays.
    #[inline(never)]
    fn take(&mut self, name: &str, kind: TypeId) -> Option<Box<dyn Any>> {
        self.variables
            .get(name)
            .filter(|value| (***value).type_id() == kind)?;
        self.variables.remove(name)
    }

    #[inline(never)]
    fn take_known(&mut self, name: &str, kind: TypeId) -> *mut () {
        match self.take(name, kind) {
            Some(value) => Box::into_raw(value).cast(),
            None => panic!("the variable `{name}` has gone missing"),
        }
    }

    /// A value that is made once, for the runtime of `await`. A value of another type under that name, such as
    /// the runtime of a tokio with other features, makes way; it is not dropped, because tasks may run on it.
    pub fn lazy_arc<T: 'static>(&mut self, name: &str, create: impl FnOnce() -> T) -> Arc<T> {
        let there = self.variables.get(name);
        if let Some(value) = there.and_then(|value| value.downcast_ref::<Arc<T>>()) {
            return value.clone();
        }
        let value = Arc::new(create());
        let old = self
            .variables
            .insert(name.to_owned(), Box::new(value.clone()));
        std::mem::forget(old);
        value
    }

    #[inline(never)]
    fn put(&mut self, name: &str, value: Box<dyn Any>) {
        let mut old = self.variables.insert(name.to_owned(), value);
        // Its panic, which the hook has noted, must not keep the next variables from being stored.
        caught(&mut || drop(old.take()));
    }

    /// The names of the user's variables.
    fn names(&self) -> Vec<&String> {
        let names = self.variables.keys();
        names.filter(|name| *name != OWN).collect()
    }
}

/// The entry of every artifact: runs its body and tells what it has left behind.
///
/// # Safety
/// `store` is null or what the artifact before gave, and no other cell uses it meanwhile.
pub unsafe fn run(
    store: *mut VariableStore,
    body: fn(*mut VariableStore) -> *mut VariableStore,
) -> *mut VariableStore {
    let store = if store.is_null() {
        create_variable_store()
    } else {
        store
    };
    // evcxr catches the panics of the user's code; what panics here is the drop of a value at the cell's end,
    // after the variables were stored.
    let ran = caught(&mut || {
        body(store);
    });
    if !ran {
        tell(Fact::PanickedAtEnd, "");
    }
    // SAFETY: made by `create_variable_store`, never freed, and used by one cell at a time.
    let names = packed(&unsafe { &*store }.names());
    (host().tell)(Fact::Variables, Bytes::of(&names));
    store
}

/// Runs the user's code, in the place of `catch_unwind`, which would be compiled with every cell.
///
/// # Errors
/// When it panicked.
#[expect(clippy::result_unit_err, reason = "generated code asks no more")]
pub fn guarded<R, F: FnOnce() -> R>(AssertUnwindSafe(run): AssertUnwindSafe<F>) -> Result<(), ()> {
    guarded_alone(run)
}

/// The same of a cell that has no variables.
///
/// # Errors
/// As [`guarded`].
#[expect(clippy::result_unit_err, reason = "generated code asks no more")]
pub fn guarded_alone<R, F: FnOnce() -> R>(run: F) -> Result<(), ()> {
    value_of(run).map(drop).ok_or(())
}

/// The user's code panicked, and evcxr's code caught it.
pub fn panicked() {
    tell(Fact::Panicked, "");
}

/// A `?` at the top level returned early.
pub fn errored() {
    tell(Fact::Errored, "");
}

fn tell(fact: Fact, text: &str) {
    (host().tell)(fact, Bytes::of(text.as_bytes()));
}
