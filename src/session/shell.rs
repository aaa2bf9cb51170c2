//! Shell commands: `!command`, `let lines = !command`, and the bodies of `%%bash`. Their output goes where
//! cells' output goes, or into a variable.

use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::task::Waker;

use nix::sys::signal::{Signal, killpg};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use nix::unistd::Pid;

use super::child::{Said, watched};
use super::crew::{Awaited, Crew};
use super::{Code, Failed, Session, explain};
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
        let not_followed = |error| cannot("the command cannot be followed", &error);
        let mut command = self.command(shell);
        command.args(["-c", text]).process_group(0);
        let mut shared = None;
        if self.live && kept.is_none() {
            // Only so is what comes on both in its order.
            let (reader, writer) = std::io::pipe().map_err(not_followed)?;
            command.stderr(writer.try_clone().map_err(not_followed)?);
            command.stdout(writer);
            shared = Some(reader);
        } else {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let mut child = command
            .spawn()
            .map_err(|error| cannot(&format!("{shell} cannot be run"), &error))?;
        // It holds the pipe's other end.
        drop(command);
        let waker = self.waker();
        let said = watched(&mut child, shared, waker.clone()).map_err(not_followed)?;
        let about = About {
            cell: Some(self.cell()),
            job: None,
        };
        let running = Running {
            about,
            child,
            said,
            kept,
            interrupted: false,
            waker,
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
        let waker = self.waker();
        let started = command.spawn().and_then(|mut editor| {
            // It says nothing to us.
            drop(watched(&mut editor, None, waker)?);
            Ok(editor)
        });
        let ended = match started {
            Ok(editor) => self.until(Edited(editor), &mut later)?,
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
        // With it they reach the store, as children do.
        if let Ok(regatta) = std::env::current_exe() {
            command.env(crate::children::COMMAND, regatta);
        }
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

/// A command's end: how it ended, and whether Ctrl-C ended it.
struct Running<'a> {
    about: About,
    child: Child,
    said: Receiver<Said>,
    /// What takes its standard output.
    kept: Option<&'a mut String>,
    interrupted: bool,
    waker: Waker,
}

impl Running<'_> {
    fn tell(&mut self, (stream, text): Said, sink: &mut dyn Sink) {
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

impl Awaited for Running<'_> {
    type Outcome = (ExitStatus, bool);

    fn look(&mut self, _: &mut Crew, sink: &mut dyn Sink) -> Result<Option<Self::Outcome>, Failed> {
        match self.said.try_recv() {
            Ok(said) => {
                self.tell(said, sink);
                self.waker.wake_by_ref();
                return Ok(None);
            }
            Err(TryRecvError::Empty) => return Ok(None),
            Err(TryRecvError::Disconnected) => {}
        }
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
