//! `%dep`: crates for all later cells, here and on engines.

use std::time::{Duration, Instant};

use super::namespace::Namespace;
use super::{Failed, Session, explain};
use crate::outcome::Sink;

impl Session {
    /// Adds a crate and builds it.
    pub fn add_crate(
        &mut self,
        name: &str,
        config: &str,
        sink: &mut dyn Sink,
    ) -> Result<Duration, Failed> {
        self.namespace_of(self.local, sink)?;
        let since = Instant::now();
        self.building.restart();
        let pending = self.compiler.add_crate(name.to_owned(), config.to_owned());
        let answer = self.await_compiler(pending, &format!("adding {name}"), sink);
        self.timing.compile += since.elapsed();
        let compiled = answer.map_err(|error| {
            let (code, none) = (super::Code::default(), std::collections::BTreeMap::new());
            explain::compile_error(error, &code, self.cell(), "", &none)
        })?;
        self.root = Some(Namespace {
            state: compiled.after,
            seen: 0,
        });
        self.settings_version += 1;
        self.crates.insert(name.to_owned(), config.to_owned());
        Ok(since.elapsed())
    }

    /// The crates that cells can use: name, version, and as they were asked for.
    pub fn crates(&self) -> Vec<[String; 3]> {
        let own = ("serde", "there from the start");
        let asked = self.crates.iter();
        let asked = asked.map(|(name, config)| (name.as_str(), config.as_str()));
        let own = (!self.crates.contains_key(own.0)).then_some(own);
        let row = |(name, config): (&str, &str)| {
            let package = match (name, package(config)) {
                ("kernels", None) => "regatta-kernels",
                (name, renamed) => renamed.unwrap_or(name),
            };
            let version = self.toolchain.locked(package);
            let version = version.unwrap_or_else(|| "not built yet".to_owned());
            [name.to_owned(), version, config.to_owned()]
        };
        own.into_iter().chain(asked).map(row).collect()
    }
}

/// The name under which a crate is published, where that is another: `{ package = "rand", … }`.
fn package(config: &str) -> Option<&str> {
    let (_, rest) = config.split_once("package")?;
    rest.trim_start()
        .strip_prefix('=')?
        .trim_start()
        .strip_prefix('"')?
        .split('"')
        .next()
}

#[cfg(test)]
mod tests {
    use super::package;

    #[test]
    fn a_crate_may_be_published_under_another_name() {
        let renamed = r#"{ version = "1", package = "rand" }"#;
        assert_eq!(package(renamed), Some("rand"));
        assert_eq!(package("\"1\""), None);
        assert_eq!(package("{ path = \"packages/x\" }"), None);
    }
}
