//! Tables as a person reads them: rows and fields.

use super::Session;

/// The rows of a table as their fields.
pub fn rows(shown: &str) -> Vec<Vec<String>> {
    let lines = shown.lines().filter(|line| line.starts_with('│'));
    let fields = |line: &str| {
        line.trim_matches('│')
            .split('│')
            .map(|field| field.trim().to_owned())
            .collect()
    };
    lines.skip(1).map(fields).collect()
}

/// Asserts that a cell shows these engines with these results.
#[track_caller]
pub fn results(session: &mut Session, code: &str, wanted: &[(&str, &str)]) {
    let shown = session.cell(code);
    let rows = rows(&shown);
    let found: Vec<(&str, &str)> = rows.iter().map(|row| (&*row[0], &*row[1])).collect();
    assert_eq!(found, wanted, "{code}\n{shown}");
}
