//! What stands behind a crate's name in a manifest: a version, or a table that says where the crate is.

use std::fmt;
use std::path::Path;

use toml::{Table, Value};

/// Keys of which each says where a crate comes from.
const PLACES: [&str; 5] = ["path", "git", "version", "registry", "package"];

/// As cargo reads it; a version alone is a table of nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Dependency(Table);

impl Dependency {
    /// `"1"` or `{ version = "1", … }`; an error says what else it is.
    pub fn parse(config: &str) -> Result<Self, String> {
        let mut read: Table = format!("it = {config}")
            .parse()
            .map_err(|error: toml::de::Error| error.message().to_owned())?;
        match read.remove("it").filter(|_| read.is_empty()) {
            Some(Value::String(version)) => {
                let version = Value::String(version);
                Ok(Self(
                    [("version".to_owned(), version)].into_iter().collect(),
                ))
            }
            Some(Value::Table(table)) => Ok(Self(table)),
            _ => Err("it is neither a version in quotes nor a table".to_owned()),
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    /// The folder of a crate of the user's.
    pub fn path(&self) -> Option<&str> {
        self.text("path")
    }

    /// The same with this folder.
    pub fn at(mut self, path: &Path) -> Self {
        let path = Value::String(path.to_string_lossy().into_owned());
        self.0.insert("path".to_owned(), path);
        self
    }

    /// The name under which a crate is published, where that is another: `{ package = "rand", … }`.
    pub fn package(&self) -> Option<&str> {
        self.text("package")
    }

    /// The same, published under this name.
    pub fn of_package(mut self, name: &str) -> Self {
        let name = Value::String(name.to_owned());
        self.0.insert("package".to_owned(), name);
        self
    }

    /// The same in this version.
    pub fn exactly(mut self, version: &str) -> Self {
        let version = Value::String(format!("={version}"));
        self.0.insert("version".to_owned(), version);
        self
    }

    /// Whether both are the same crate, with whichever features.
    pub fn is_same(&self, other: &Self) -> bool {
        let mut keys = PLACES.iter().chain(&["rev", "branch", "tag"]);
        keys.all(|key| self.0.get(*key) == other.0.get(*key))
    }

    /// Without a word about where it comes from, but for any version.
    pub fn placeless(mut self) -> Option<Self> {
        if self.text("version") == Some("*") {
            self.0.remove("version");
        }
        let placed = PLACES.iter().any(|place| self.0.contains_key(*place));
        (!placed).then_some(self)
    }
}

/// As it stands in a manifest, on one line.
impl fmt::Display for Dependency {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get("version").filter(|_| self.0.len() == 1) {
            Some(version) => write!(to, "{version}"),
            None => write!(to, "{}", Value::Table(self.0.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Dependency;

    fn read(config: &str) -> Dependency {
        Dependency::parse(config).unwrap()
    }

    #[test]
    fn a_version_and_a_table_are_read() {
        assert_eq!(read("\"1\""), read("{ version = '1' }"));
        let renamed = read(r#"{ version = "1", package = "rand" }"#);
        assert_eq!((renamed.package(), renamed.path()), (Some("rand"), None));
        let own = read("{ path = \"packages/x\", features = ['a'] }");
        assert_eq!((own.package(), own.path()), (None, Some("packages/x")));
        for wrong in [
            "1",
            "rand",
            "[\"1\"]",
            "\"1",
            "{ version = \"1\"",
            "\"1\"\nb = 2",
            "",
        ] {
            assert!(Dependency::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn it_is_written_on_one_line_as_it_was_read() {
        assert_eq!(read("{ version = '1' }").to_string(), "\"1\"");
        let own = read(r#"{ path = "a \" b", features = ["x", "y"], default-features = false }"#);
        let placed = own.at(Path::new(r#"/whole\ "path"#));
        let text = placed.to_string();
        assert!(text.starts_with('{') && !text.contains('\n'), "{text}");
        assert_eq!(read(&text), placed);
        assert_eq!(placed.path(), Some(r#"/whole\ "path"#));
    }

    #[test]
    fn the_same_crate_is_of_the_same_version_and_place() {
        let was = read(r#"{ version = "1", features = ["a"] }"#).exactly("1.2.3");
        assert!(was.is_same(&read("\"=1.2.3\"")));
        assert!(!was.is_same(&read("\"1.2.3\"")));
        assert!(!was.is_same(&read("{ path = '/own', version = '=1.2.3' }")));
        let at = |rev: &str| read(&format!("{{ git = 'x', rev = '{rev}' }}"));
        assert!(at("a").is_same(&at("a")) && !at("a").is_same(&at("b")));
        let own = read("{ path = '/own' }").exactly("0.1.0").to_string();
        assert_eq!(own, "{ path = \"/own\", version = \"=0.1.0\" }");
    }

    #[test]
    fn what_names_no_place_is_told() {
        let from = |config| read(config).placeless().map(|it| it.to_string());
        assert_eq!(from("\"*\"").as_deref(), Some("{}"));
        assert!(from(r#"{ features = ["version"] }"#).is_some());
        for placed in [
            "\"1\"",
            "{ path = 'x' }",
            "{ git = 'x' }",
            "{ package = 'x' }",
        ] {
            assert_eq!(from(placed), None);
        }
    }
}
