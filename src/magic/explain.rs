//! `%explain`: what an error code of rustc's means.

use clap::{Arg, Command};

use super::{Call, Example, Magic};
use crate::outcome::{Docs, ErrorKind, Event, Report, Sink};
use crate::session::{Failed, Session};

pub struct Explain;

impl Magic for Explain {
    fn command(&self) -> Command {
        Command::new("explain")
            .about("explains an error code of the compiler")
            .arg(
                Arg::new("code")
                    .value_name("CODE")
                    .required(true)
                    .help("such as `E0382`, or `382`"),
            )
            .after_help("It is the compiler's own explanation, `rustc --explain`.")
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%explain E0382",
            shows: "moved",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let typed = call.text_of("code").unwrap_or_default();
        let code = error_code(typed).ok_or_else(|| {
            Report::usage(format!("`{typed}` is no error code"))
                .hint("they look like E0382 and stand in brackets behind `error`")
        })?;
        let explained = session.toolchain().explain(&code).map_err(|error| {
            let what = format!("rustc cannot be run: {error}");
            Report::new(ErrorKind::System, what)
        })?;
        let text = explained.ok_or_else(|| {
            Report::usage(format!("the compiler has no explanation of {code}"))
                .hint("https://doc.rust-lang.org/error_codes lists those that it has")
        })?;
        sink.send(Event::Docs(Docs {
            signature: format!("error[{code}]"),
            name: code,
            path: String::new(),
            text,
            imports: Vec::new(),
            source: None,
            whole: true,
        }));
        Ok(())
    }
}

/// `E0382` for `E0382`, `e382`, `382` and `error[E0382]`.
fn error_code(typed: &str) -> Option<String> {
    let inside = typed
        .strip_prefix("error[")
        .and_then(|rest| rest.strip_suffix(']'));
    let number = inside.unwrap_or(typed).trim_start_matches(['E', 'e']);
    let digits = !number.is_empty() && number.len() <= 4;
    let number = Some(number)
        .filter(|number| digits && number.chars().all(|letter| letter.is_ascii_digit()))?;
    Some(format!("E{number:0>4}"))
}

#[cfg(test)]
mod tests {
    use super::error_code;

    #[test]
    fn a_code_is_known_in_every_form() {
        for typed in ["E0382", "e0382", "E382", "382", "error[E0382]"] {
            assert_eq!(error_code(typed).as_deref(), Some("E0382"), "{typed}");
        }
        for typed in ["", "E", "E03825", "unused", "-1", "E03é"] {
            assert_eq!(error_code(typed), None, "{typed}");
        }
    }
}
