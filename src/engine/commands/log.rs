//! What is written of a command that is over: its line in the job log, in GNU parallel's columns, and its files among
//! the results.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use regatta_cell::shell::{Command, ShellResult};

/// Writes both; what can't be written is told on the engine's standard error, as the command itself would.
pub fn write(command: &Command, result: &ShellResult, began: SystemTime) {
    let written = command.how.log.as_deref().map(|path| {
        // One write to the end of the file: others write to it at the same time.
        let file = File::options().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(line(command, result, began).as_bytes()))
            .map_err(|error| (path, error))
    });
    let kept = command.folder.as_deref().map(|folder| {
        let folder_at = Path::new(folder);
        std::fs::create_dir_all(folder_at)
            .and_then(|()| std::fs::write(folder_at.join("stdout"), &result.stdout.0))
            .and_then(|()| std::fs::write(folder_at.join("stderr"), &result.stderr.0))
            .and_then(|()| std::fs::write(folder_at.join("seq"), command.seq.to_string()))
            .map_err(|error| (folder, error))
    });
    for (path, error) in [written, kept]
        .into_iter()
        .flatten()
        .filter_map(Result::err)
    {
        let _ = writeln!(std::io::stderr(), "{path} cannot be written: {error}");
    }
}

fn line(command: &Command, result: &ShellResult, began: SystemTime) -> String {
    let began = began.duration_since(UNIX_EPOCH).unwrap_or_default();
    let code = match (result.timed_out, result.status) {
        (true, _) => -1,
        (false, code) => code.unwrap_or_default(),
    };
    let host = match result.host.as_str() {
        host if command.how.far && !host.is_empty() => host,
        // As GNU parallel calls its own.
        _ => ":",
    };
    format!(
        "{}\t{host}\t{:.3}\t{:10.3}\t{}\t{}\t{code}\t{}\t{}\n",
        command.seq,
        began.as_secs_f64(),
        result.seconds,
        command.input_length(),
        result.stdout.len(),
        result.signal.unwrap_or_default(),
        result.command,
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use regatta_cell::shell::Output;

    use super::*;

    #[test]
    fn a_line_has_the_columns_of_gnu_parallel() {
        let mut command = Command {
            seq: 2,
            ..Command::default()
        };
        let mut result = ShellResult {
            command: "echo x3; exit 3".to_owned(),
            status: Some(3),
            stdout: Output(b"x3\n".to_vec()),
            seconds: 0.0161,
            ..ShellResult::default()
        };
        let began = UNIX_EPOCH + Duration::from_millis(1_795_849_484_118);
        let seen = line(&command, &result, began);
        assert_eq!(
            seen,
            "2\t:\t1795849484.118\t     0.016\t0\t3\t3\t0\techo x3; exit 3\n"
        );
        result.status = None;
        result.signal = Some(15);
        result.timed_out = true;
        result.host = "node1".to_owned();
        assert!(line(&command, &result, began).starts_with("2\t:\t"));
        command.how.far = true;
        let seen = line(&command, &result, began);
        assert!(seen.starts_with("2\tnode1\t") && seen.contains("\t-1\t15\t"));
    }
}
