//! Where the values of `%parallel` come from: words, as bash reads them; the lines of files; an expression.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use regatta_cell::shell::{Command, Output, Range};

use super::{ParallelRequest, Session, absolute, system};
use crate::cell::gnu::{self, From};
use crate::cell::{is_variable_name, position};
use crate::outcome::{ErrorKind, Report, Sink};
use crate::pool::Payload;
use crate::session::{Code, Failed};

/// The words of the command, each source's values, and the files without a name among them.
type Sources = (Vec<String>, Vec<(Vec<String>, bool)>, Vec<File>);

impl Session {
    pub(super) fn sources(
        &mut self,
        request: &ParallelRequest,
        sink: &mut dyn Sink,
    ) -> Result<Sources, Failed> {
        let text = request.text.trim_end().trim_end_matches(';');
        let has_sources = text.contains(":::");
        if let Some(at) = gnu::over_at(text).filter(|_| !has_sources) {
            let words = self.words(&text[..at], sink)?;
            let from = at + "over".len();
            let expression = &text[from..];
            let at = position(&text[..from], request.at);
            if request.block.is_some() {
                let file = self.input_of(expression, at, sink)?;
                let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
                return Ok((words, vec![(vec![path], false)], vec![file]));
            }
            let values = self.values_of(expression, at, sink)?;
            return Ok((words, vec![(values, false)], Vec::new()));
        }
        let words = self.words(text, sink)?;
        let (command, sources) =
            gnu::sources(words).map_err(|why| Report::usage(format!("%parallel: {why}")))?;
        if sources.is_empty() {
            return Err(Report::usage("%parallel needs inputs")
                .hint("`%parallel 'gzip -k {}' ::: a.txt b.txt`, `:::: FILE` for the lines of a file, `over EXPR` for values")
                .into());
        }
        let read = |from: From| match from {
            From::Words(words) => Ok(words),
            From::File(path) if request.block.is_some() => Ok(vec![path]),
            From::File(path) => lines(&path),
        };
        let values = sources
            .into_iter()
            .map(|source| Ok((read(source.from)?, source.linked)));
        Ok((command, values.collect::<Result<_, Report>>()?, Vec::new()))
    }

    /// The words of a command line, as bash makes them: quotation marks, globs, braces, variables.
    fn words(&mut self, text: &str, sink: &mut dyn Sink) -> Result<Vec<String>, Failed> {
        if let Some(found) = gnu::for_the_shell(text) {
            let what = format!(
                "%parallel: {found:?} stands outside of quotation marks, so it is not part of the command"
            );
            return Err(Report::usage(what)
                .hint("put the command between them: `%parallel 'sort {} | uniq > {.}.out' ::: *.txt`")
                .into());
        }
        let plain = |c: char| c.is_alphanumeric() || " -_./:+=,%@".contains(c) || c == '#';
        let simple = |word: &str| !word.starts_with('#') && word.chars().all(plain);
        if let Ok(words) = shell_words::split(text)
            && text
                .split_whitespace()
                .all(|word| simple(&word.replace("{}", "")))
        {
            return Ok(words);
        }
        let mut read = String::new();
        let script = format!("printf '%s\\0' {text}");
        let ended = self.run_shell("bash", &script, Some(&mut read), sink)?;
        if !ended.success() {
            let what = "%parallel: bash cannot read the command line";
            return Err(Report::usage(what)
                .hint("a quotation mark may be open")
                .into());
        }
        let words = read.split_terminator('\0').map(str::to_owned);
        Ok(words.collect())
    }

    /// The values of an expression, as text.
    fn values_of(
        &mut self,
        expression: &str,
        at: (usize, usize),
        sink: &mut dyn Sink,
    ) -> Result<Vec<String>, Failed> {
        // A variable stays the user's.
        let around = match is_variable_name(expression.trim()) {
            true => ("texts(\n", ".clone())"),
            false => ("texts(\n", ")"),
        };
        self.evaluated(around, expression, at, sink)
    }

    /// The value of an expression as the standard input of commands: a file in memory.
    fn input_of(
        &mut self,
        expression: &str,
        at: (usize, usize),
        sink: &mut dyn Sink,
    ) -> Result<File, Failed> {
        let Output(bytes) = self.evaluated(("input(&(\n", "))"), expression, at, sink)?;
        let file = crate::wire::memory_file().and_then(|mut file| {
            file.write_all(&bytes)?;
            Ok(file)
        });
        Ok(file.map_err(|error| system("no memory for the standard input", &error))?)
    }

    /// What a function of the cell crate makes of an expression.
    fn evaluated<T: serde::de::DeserializeOwned>(
        &mut self,
        (open, close): (&str, &str),
        expression: &str,
        at: (usize, usize),
        sink: &mut dyn Sink,
    ) -> Result<T, Failed> {
        let start = expression.len() - expression.trim_start().len();
        let place = position(&expression[..start], at);
        let code = Code::default()
            .generated(&format!(
                "regatta_cell::magic::send(&regatta_cell::shell::{open}"
            ))
            .user(expression.trim(), place)
            .generated(&format!("{close});\n"));
        let sent = self.sent_by(&code, sink)?;
        let values = sent
            .first()
            .and_then(|value| postcard::from_bytes(&value.copied()).ok());
        sent.iter().for_each(Payload::release);
        Ok(values.ok_or_else(|| Report::new(ErrorKind::System, "the values did not come back"))?)
    }
}

fn lines(path: &str) -> Result<Vec<String>, Report> {
    let bytes = std::fs::read(path)
        .map_err(|error| Report::usage(format!("%parallel: {path} cannot be read: {error}")))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.split_terminator('\n').map(str::to_owned).collect())
}

/// How standard input is cut.
pub(super) struct Blocks {
    /// At most so many, unless a line has more.
    pub bytes: u64,
    /// Or just so many lines.
    pub lines: Option<usize>,
    /// The commands' lines are tagged, with nothing.
    pub tag: bool,
}

/// The blocks of files, cut behind lines: each the standard input of one command.
pub(super) fn blocks(
    template: &gnu::Template,
    sources: &[(Vec<String>, bool)],
    how: &Blocks,
) -> Result<Vec<Command>, Report> {
    let mut commands = Vec::new();
    let slot = regatta_cell::shell::SLOT.to_string();
    for path in sources.iter().flat_map(|(paths, _)| paths) {
        let cut = || match how.lines {
            Some(lines) => cuts_of_lines(&File::open(path)?, lines),
            None => cuts(&File::open(path)?, how.bytes),
        };
        let cuts = cut().map_err(|error| system(&format!("{path} cannot be read"), &error))?;
        let path = absolute(path);
        for ends in cuts.windows(2) {
            let seq = commands.len() as u64 + 1;
            commands.push(Command {
                seq,
                text: template.command(seq, &[], &slot),
                range: Some(Range {
                    path: path.clone(),
                    from: ends[0],
                    to: ends[1],
                }),
                tag: how.tag.then(String::new),
                ..Command::default()
            });
        }
    }
    Ok(commands)
}

/// Where the blocks of a file begin and end: behind the last line that ends within `size` bytes, or behind the first
/// that ends at all.
fn cuts(file: &File, size: u64) -> std::io::Result<Vec<u64>> {
    const STEP: u64 = 64 * 1024;
    let length = file.metadata()?.len();
    let mut cuts = vec![0];
    let mut from = 0;
    let mut buffer = vec![0; STEP as usize];
    while from < length {
        let full = from + size.max(1);
        let mut found = None;
        // Backwards from where the block is full.
        let mut end = full.min(length);
        if full >= length {
            found = Some(length);
        }
        while found.is_none() && end > from {
            let begin = end.saturating_sub(STEP).max(from);
            let part = &mut buffer[..(end - begin) as usize];
            file.read_exact_at(part, begin)?;
            found = part
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map(|at| begin + at as u64 + 1);
            end = begin;
        }
        // A line that is longer than a block is one.
        let mut begin = full.min(length);
        while found.is_none() && begin < length {
            let end = (begin + STEP).min(length);
            let part = &mut buffer[..(end - begin) as usize];
            file.read_exact_at(part, begin)?;
            found = part
                .iter()
                .position(|byte| *byte == b'\n')
                .map(|at| begin + at as u64 + 1);
            begin = end;
        }
        from = found.unwrap_or(length);
        cuts.push(from);
    }
    Ok(cuts)
}

/// The same, so many lines each.
fn cuts_of_lines(file: &File, lines: usize) -> std::io::Result<Vec<u64>> {
    let lines = lines.max(1);
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let (mut cuts, mut at, mut count) = (vec![0], 0, 0);
    loop {
        let read = reader.skip_until(b'\n')? as u64;
        if read == 0 {
            break;
        }
        at += read;
        count += 1;
        if count % lines == 0 {
            cuts.push(at);
        }
    }
    if cuts.last() != Some(&at) {
        cuts.push(at);
    }
    Ok(cuts)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::{cuts, cuts_of_lines};

    #[test]
    fn files_are_cut_behind_lines() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"aa\nbb\ncccccccccc\nd").unwrap();
        assert_eq!(cuts(&file, 7).unwrap(), [0, 6, 17, 18]);
        assert_eq!(cuts(&file, 1).unwrap(), [0, 3, 6, 17, 18]);
        assert_eq!(cuts(&file, 100).unwrap(), [0, 18]);
        assert_eq!(cuts(&tempfile::tempfile().unwrap(), 5).unwrap(), [0]);
        for (lines, expected) in [(1, &[0, 3, 6, 17, 18][..]), (2, &[0, 6, 18]), (9, &[0, 18])] {
            file.rewind().unwrap();
            assert_eq!(cuts_of_lines(&file, lines).unwrap(), expected);
        }
        let empty = tempfile::tempfile().unwrap();
        assert_eq!(cuts_of_lines(&empty, 2).unwrap(), [0]);
    }
}
