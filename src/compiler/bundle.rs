//! The crates that cells use, built into shared objects that all artifacts of an engine load: what a crate
//! keeps in statics (a logger, a registry, the context of an async runtime) is then the same in every cell, and
//! linking a cell is quicker.
//!
//! A bundle contains the crates that were new when it was built, and builds on the bundles before it, so that
//! adding a crate leaves what the others keep as it was. A crate that was built anew (edited, other features)
//! goes into a new bundle, with all that came after it.

mod record;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::iter;
use std::path::{Path, PathBuf};

use super::wrapper::Rustc;
use super::{is_full, locked, toolchain};
use record::{Bundle, Crate, FLAGS, NAME, RECORD};

/// What a cell is to be linked with.
#[derive(Debug, Default)]
pub struct Linked {
    /// Arguments for rustc.
    pub arguments: Vec<OsString>,
    /// To be added to the cell's source.
    pub source: String,
    /// How often each crate has been built anew; those that never were are missing.
    pub rebuilt: HashMap<String, u64>,
}

/// The bundles for a cell that is compiled with these arguments, built now where there are none.
pub fn linked(rustc: &Rustc, arguments: &[OsString]) -> io::Result<Linked> {
    let paths = externs(arguments);
    let Some(folder) = paths.first().and_then(|(_, path)| path.parent()) else {
        return Ok(Linked::default());
    };
    let crates = paths
        .iter()
        .map(|(name, path)| Crate::of(name, path))
        .collect::<io::Result<Vec<Crate>>>()?;
    let record = folder.join(RECORD);
    let mut bundles: Vec<Bundle> = fs::read(&record)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let (mut chain, rest) = chain(&bundles, &crates);
    if !rest.is_empty() {
        let number = bundles.len();
        let names: Vec<&str> = rest.iter().map(|one| one.name.as_str()).collect();
        let built = build(rustc, arguments, folder, number, &chain, &names)?;
        bundles.push(Bundle {
            crates: rest,
            on: chain.clone(),
            failed: !built,
        });
        fs::write(&record, serde_json::to_vec(&bundles)?)?;
        chain.push(number);
    }
    let mut linked = Linked {
        rebuilt: rebuilt(&bundles, &crates),
        ..Linked::default()
    };
    let loaded = chain.iter().filter(|&&number| !bundles[number].failed);
    for number in loaded {
        linked.arguments.extend(arguments_for(folder, *number));
        linked.source += &format!("extern crate {NAME}{number} as _; ");
    }
    // The way that rustc leaves in an artifact begins at the artifact, which does not stay where it is linked.
    for folder in iter::once(folder.to_owned()).chain(libraries(arguments)) {
        linked
            .arguments
            .push(format!("-Clink-arg=-Wl,-rpath,{}", folder.display()).into());
    }
    Ok(linked)
}

/// Where the toolchain has the standard library's shared object for what is compiled.
fn libraries(arguments: &[OsString]) -> Option<PathBuf> {
    let sysroot = std::env::var_os(toolchain::SYSROOT_VARIABLE)?;
    let triple = arguments.windows(2).find(|two| two[0] == "--target")?;
    let folder = PathBuf::from(sysroot).join("lib/rustlib");
    Some(folder.join(&triple[1]).join("lib"))
}

fn arguments_for(folder: &Path, number: usize) -> [OsString; 2] {
    let file = folder.join(format!("lib{NAME}{number}.so"));
    [
        "--extern".into(),
        format!("{NAME}{number}={}", file.display()).into(),
    ]
}

/// The version of each crate that a cell may name: as cargo has locked it, or which build it is where it is no
/// published one. The cell crate is left out: it is this program's own.
pub fn versions(arguments: &[OsString]) -> HashMap<String, String> {
    let lock = fs::read_to_string("Cargo.lock").unwrap_or_default();
    let others = externs(arguments)
        .into_iter()
        .filter(|(name, _)| name != "regatta_cell");
    let version = |(name, path): (String, PathBuf)| {
        let version = locked::published(&lock, &name).or_else(|| {
            let build = Crate::of(&name, &path).ok()?;
            Some(format!("{} {} {}", build.file, build.bytes, build.built))
        });
        Some((name, version?))
    };
    others.filter_map(version).collect()
}

/// The rlibs among `--extern name=path`.
fn externs(arguments: &[OsString]) -> Vec<(String, PathBuf)> {
    arguments
        .windows(2)
        .filter(|two| two[0] == "--extern")
        .filter_map(|two| two[1].to_str()?.split_once('='))
        .filter(|(_, path)| path.ends_with(".rlib"))
        .map(|(name, path)| (name.to_owned(), PathBuf::from(path)))
        .collect()
}

/// The bundles that serve a cell with these crates, each building on those before it, and the crates that are
/// in none of them.
fn chain(bundles: &[Bundle], crates: &[Crate]) -> (Vec<usize>, Vec<Crate>) {
    let (mut chain, mut rest) = (Vec::new(), crates.to_vec());
    for (number, bundle) in bundles.iter().enumerate() {
        // Two that do not build on each other may contain the same crate twice.
        if bundle.on == chain && bundle.crates.iter().all(|one| rest.contains(one)) {
            rest.retain(|one| !bundle.crates.contains(one));
            chain.push(number);
        }
    }
    (chain, rest)
}

/// How many builds of each crate there were before the one that is in use.
fn rebuilt(bundles: &[Bundle], crates: &[Crate]) -> HashMap<String, u64> {
    let count = |wanted: &Crate| {
        let mut builds: Vec<&Crate> = Vec::new();
        let all = bundles.iter().flat_map(|bundle| &bundle.crates);
        for one in all.filter(|one| one.name == wanted.name) {
            if !builds.contains(&one) {
                builds.push(one);
            }
        }
        builds.iter().position(|one| *one == wanted).unwrap_or(0) as u64
    };
    let counts = crates.iter().map(|one| (one.name.clone(), count(one)));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// Builds a bundle; false when its crates cannot be in one.
fn build(
    rustc: &Rustc,
    arguments: &[OsString],
    folder: &Path,
    number: usize,
    on: &[usize],
    crates: &[&str],
) -> io::Result<bool> {
    let source = folder.join(format!("{NAME}{number}.rs"));
    let bases: Vec<String> = on.iter().map(|base| format!("{NAME}{base}")).collect();
    let names = crates.iter().copied();
    let text = record::source(names.chain(bases.iter().map(String::as_str)));
    fs::write(&source, text)?;
    let mut command = rustc.command();
    command
        .arg("--crate-name")
        .arg(format!("{NAME}{number}"))
        .args(FLAGS)
        .arg("--out-dir")
        .arg(folder)
        .arg(&source);
    for two in arguments.windows(2) {
        let passed = ["--extern", "-L", "--target"]
            .iter()
            .any(|name| two[0] == *name)
            || two[0] == "-C" && two[1].to_string_lossy().starts_with("link");
        if passed {
            command.args(two);
        }
    }
    for argument in arguments {
        let text = argument.to_string_lossy();
        if text.starts_with("-Clink") || text.starts_with("-Zcodegen-backend") {
            command.arg(argument);
        }
    }
    for base in on {
        command.args(arguments_for(folder, *base));
    }
    let built = command.output()?;
    let said = String::from_utf8_lossy(&built.stderr);
    // What a full disk or a kill has stopped may go well the next time.
    if built.status.code().is_none() || is_full(&said) {
        let why = if said.trim().is_empty() {
            built.status.to_string()
        } else {
            said.trim().to_owned()
        };
        return Err(io::Error::other(why));
    }
    Ok(built.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, built: u128) -> Crate {
        Crate {
            name: name.to_owned(),
            file: format!("lib{name}.rlib"),
            bytes: 1,
            built,
        }
    }

    fn bundle(crates: &[Crate], on: &[usize]) -> Bundle {
        Bundle {
            crates: crates.to_vec(),
            on: on.to_vec(),
            failed: false,
        }
    }

    #[test]
    fn bundles_build_on_each_other_and_a_new_build_leaves_those_before_it() {
        let (cell, log, own) = (one("cell", 1), one("log", 2), one("own", 3));
        let mut bundles = vec![
            bundle(std::slice::from_ref(&cell), &[]),
            bundle(std::slice::from_ref(&log), &[0]),
            bundle(std::slice::from_ref(&own), &[0, 1]),
        ];
        let all = [cell.clone(), log.clone(), own];
        assert_eq!(chain(&bundles, &all), (vec![0, 1, 2], Vec::new()));
        assert!(rebuilt(&bundles, &all).is_empty());

        let edited = [cell.clone(), log.clone(), one("own", 9)];
        let (found, rest) = chain(&bundles, &edited);
        assert_eq!((found.as_slice(), rest.len()), ([0, 1].as_slice(), 1));
        bundles.push(bundle(&rest, &found));
        assert_eq!(chain(&bundles, &edited), (vec![0, 1, 3], Vec::new()));
        assert_eq!(rebuilt(&bundles, &edited), [("own".to_owned(), 1)].into());

        // A namespace without `log`, and one that has it again.
        let (found, rest) = chain(&bundles, &[cell, one("own", 9)]);
        assert_eq!((found.as_slice(), rest.len()), ([0].as_slice(), 1));
    }

    #[test]
    fn rlibs_are_found_among_the_arguments() {
        let arguments = [
            "--extern",
            "a=/x/liba-1.rlib",
            "--extern",
            "b=/x/libb.so",
            "--extern",
            "std",
        ];
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        assert_eq!(
            externs(&arguments),
            [("a".to_owned(), "/x/liba-1.rlib".into())]
        );
    }
}
