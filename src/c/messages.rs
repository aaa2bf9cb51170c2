//! What a C compiler says, as data: gcc's, clang's and tcc's lines have one form, `file:line:column: error: text`.

use std::sync::LazyLock;

use regex::Regex;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
    Note,
}

/// One thing that the compiler or the linker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub severity: Severity,
    pub text: String,
    /// Which file: for the user's own text what its lines were named.
    pub file: String,
    /// From 1; 0 where none is told.
    pub line: usize,
    /// In bytes, from 1; 0 where none is told.
    pub column: usize,
}

static SAID: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(.+?):(\d+):(?:(\d+):)? (fatal error|error|warning|note): (.*)$").ok()
});

/// `/usr/bin/ld: /tmp/x.o: in function `f': In [3]:2: undefined reference to `cos'`
static UNDEFINED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"undefined (?:reference to|symbol:?) [`']?(?P<name>[^\s']+)'?").ok()
});

/// What the compiler has printed, line by line; what has no form of a message is left out.
pub fn messages(printed: &str) -> Vec<Message> {
    printed.lines().filter_map(message).collect()
}

fn message(line: &str) -> Option<Message> {
    let found = SAID.as_ref()?.captures(line)?;
    let number = |at: usize| found.get(at).and_then(|it| it.as_str().parse().ok());
    let severity = match &found[4] {
        "warning" => Severity::Warning,
        "note" => Severity::Note,
        _ => Severity::Error,
    };
    Some(Message {
        severity,
        text: found[5].to_owned(),
        file: found[1].to_owned(),
        line: number(2).unwrap_or(0),
        column: number(3).unwrap_or(0),
    })
}

/// The functions that the linker misses, each once.
pub fn undefined(printed: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in printed.lines() {
        let found = UNDEFINED.as_ref().and_then(|said| said.captures(line));
        if let Some(name) = found.map(|found| found["name"].to_owned())
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// What the linker finds twice or not at all, in its own words: its last line that says why.
pub fn other(printed: &str) -> String {
    let says = |line: &&str| !line.contains("returned 1 exit status") && !line.trim().is_empty();
    let last = printed.lines().rfind(says).unwrap_or_default();
    let last = last.rsplit(": error: ").next().unwrap_or(last);
    last.rsplit("ld: ").next().unwrap_or(last).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_compilers_are_read() {
        let printed = "In [3]: In function 'f':\n\
            In [3]:2:12: error: 'y' undeclared (first use in this function)\n    2 |  return y;\n\
            In [3]:2:12: note: each undeclared identifier is reported only once\n\
            k.h:1:1: warning: unused variable 'a' [-Wunused-variable]\n\
            In [3]:4: error: ';' expected (got \"}\")\n\
            In [3]:1:10: fatal error: none.h: No such file or directory\ncompilation terminated.";
        let read = messages(printed);
        let shown: Vec<_> = read
            .iter()
            .map(|it| (it.severity, it.file.as_str(), it.line, it.column))
            .collect();
        assert_eq!(
            shown,
            [
                (Severity::Error, "In [3]", 2, 12),
                (Severity::Note, "In [3]", 2, 12),
                (Severity::Warning, "k.h", 1, 1),
                (Severity::Error, "In [3]", 4, 0),
                (Severity::Error, "In [3]", 1, 10),
            ]
        );
        assert_eq!(read[4].text, "none.h: No such file or directory");
    }

    #[test]
    fn what_the_linkers_miss_is_named() {
        let ld = "/usr/bin/ld: /tmp/ccX.o: in function `f':\nIn [3]:(.text+0x1d): undefined reference to `cos'\n\
                  /usr/bin/ld: (.text+0x2d): undefined reference to `cos'\ncollect2: error: ld returned 1 exit status";
        assert_eq!(undefined(ld), ["cos"]);
        let lld = "ld.lld: error: undefined symbol: sin\n>>> referenced by x.c";
        assert_eq!(undefined(lld), ["sin"]);
        assert_eq!(
            other(
                "/usr/bin/ld: cannot find -lnone: No such file or directory\ncollect2: error: ld returned 1 exit status"
            ),
            "cannot find -lnone: No such file or directory"
        );
    }
}
