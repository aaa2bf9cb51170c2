//! Shell commands: `!command`, `let lines = !command`, and the bodies of `%%bash`. Their output goes where
//! cells' output goes, or into a variable.

use std::io::{ErrorKind as IoError, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::Pid;

use super::crew::{Awaited, Crew};
use super::{Code, Failed, Session, TICK, explain};
use crate::cell::{Binding, Known, format_fields};
use crate::outcome::{About, Doing, ErrorKind, Event, Notice, Origin, Report, Sink, Stream};
use crate::pool::Payload;

/// Which shell runs the text, and what takes its output.
pub struct ShellRequest<'a> {
    /// `sh` or `bash`.
    pub shell: &'static str,
    pub text: &'a str,
    /// `{name}` stands for the value of a variable.
    pub fills_in: bool,
    /// What takes the lines of standard output.
    pub bind: Option<&'a Binding>,
}

impl Session {
    /// Runs a shell command and shows its output while it comes. Ctrl-C ends it.
    pub fn shell(&mut self, request: &ShellRequest<'_>, sink: &mut dyn Sink) -> Result<(), Failed> {
        let filled;
        let text = if request.fills_in {
            filled = self.filled_in(request.text, sink)?;
            &filled
        } else {
            request.text
        };
        let mut kept = request.bind.map(|_| String::new());
        let status = self.run_shell(request.shell, text, kept.as_mut(), sink)?;
        let failed = (!status.success()).then(|| status.to_string());
        if let (Some(bind), Some(kept)) = (request.bind, kept) {
            // A search that finds nothing ends so too: its lines are what was asked for.
            if let Some(status) = failed {
                self.notice(Notice::CommandFailed { status }, sink);
            }
            let lines: Vec<&str> = kept.lines().collect();
            return self.bind_lines(bind, &lines, sink);
        }
        match failed {
            Some(status) => {
                let what = format!("the command ended with {status}");
                Err(Report::new(ErrorKind::Error, what).into())
            }
            None => Ok(()),
        }
    }

    pub(super) fn run_shell(
        &mut self,
        shell: &str,
        text: &str,
        kept: Option<&mut String>,
        sink: &mut dyn Sink,
    ) -> Result<ExitStatus, Failed> {
        let mut child = self
            .command(shell)
            .args(["-c", text])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| cannot(&format!("{shell} cannot be run"), &error))?;
        let outputs = Outputs::of(&mut child)
            .map_err(|error| cannot("the command's output cannot be read", &error))?;
        let about = About {
            cell: Some(self.cell()),
            job: None,
        };
        let running = Running {
            about,
            child,
            outputs,
            kept,
            ended: false,
            interrupted: false,
        };
        let (status, interrupted) = self.until(running, sink)?;
        if interrupted {
            return Err(explain::interrupted(Doing::RunningCommand).into());
        }
        Ok(status)
    }

    /// Opens the user's editor on a file, and waits until it is closed. The screen is the editor's: what is to be shown
    /// waits.
    pub fn edit(&mut self, file: &std::path::Path, sink: &mut dyn Sink) -> Result<(), Failed> {
        let variables = self.environment_variables();
        let named = |name: &str| variables.get(name).filter(|value| !value.trim().is_empty());
        let editor = named("VISUAL").or_else(|| named("EDITOR"));
        let editor = editor.map_or("vi", String::as_str);
        let cannot = |error: &dyn std::fmt::Display| {
            Report::usage(format!("the editor `{editor}` cannot be run: {error}"))
                .hint("`%env EDITOR=nano` chooses another")
        };
        let mut command = self.command("sh");
        // `$EDITOR` may have words of its own.
        command
            .args(["-c", &format!("{editor} \"$1\""), "sh"])
            .arg(file);
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).ok();
        if let Some(mut seen) = before.clone() {
            // Between cells the terminal does not show what is typed.
            seen.local_flags |= LocalFlags::ECHO | LocalFlags::ECHOCTL;
            let _ = tcsetattr(&stdin, SetArg::TCSADRAIN, &seen);
            // Messages of the session's own compiler are caught on standard error.
            let screen = std::io::stdout().as_fd().try_clone_to_owned();
            command.stdin(Stdio::inherit());
            command.stderr(screen.map_err(|error| cannot(&error))?);
        }
        let mut later = Later::default();
        let ended = match command.spawn() {
            Ok(editor) => self.crew.until(Edited(editor), &mut later)?,
            Err(error) => Err(error),
        };
        if let Some(before) = before {
            let _ = tcsetattr(&stdin, SetArg::TCSADRAIN, &before);
        }
        later.0.into_iter().for_each(|event| sink.send(event));
        let status = ended.map_err(|error| cannot(&error))?;
        if status.success() {
            Ok(())
        } else {
            Err(cannot(&status).into())
        }
    }

    /// A command in the user's environment, without input.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        for (name, value) in self.environment() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// The text with the values of variables in place of `{name}` and `{name:…}`, as `format!` writes them.
    /// Braces with anything else in them are the shell's.
    pub fn filled_in(&mut self, text: &str, sink: &mut dyn Sink) -> Result<String, Failed> {
        let variables = self.variables();
        let known = |name: &str| variables.iter().any(|(variable, _)| variable == name);
        let fields = format_fields(text, &known);
        if fields.is_empty() {
            return Ok(text.to_owned());
        }
        let values: Vec<String> = fields
            .iter()
            .map(|field| format!("format!(\"{}\")", text[field.clone()].escape_default()))
            .collect();
        let code = format!(
            "regatta_cell::magic::send::<Vec<String>>(&vec![{}]);\n",
            values.join(", ")
        );
        let sent = self
            .sent_by(&Code::default().generated(&code), sink)
            .map_err(|failed| explain::not_displayed(&failed, text, &fields))?;
        let values: Vec<String> = sent
            .first()
            .and_then(|value| postcard::from_bytes(&value.copied()).ok())
            .ok_or_else(|| Report::new(ErrorKind::System, "the values did not come back"))?;
        sent.iter().for_each(Payload::release);
        let mut filled = String::new();
        let mut copied = 0;
        for (field, value) in fields.into_iter().zip(values) {
            filled.push_str(&text[copied..field.start]);
            filled.push_str(&value);
            copied = field.end;
        }
        filled.push_str(&text[copied..]);
        Ok(filled)
    }

    /// Binds text of the session's, a `Vec<String>`.
    pub(super) fn bind_lines(
        &mut self,
        bind: &Binding,
        lines: &[&str],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let cannot =
            |error: String| Report::new(ErrorKind::System, format!("the lines are lost: {error}"));
        let bytes = postcard::to_stdvec(lines).map_err(|error| cannot(error.to_string()))?;
        let value = Payload::of(bytes).map_err(|error| cannot(error.to_string()))?;
        let (pattern, kind) = (&bind.pattern, "Vec<String>");
        let kind = bind.ty.as_deref().unwrap_or(kind);
        let code = format!("let {pattern}: {kind} = regatta_cell::magic::received_one();\n");
        let ran = self.run_local_with(&Code::default().generated(&code), vec![value.clone()], sink);
        value.release();
        ran
    }

    /// What this session knows of words behind a `!`.
    pub fn known(&self) -> impl Known {
        Words {
            variables: self.variables().into_iter().map(|(name, _)| name).collect(),
            session: self,
        }
    }
}

fn cannot(what: &str, error: &std::io::Error) -> Report {
    Report::new(ErrorKind::System, format!("{what}: {error}"))
}

/// How long a command that has closed its output is let alone before it is asked whether it has ended.
const AFTER_OUTPUT: Duration = Duration::from_millis(1);

/// A command's end: how it ended, and whether Ctrl-C ended it.
struct Running<'a> {
    about: About,
    child: Child,
    outputs: Outputs,
    /// What takes its standard output.
    kept: Option<&'a mut String>,
    /// All that it will say is read.
    ended: bool,
    interrupted: bool,
}

impl Running<'_> {
    fn tell(&mut self, said: Vec<(Stream, String)>, sink: &mut dyn Sink) {
        for (stream, text) in said {
            match &mut self.kept {
                Some(kept) if stream == Stream::Stdout => kept.push_str(&text),
                _ => sink.send(Event::Output {
                    about: self.about,
                    origin: Origin::Local,
                    stream,
                    text,
                }),
            }
        }
    }
}

impl Awaited for Running<'_> {
    type Outcome = (ExitStatus, bool);

    /// A command that has closed its output tells nobody of its end.
    fn patience(&self) -> Duration {
        if self.ended {
            AFTER_OUTPUT
        } else {
            Duration::ZERO
        }
    }

    fn look(&mut self, _: &mut Crew, sink: &mut dyn Sink) -> Result<Option<Self::Outcome>, Failed> {
        if !self.ended {
            // What it has written before its end is in the pipes by then; a child of its own may hold them
            // open for longer than it lives.
            self.ended = self.interrupted
                || self.outputs.all_ended()
                || matches!(self.child.try_wait(), Ok(Some(_)));
            let said = self
                .outputs
                .read(if self.ended { Duration::ZERO } else { TICK });
            self.tell(said, sink);
            if !self.ended {
                return Ok(None);
            }
            let rest = std::mem::take(&mut self.outputs).finish();
            self.tell(rest, sink);
        }
        // It may have closed its output and gone on.
        let status = self.child.try_wait();
        let status = status.map_err(|error| cannot("the command is lost", &error))?;
        Ok(status.map(|status| (status, self.interrupted)))
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        self.interrupted = true;
        // It may have ended by itself in this moment.
        let _ = killpg(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGKILL,
        );
        Ok(())
    }
}

/// The user's editor is closed.
struct Edited(Child);

impl Awaited for Edited {
    type Outcome = std::io::Result<ExitStatus>;

    fn look(&mut self, _: &mut Crew, _: &mut dyn Sink) -> Result<Option<Self::Outcome>, Failed> {
        Ok(self.0.try_wait().transpose())
    }

    /// Ctrl-C is for the editor.
    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Ok(())
    }
}

/// What is shown later.
#[derive(Default)]
struct Later(Vec<Event>);

impl Sink for Later {
    fn send(&mut self, event: Event) {
        self.0.push(event);
    }
}

struct Words<'a> {
    variables: Vec<String>,
    session: &'a Session,
}

impl Known for Words<'_> {
    fn is_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|variable| variable == name)
    }

    fn is_command(&self, word: &str) -> bool {
        let mut command = self.session.command("sh");
        command.args(["-c", "command -v -- \"$1\"", "sh", word]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        // Without a shell to ask, it is the shell that says so.
        command.status().map_or(true, |status| status.success())
    }
}

/// The two outputs of a child, read without waiting for them.
#[derive(Default)]
struct Outputs(Vec<Output>);

struct Output {
    stream: Stream,
    pipe: Box<dyn Pipe>,
    /// The beginning of a character that is cut in two.
    cut: Vec<u8>,
    ended: bool,
}

trait Pipe: Read + AsFd {}
impl<T: Read + AsFd> Pipe for T {}

impl Outputs {
    fn of(child: &mut Child) -> std::io::Result<Self> {
        let stdout = child
            .stdout
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Pipe>);
        let stderr = child
            .stderr
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn Pipe>);
        let mut outputs = Vec::new();
        for (stream, pipe) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
            let Some(pipe) = pipe else { continue };
            fcntl(&*pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
            outputs.push(Output {
                stream,
                pipe,
                cut: Vec::new(),
                ended: false,
            });
        }
        Ok(Self(outputs))
    }

    fn all_ended(&self) -> bool {
        self.0.iter().all(|output| output.ended)
    }

    /// All that is there, waited for up to `within` when there is nothing.
    fn read(&mut self, within: Duration) -> Vec<(Stream, String)> {
        let open = self.0.iter().filter(|output| !output.ended);
        let fds: Vec<BorrowedFd<'_>> = open.map(|output| output.pipe.as_fd()).collect();
        let mut wanted: Vec<PollFd<'_>> = fds
            .iter()
            .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(within).unwrap_or(PollTimeout::ZERO);
        // Interrupted by a signal, the caller looks at what that means.
        let _ = poll(&mut wanted, timeout);
        let mut texts = Vec::new();
        for output in self.0.iter_mut().filter(|output| !output.ended) {
            let text = output.read();
            if !text.is_empty() {
                texts.push((output.stream, text));
            }
        }
        texts
    }

    /// What is left of characters that never came to their end.
    fn finish(self) -> Vec<(Stream, String)> {
        let cut = self.0.into_iter().filter(|output| !output.cut.is_empty());
        cut.map(|output| {
            (
                output.stream,
                String::from_utf8_lossy(&output.cut).into_owned(),
            )
        })
        .collect()
    }
}

impl Output {
    fn read(&mut self) -> String {
        /// Bytes read at once, so that a command that never stops printing can be interrupted.
        const AT_ONCE: usize = 1 << 20;
        let mut bytes = std::mem::take(&mut self.cut);
        let mut buffer = [0; 16384];
        while bytes.len() < AT_ONCE {
            match self.pipe.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    bytes.extend_from_slice(&buffer[..count]);
                    continue;
                }
                Err(error) if error.kind() == IoError::Interrupted => continue,
                Err(error) if error.kind() == IoError::WouldBlock => {}
                Err(_) => self.ended = true,
            }
            break;
        }
        self.cut = bytes.split_off(cut_at_end(&bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The length without the beginning of a character at the end.
fn cut_at_end(bytes: &[u8]) -> usize {
    let last = bytes.len().saturating_sub(3);
    let begins = |byte: &u8| *byte >= 0xC0;
    let Some(at) = bytes[last..].iter().rposition(begins).map(|at| last + at) else {
        return bytes.len();
    };
    match std::str::from_utf8(&bytes[at..]) {
        Err(error) if error.error_len().is_none() => at,
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::cut_at_end;

    #[test]
    fn a_character_is_cut_only_at_the_end() {
        for (bytes, whole) in [
            (&b"abc"[..], 3),
            ("aé".as_bytes(), 3),
            (&"aé".as_bytes()[..2], 1),
            (&"a😀".as_bytes()[..4], 1),
            (b"\xff\xffa", 3),
            (&b"\xff\xc3"[..], 1),
            (b"", 0),
        ] {
            assert_eq!(cut_at_end(bytes), whole, "{bytes:?}");
        }
    }
}
