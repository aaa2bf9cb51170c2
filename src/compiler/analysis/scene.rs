//! The text that rust-analyzer is asked about: definitions and variables of the session around a piece of code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What code can name besides crates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scene {
    /// Types by the names of variables.
    pub variables: BTreeMap<String, String>,
}

/// What can be named on the local engine and on the engines of the current pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenes {
    /// All definitions of the session, as Rust code.
    pub items: String,
    pub local: Scene,
    /// `None` where there is no pool of processes.
    pub engines: Option<Scene>,
}

/// A place in code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub code: String,
    /// In bytes of the code.
    pub cursor: usize,
    /// Whether it runs on the engines of the current pool.
    pub on_engines: bool,
}

/// What names begin with that cells have without knowing it. They are never shown.
pub const OURS: [&str; 2] = ["regatta_", "evcxr_"];

impl Scenes {
    /// The whole text around a place's code, and where the code begins in it.
    pub fn around(&self, place: &Place) -> (String, usize) {
        let scene = match &self.engines {
            Some(engines) if place.on_engines => engines,
            _ => &self.local,
        };
        let mut text = String::from("#![allow(warnings)]\nuse regatta_cell::prelude::*;\n");
        text.push_str(&self.items);
        text.push_str("\nasync fn regatta_scene(");
        for (name, kind) in &scene.variables {
            // Writing to a string succeeds.
            let _ = write!(text, "mut {name}: {kind}, ");
        }
        text.push_str(") -> Result<(), Box<dyn std::error::Error>> {\n");
        let start = text.len();
        text.push_str(&place.code);
        text.push_str("\n}\n");
        (text, start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_stands_among_what_it_can_name() {
        let variables = |kind: &str| Scene {
            variables: [("v".to_owned(), kind.to_owned())].into(),
        };
        let scenes = Scenes {
            items: "struct S;\n".to_owned(),
            local: variables("Vec<u8>"),
            engines: Some(variables("String")),
        };
        for (on_engines, kind) in [(false, "mut v: Vec<u8>,"), (true, "mut v: String,")] {
            let code = "v.le".to_owned();
            let place = Place {
                code,
                cursor: 4,
                on_engines,
            };
            let (text, start) = scenes.around(&place);
            assert!(text.contains("struct S;") && text.contains(kind), "{text}");
            assert!(text[start..].starts_with("v.le\n}"), "{text}");
        }
    }
}
