//! `%toolchain`: what cells are compiled with.

use clap::Args;

use super::{Call, Example, Magic};
use crate::outcome::{ErrorKind, Event, Field, Report, Sink, Table};
use crate::session::{Done, Session};

/// Packages on which the ways of a value between cells and engines depend.
const CARRIERS: [&str; 3] = ["regatta-cell", "serde", "postcard"];

/// tells what cells are compiled with: compiler, target, std, crates
#[derive(Args)]
#[command(
    after_help = "It is the toolchain that `rustc` means where the session was started; `rustup default` and \
                  `rust-toolchain.toml` choose it."
)]
pub struct Toolchain;

impl Magic for Toolchain {
    const NAME: &'static str = "toolchain";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%toolchain",
        shows: "rustc",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let toolchain = session.toolchain();
        let said = toolchain.description().map_err(|error| {
            Report::new(ErrorKind::System, format!("rustc cannot be run: {error}"))
        })?;
        let mut rows = described(&said);
        rows.push(("toolchain", toolchain.sysroot.display().to_string()));
        let sources = match (toolchain.std_sources(), &toolchain.no_sources) {
            (Some(folder), _) => folder.display().to_string(),
            (None, Some(why)) => format!("missing: {why}"),
            (None, None) => "missing".to_owned(),
        };
        rows.push(("std sources", sources));
        for package in CARRIERS {
            let version = session.locked(package);
            rows.push((
                package,
                version.unwrap_or_else(|| "not built yet".to_owned()),
            ));
        }
        rows.push(("regatta", env!("CARGO_PKG_VERSION").to_owned()));
        let row =
            |(what, text): (&str, String)| vec![Field::Text(what.to_owned()), Field::Text(text)];
        sink.send(Event::Table(Table {
            title: None,
            columns: vec!["what", "which"],
            rows: rows.into_iter().map(row).collect(),
        }));
        Ok(())
    }
}

/// The compiler, its target and LLVM, from `rustc -vV`.
fn described(said: &str) -> Vec<(&'static str, String)> {
    let first = said.lines().next().unwrap_or_default();
    let named = |name: &str| {
        let mut lines = said.lines().filter_map(|line| line.strip_prefix(name));
        lines.next().map(|text| text.trim().to_owned())
    };
    let mut rows = vec![("compiler", first.to_owned())];
    rows.extend(named("host:").map(|target| ("target", target)));
    rows.extend(named("LLVM version:").map(|version| ("LLVM", version)));
    rows
}

#[cfg(test)]
mod tests {
    use super::described;

    #[test]
    fn rustc_says_what_it_is() {
        let said = "rustc 1.95.0 (abc 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nLLVM version: 21.1\n";
        let rows = described(said);
        assert_eq!(
            rows[0],
            ("compiler", "rustc 1.95.0 (abc 2026-04-14)".to_owned())
        );
        assert_eq!(rows[1], ("target", "x86_64-unknown-linux-gnu".to_owned()));
        assert_eq!(rows[2], ("LLVM", "21.1".to_owned()));
        assert_eq!(described("").len(), 1);
    }
}
