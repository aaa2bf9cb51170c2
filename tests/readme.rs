//! The README's table of magics is the one that the magics themselves declare.

const BEGIN: &str = "<!-- magics -->";
const END: &str = "<!-- /magics -->";

#[test]
fn the_table_of_magics_is_fresh() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let readme = readme.expect("a README.md");
    let wanted = regatta::magic::readme_table();
    let table = readme
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END));
    let (table, _) = table.unwrap_or_else(|| panic!("README.md has no `{BEGIN}` … `{END}`"));
    assert!(
        table.trim() == wanted.trim(),
        "the table of magics in README.md is stale; put this between its marks:\n\n{BEGIN}\n{wanted}{END}\n"
    );
}
