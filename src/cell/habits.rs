//! What people type out of habit: a shell's commands where Rust or a magic is expected.

/// Commands that nobody means as Rust when nothing has that name.
const COMMANDS: [&str; 14] = [
    "cat", "cd", "cp", "echo", "git", "grep", "less", "ls", "make", "mkdir", "mv", "pwd", "rm",
    "touch",
];

/// The command that a line begins with, and what to write instead of the line.
pub fn shell_habit(line: &str) -> Option<(&str, String)> {
    let line = line.trim().trim_end_matches(';').trim_end();
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    let calculates = ["=", "+ ", "- ", "* ", "/ ", "% "];
    let is_rust = calculates
        .iter()
        .any(|operator| rest.trim_start().starts_with(operator));
    if line.contains('\n') || is_rust || !COMMANDS.contains(&command) {
        return None;
    }
    let hint = match command {
        "cd" => format!("`%{line}` goes to another folder, with all engines"),
        "pwd" => "`!pwd` shows the folder, `%cd FOLDER` goes to another".to_owned(),
        _ => format!("`!{line}` runs it in a shell"),
    };
    Some((command, hint))
}

#[cfg(test)]
mod tests {
    use super::shell_habit;

    #[test]
    fn a_shells_command_is_told_from_rust() {
        for (line, hint) in [
            ("ls", "`!ls` runs it in a shell"),
            (" ls -l *.rs;\n", "`!ls -l *.rs` runs it in a shell"),
            (
                "pwd",
                "`!pwd` shows the folder, `%cd FOLDER` goes to another",
            ),
            ("cd ..", "`%cd ..` goes to another folder, with all engines"),
            (
                "cd /tmp",
                "`%cd /tmp` goes to another folder, with all engines",
            ),
        ] {
            assert_eq!(
                shell_habit(line).map(|(_, hint)| hint).as_deref(),
                Some(hint)
            );
        }
        for line in [
            "lsx",
            "ls = 1",
            "ls + 1",
            "cat.purr()",
            "cat\n+ 1",
            "let ls",
            "",
        ] {
            assert_eq!(shell_habit(line), None, "{line}");
        }
    }
}
