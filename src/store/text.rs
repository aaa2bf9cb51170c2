//! Values as people and scripts write and read them: JSON, or a plain text for a text.

use regatta_cell::store::call::Json;
use serde::de::IgnoredAny;

/// What is JSON stays as it is written; anything else is a text.
pub fn value(text: &str) -> Json {
    let trimmed = text.trim();
    match serde_json::from_str::<IgnoredAny>(trimmed) {
        Ok(_) => trimmed.to_owned(),
        Err(_) => string(text),
    }
}

/// The text as a JSON string.
pub fn string(text: &str) -> Json {
    serde_json::Value::from(text).to_string()
}

/// A JSON string as the text that it is, all else as JSON.
pub fn plain(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

/// Whether it is a whole number, however large.
pub fn is_whole(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    !digits.is_empty() && digits.bytes().all(|letter| letter.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_a_text() {
        for (typed, json) in [
            ("1", "1"),
            (" {\"a\": [1, 2]} ", "{\"a\": [1, 2]}"),
            ("true", "true"),
            ("\"1\"", "\"1\""),
            ("hello world", "\"hello world\""),
            ("007", "\"007\""),
            ("[1, 2", "\"[1, 2\""),
            ("", "\"\""),
            ("1 2", "\"1 2\""),
        ] {
            assert_eq!(value(typed), json, "{typed}");
        }
        assert_eq!(plain("\"a\\nb\""), "a\nb");
        assert_eq!(plain("{\"a\":1}"), "{\"a\":1}");
    }
}
