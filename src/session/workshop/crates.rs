//! `%dep`: crates for all later cells, here and on engines.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Workshop;
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
            Some((name.replace('-', "_"), format!("{ADDS}{name} = {exact}")))
        };
        asked
            .filter(|(name, placed)| package_of(name, Some(placed)) != KERNELS_PACKAGE)
            .filter_map(text)
            .collect()
    }
}

/// What a text that adds a crate begins with.
const ADDS: &str = "%dep ";

/// Whether both texts, of [`Workshop::crate_texts`], add the same crate; `None` when the first one adds none.
pub fn add_the_same(was: &str, is: Option<&str>) -> Option<bool> {
    let read = |text: &str| {
        let (_, config) = text.strip_prefix(ADDS)?.split_once(" = ")?;
        Dependency::parse(config).ok()
    };
    let was = read(was)?;
    Some(is.and_then(read).is_some_and(|is| is.is_same(&was)))
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

    use super::{Dependency, add_the_same, with_whole_path};

    #[test]
    fn crates_are_the_same_in_the_same_version() {
        let was = "%dep rand = \"=0.9.2\"";
        assert_eq!(add_the_same(was, Some(was)), Some(true));
        let more = "%dep rand = { version = \"=0.9.2\", features = [\"std\"] }";
        assert_eq!(add_the_same(was, Some(more)), Some(true));
        assert_eq!(
            add_the_same(was, Some("%dep rand = \"=0.9.3\"")),
            Some(false)
        );
        assert_eq!(add_the_same(was, None), Some(false));
        assert_eq!(add_the_same("struct Rand;", None), None);
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
