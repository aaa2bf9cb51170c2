//! `%dep`: crates for all later cells, here and on engines.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Workshop;
use super::sources;
use super::waiting::Meanwhile;
use crate::compiler::{Dependency, KERNELS_PACKAGE};
use crate::outcome::Report;
use crate::session::namespace::Namespace;
use crate::session::{Code, Failed, explain};

impl Workshop {
    /// Adds a crate and builds it.
    pub fn add_crate(
        &mut self,
        name: &str,
        config: &str,
        meanwhile: &mut Meanwhile<'_>,
    ) -> Result<Duration, Failed> {
        let here = std::env::current_dir().unwrap_or_default();
        let read = Dependency::parse(config).map_err(|why| {
            Report::usage(format!("`{config}` does not say which {name}: {why}"))
                .hint("write it as in Cargo.toml: `%dep serde_json = \"1\"`")
        })?;
        let placed = with_whole_path(read, &here).map_err(|missing| {
            let what = format!("there is no crate in {missing}");
            let hint = "`path` is the folder of its Cargo.toml, from the working folder on";
            Report::usage(what).hint(hint)
        })?;
        self.see_to_the_compiler(meanwhile);
        self.warm_root(meanwhile)?;
        let since = Instant::now();
        self.compiler.building().restart();
        let pending = self.compiler.add_crate(name.to_owned(), &placed);
        let answer = meanwhile.answered(pending, &format!("adding {name}"), &self.compiler);
        self.spent += since.elapsed();
        let compiled = answer.map_err(|error| {
            let (code, cell) = (Code::default(), meanwhile.cell.cell);
            explain::compile_error(error, &code, cell, "", &BTreeMap::new())
        })?;
        self.root = Some(Namespace {
            state: compiled.after,
            seen: 0,
        });
        self.settings_version += 1;
        self.crates.insert(name.to_owned(), config.to_owned());
        self.placed.insert(name.to_owned(), placed);
        Ok(since.elapsed())
    }

    /// The version with which cells are built of a package, when cargo has locked one.
    pub fn locked(&self, package: &str) -> Option<String> {
        self.compiler.locked(package)
    }

    /// The crates that cells can use: name, version, and as they were asked for.
    pub fn crates(&self) -> Vec<[String; 3]> {
        let own = ("serde", "there from the start");
        let asked = self.crates.iter();
        let asked = asked.map(|(name, config)| (name.as_str(), config.as_str()));
        let own = (!self.crates.contains_key(own.0)).then_some(own);
        let row = |(name, config): (&str, &str)| {
            let read = Dependency::parse(config).ok();
            let version = self.locked(package_of(name, read.as_ref()));
            let version = version.unwrap_or_else(|| "not built yet".to_owned());
            [name.to_owned(), version, config.to_owned()]
        };
        own.into_iter().chain(asked).map(row).collect()
    }

    /// What adds each crate that was asked for in the version in which it is here, by its name in paths. Regatta's own is as
    /// regatta is.
    pub fn crate_texts(&self) -> BTreeMap<String, String> {
        let asked = self.placed.iter();
        let text = |(name, placed): (&String, &Dependency)| {
            let version = self.locked(package_of(name, Some(placed)))?;
            let exact = placed.clone().exactly(&version);
            let mut text = format!("{ADDS}{name} = {exact}");
            let sources = placed.path().map(|path| sources::hash(Path::new(path)));
            if let Some(Ok(hash)) = sources {
                text += &format!("{SOURCES}{hash:016x}");
            }
            Some((name.replace('-', "_"), text))
        };
        asked
            .filter(|(name, placed)| package_of(name, Some(placed)) != KERNELS_PACKAGE)
            .filter_map(text)
            .collect()
    }
}

/// What a text that adds a crate begins with.
const ADDS: &str = "%dep ";

/// In front of the hash of its sources, behind it; to TOML, it is a comment.
const SOURCES: &str = " # sources ";

/// What a crate that was added is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    TheSame,
    /// In the same version, at the same place, with other sources.
    Edited,
    /// It is not here, or is another one.
    Another,
}

/// What becomes of a crate when the first of these texts, of [`Workshop::crate_texts`], added it and the other one does now; `None`
/// when the first one adds none.
pub fn added_now(was: &str, is: Option<&str>) -> Option<Now> {
    let read = |text: &str| {
        let (_, config) = text.strip_prefix(ADDS)?.split_once(" = ")?;
        Dependency::parse(config).ok()
    };
    let sources = |text: &str| text.split_once(SOURCES).map(|(_, hash)| hash.to_owned());
    let added = read(was)?;
    let is_there = is.and_then(read).is_some_and(|is| is.is_same(&added));
    Some(match is_there {
        false => Now::Another,
        true if is.and_then(sources) == sources(was) => Now::TheSame,
        true => Now::Edited,
    })
}

/// Such a text as a user enters it.
pub fn as_entered(text: &str) -> &str {
    text.split_once(SOURCES).map_or(text, |(text, _)| text)
}

/// The folder of a crate of the user's that such a text adds.
pub fn folder_of(text: &str) -> Option<String> {
    let (_, config) = text.strip_prefix(ADDS)?.split_once(" = ")?;
    Some(Dependency::parse(config).ok()?.path()?.to_owned())
}

/// The package that a crate of this name is.
fn package_of<'a>(name: &'a str, read: Option<&'a Dependency>) -> &'a str {
    match (name, read.and_then(Dependency::package)) {
        ("kernels", None) => KERNELS_PACKAGE,
        (name, renamed) => renamed.unwrap_or(name),
    }
}

/// The entry with its `path = "…"` from the root on: the compiler has a working folder of its own. The path
/// as it is when there is no crate.
fn with_whole_path(read: Dependency, here: &Path) -> Result<Dependency, String> {
    let Some(path) = read.path().map(str::to_owned) else {
        return Ok(read);
    };
    let whole = here.join(&path);
    if !whole.join("Cargo.toml").exists() {
        return Err(path);
    }
    // Without `..` and links.
    let whole = whole.canonicalize().unwrap_or(whole);
    Ok(read.at(&whole))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Dependency, Now, added_now, folder_of, with_whole_path};

    #[test]
    fn crates_are_the_same_in_the_same_version() {
        let was = "%dep rand = \"=0.9.2\"";
        assert_eq!(added_now(was, Some(was)), Some(Now::TheSame));
        let more = "%dep rand = { version = \"=0.9.2\", features = [\"std\"] }";
        assert_eq!(added_now(was, Some(more)), Some(Now::TheSame));
        let later = "%dep rand = \"=0.9.3\"";
        assert_eq!(added_now(was, Some(later)), Some(Now::Another));
        assert_eq!(added_now(was, None), Some(Now::Another));
        let own = |hash: &str| format!("%dep own = {{ path = \"/own\" }} # sources {hash}");
        let now = |is: &str| added_now(&own("1f"), Some(is));
        assert_eq!(now(&own("1f")), Some(Now::TheSame));
        assert_eq!(now(&own("2f")), Some(Now::Edited));
        assert_eq!(folder_of(&own("1f")).as_deref(), Some("/own"));
        assert_eq!(folder_of(was), None);
        assert_eq!(added_now("struct Rand;", None), None);
    }

    #[test]
    fn a_path_begins_at_the_root() {
        let here = tempfile::tempdir().unwrap();
        let own = here.path().canonicalize().unwrap().join("own");
        fs::create_dir(&own).unwrap();
        fs::write(own.join("Cargo.toml"), "").unwrap();
        let read = |config: &str| Dependency::parse(config).unwrap();
        let placed = |config: &str| with_whole_path(read(config), here.path());
        assert_eq!(
            placed(r#"{ path = "./own", features = ["a"] }"#),
            Ok(read(&format!(r#"{{ features = ["a"], path = {own:?} }}"#)))
        );
        for kept in ["\"1\"", &format!("{{ path={own:?} }}"), r#"{ git = "x" }"#] {
            assert_eq!(placed(kept), Ok(read(kept)));
        }
        assert_eq!(placed(r#"{ path = "../own" }"#), Err("../own".to_owned()));
    }
}
