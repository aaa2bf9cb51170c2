//! What the README quotes is what the code says of itself.

fn between(text: &str, mark: &str) -> String {
    let (begin, end) = (format!("<!-- {mark} -->"), format!("<!-- /{mark} -->"));
    let part = text
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once(&end));
    let (part, _) = part.unwrap_or_else(|| panic!("README.md has no `{begin}` … `{end}`"));
    part.trim().to_owned()
}

fn readme() -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    std::fs::read_to_string(file).expect("a README.md")
}

/// The table in a module's documentation.
fn documented(source: &str) -> String {
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! "));
    let rows: Vec<&str> = rows.filter(|line| line.starts_with('|')).collect();
    rows.join("\n")
}

#[test]
fn the_table_of_magics_is_fresh() {
    let wanted = regatta::readme_table();
    assert!(
        between(&readme(), "magics") == wanted.trim(),
        "put this between the marks of README.md:\n\n{wanted}"
    );
}

#[test]
fn the_tables_of_masks_and_of_json_are_fresh() {
    for (mark, source) in [
        ("masks", include_str!("../src/notebook/mask.rs")),
        ("json", include_str!("../src/render/json.rs")),
    ] {
        assert_eq!(between(&readme(), mark), documented(source), "{mark}");
    }
}
