//! An engine's own variables in the functions of maps: taken from the engine's store while a function is made,
//! and put back when it is dropped, which the engine does before a cell needs them.

use std::any::type_name;
use std::ops::Deref;

use crate::host::host;
use crate::variables::VariableStore;

/// A variable of this engine's.
pub struct Resident<T: 'static> {
    name: &'static str,
    /// `None` after the drop alone.
    value: Option<T>,
}

impl<T> Resident<T> {
    /// Takes the variable out of the engine's store.
    ///
    /// # Panics
    /// When the engine has none of this name and type.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        let value = store().and_then(|store| store.take_if(name));
        let Some(value) = value else {
            panic!(
                "the engine has no variable `{name}` of type {} any more: it was started anew, or a cell has changed it · \
                 `%px let {name} = …` gives it one, `%pool start --init` also to engines that are started anew",
                type_name::<T>()
            )
        };
        Self {
            name,
            value: Some(value),
        }
    }
}

/// None before the first cell of this engine.
fn store() -> Option<&'static mut VariableStore> {
    let store = (host().variables)().cast::<VariableStore>();
    // SAFETY: null, or what `store::run` has given to the engine, which frees it never and runs no cell while a
    // function of a map is made or dropped.
    unsafe { store.as_mut() }
}

impl<T> Deref for Resident<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
            .as_ref()
            .expect("the value is there until the drop")
    }
}

/// What a function uses of a variable of the engine's: a copy where that is one, the variable itself elsewhere.
pub struct Used<'a, T: 'static>(&'a Resident<T>);

impl<T> Resident<T> {
    #[must_use]
    pub fn used(&self) -> Used<'_, T> {
        Used(self)
    }
}

/// Chosen by the compiler before [`Borrowed`], where it fits.
pub trait Copied {
    type Value;

    fn value(&self) -> Self::Value;
}

impl<T: Copy> Copied for Used<'_, T> {
    type Value = T;

    fn value(&self) -> T {
        **self.0
    }
}

pub trait Borrowed {
    type Value;

    fn value(&self) -> Self::Value;
}

impl<'a, T> Borrowed for &Used<'a, T> {
    type Value = &'a T;

    fn value(&self) -> &'a T {
        self.0
    }
}

impl<T> Drop for Resident<T> {
    fn drop(&mut self) {
        if let (Some(value), Some(store)) = (self.value.take(), store()) {
            store.put_variable(self.name, value);
        }
    }
}
