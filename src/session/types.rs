//! Rust types as people write them.

/// `alloc::vec::Vec<ctx::Point>` → `Vec<Point>`.
pub fn shorten(type_name: &str) -> String {
    let mut short = String::with_capacity(type_name.len());
    let mut segment_start = 0;
    for (at, character) in type_name.char_indices() {
        if character.is_alphanumeric() || character == '_' || character == '{' || character == '}' {
            continue;
        }
        if character == ':' {
            if type_name[at..].starts_with("::") {
                continue;
            }
            segment_start = if type_name[..at].ends_with("::") {
                at + 1
            } else {
                segment_start
            };
            if type_name[..=at].ends_with("::") {
                segment_start = at + 1;
                continue;
            }
        }
        short.push_str(&type_name[segment_start.min(at)..at]);
        short.push(character);
        segment_start = at + character.len_utf8();
    }
    short.push_str(&type_name[segment_start..]);
    short
}

/// Text that stands in the program; it travels as a `String`.
pub fn is_text(kind: &str) -> bool {
    matches!(kind, "&str" | "&'static str")
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn paths_are_left_out() {
        for (long, short) in [
            ("u64", "u64"),
            ("alloc::vec::Vec<u64>", "Vec<u64>"),
            (
                "core::option::Option<alloc::string::String>",
                "Option<String>",
            ),
            ("(f64, ctx::Point)", "(f64, Point)"),
            ("&'static [ctx::a::B; 3]", "&'static [B; 3]"),
            (
                "alloc::collections::btree::map::BTreeMap<alloc::string::String, (u8, ctx::P)>",
                "BTreeMap<String, (u8, P)>",
            ),
            ("ctx::run::{{closure}}", "{{closure}}"),
            (
                "fn(u64) -> core::result::Result<(), ctx::E>",
                "fn(u64) -> Result<(), E>",
            ),
        ] {
            assert_eq!(shorten(long), short);
        }
    }
}
