//! What an engine's variables are: the crew keeps account of them, the workshop compiles with them.

use std::collections::BTreeMap;

use crate::compiler::State;

/// The variables of one or several engines, as the compiler knows them.
#[derive(Clone, Debug)]
pub struct Namespace {
    pub state: State,
    /// How many entries of the definitions' log the state contains.
    pub seen: usize,
}

impl Namespace {
    pub fn variables(&self) -> &BTreeMap<String, String> {
        self.state.variables()
    }
}
