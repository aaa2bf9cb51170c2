//! The messages that cargo prints about a build with `--message-format=json`, as far as evcxr reads them: rustc's
//! diagnostics, and where the shared object is.

use std::path::Path;

use serde_json::{Value, json};

/// What cargo says of a crate with each of its messages.
const ABOUT: [&str; 3] = ["package_id", "manifest_path", "target"];

/// The message about the cells' own crate among those of a build that went well.
pub fn artifact(stdout: &str, crate_name: &str) -> Option<Value> {
    let lines = stdout
        .lines()
        .filter(|line| line.contains("compiler-artifact"));
    let mut messages = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.find(|message| {
        message["reason"] == "compiler-artifact" && message["target"]["name"] == crate_name
    })
}

/// The message about a shared object of which nothing else is known.
pub fn shared_object(file: &Path, crate_name: &str) -> Value {
    json!({
        "reason": "compiler-artifact",
        "target": { "name": crate_name, "kind": ["cdylib"] },
        "filenames": [file],
        "fresh": true,
    })
}

/// What cargo makes of a line of rustc's.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// For its standard output.
    Message(Value),
    /// For its standard error: not a message of rustc's.
    Line(String),
    /// What cargo keeps for itself: the files that are there by now.
    Nothing,
}

/// A line of rustc's as cargo prints it; `artifact` is its message about the same crate.
pub fn message(line: &str, artifact: &Value) -> Said {
    let Ok(told) = serde_json::from_str::<Value>(line) else {
        return Said::Line(line.to_owned());
    };
    match told["$message_type"].as_str() {
        Some("diagnostic") => {}
        Some(_) => return Said::Nothing,
        None => return Said::Line(line.to_owned()),
    }
    let mut message = json!({ "reason": "compiler-message", "message": told });
    for name in ABOUT {
        message[name] = artifact[name].clone();
    }
    Said::Message(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagnostic_is_told_as_cargo_does() {
        let stdout = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"serde\"}}\n\
            {\"reason\":\"compiler-artifact\",\"package_id\":\"p\",\"manifest_path\":\"m\",\
            \"target\":{\"name\":\"ctx\"},\"filenames\":[\"/l.so\"]}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        let artifact = artifact(stdout, "ctx").unwrap();
        assert_eq!(artifact["filenames"][0], "/l.so");
        let line = r#"{"$message_type":"diagnostic","message":"no","level":"error"}"#;
        let Said::Message(told) = message(line, &artifact) else {
            panic!("{line}");
        };
        assert_eq!(told["reason"], "compiler-message");
        assert_eq!(told["message"]["level"], "error");
        assert_eq!(told["package_id"], "p");
        assert_eq!(told["target"]["name"], "ctx");
        let line = r#"{"$message_type":"artifact","artifact":"/l.so","emit":"link"}"#;
        assert_eq!(message(line, &artifact), Said::Nothing);
        let panic = "thread 'rustc' panicked";
        assert_eq!(message(panic, &artifact), Said::Line(panic.to_owned()));
    }

    #[test]
    fn a_build_without_the_crate_has_no_message_about_it() {
        assert_eq!(artifact("{\"reason\":\"build-finished\"}\n", "ctx"), None);
        let made = shared_object(Path::new("/a/libctx.so"), "ctx");
        assert_eq!(artifact(&format!("{made}\n"), "ctx"), Some(made));
    }
}
