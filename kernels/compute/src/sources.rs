//! This crate's own files, as text: `regatta` carries them, so that sessions can build the crate where there is no
//! checkout. Only the program asks for them, by the feature `sources`; cells never do.

/// Paths below this crate's folder, and what stands in them.
pub const FILES: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../Cargo.toml")),
    ("build.rs", include_str!("../build.rs")),
    ("c/kernels.h", include_str!("../c/kernels.h")),
    ("c/fib.c", include_str!("../c/fib.c")),
    ("c/mandelbrot.c", include_str!("../c/mandelbrot.c")),
    ("c/pi.c", include_str!("../c/pi.c")),
    ("c/primes.c", include_str!("../c/primes.c")),
    ("src/c.rs", include_str!("../src/c.rs")),
    ("src/lib.rs", include_str!("../src/lib.rs")),
    ("src/fib.rs", include_str!("../src/fib.rs")),
    ("src/mandelbrot.rs", include_str!("../src/mandelbrot.rs")),
    ("src/pi.rs", include_str!("../src/pi.rs")),
    ("src/primes.rs", include_str!("../src/primes.rs")),
    ("src/sources.rs", include_str!("../src/sources.rs")),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::FILES;

    /// A file that is missing here is missing in every session.
    #[test]
    fn every_source_file_is_carried() {
        let files = |folder: &'static str| {
            let there = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
            there.map(move |file| format!("{folder}/{}", file.unwrap().file_name().display()))
        };
        let mut there: Vec<String> = files("src")
            .chain(files("c"))
            .chain(["Cargo.toml", "build.rs"].map(str::to_owned))
            .collect();
        let mut carried: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        there.sort();
        carried.sort_unstable();
        assert_eq!(carried, there);
    }
}
