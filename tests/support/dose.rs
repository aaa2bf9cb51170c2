//! How much of a thing with chance in it is done, and by which seed. The usual dose fits into every run of the
//! tests; `REGATTA_DOSE=full` asks for the promised one, `REGATTA_SEED=…` for an earlier run's chances.

/// `usual`, or `full` where that is asked for.
pub fn of(usual: usize, full: usize) -> usize {
    let wanted = std::env::var("REGATTA_DOSE").unwrap_or_default();
    match wanted.as_str() {
        "full" => full,
        "" => usual,
        other => panic!("REGATTA_DOSE is `{other}`; there is `full`"),
    }
}

/// Chances with a seed that is told.
#[allow(
    clippy::print_stderr,
    reason = "the seed is told, so that a failure can be had again"
)]
pub fn random() -> fastrand::Rng {
    let seed = std::env::var("REGATTA_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("REGATTA_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// Says how far a long test is.
#[allow(
    clippy::print_stderr,
    reason = "what had happened before a failure helps to understand it"
)]
pub fn told(what: &str) {
    eprintln!("{what}");
}
