//! `%explain`: what an error code of rustc's means.

use clap::Args;

use super::{Call, Example, Magic};
use crate::outcome::{Docs, ErrorKind, Event, Report, Sink};
use crate::session::{Done, Session};

/// explains an error code of the compiler
#[derive(Args)]
#[command(after_help = "It is the compiler's own explanation, `rustc --explain`.")]
pub struct Explain {
    /// such as `E0382`, or `382`
    #[arg(value_parser = error_code)]
    code: String,
}

impl Magic for Explain {
    const NAME: &'static str = "explain";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%explain E0382",
        shows: "moved",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let code = self.code;
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
fn error_code(typed: &str) -> Result<String, Report> {
    let inside = typed
        .strip_prefix("error[")
        .and_then(|rest| rest.strip_suffix(']'));
    let number = inside.unwrap_or(typed).trim_start_matches(['E', 'e']);
    let digits = !number.is_empty() && number.len() <= 4;
    if digits && number.chars().all(|letter| letter.is_ascii_digit()) {
        return Ok(format!("E{number:0>4}"));
    }
    Err(Report::usage(format!("`{typed}` is no error code"))
        .hint("they look like E0382 and stand in brackets behind `error`"))
}

#[cfg(test)]
mod tests {
    use super::error_code;

    #[test]
    fn a_code_is_known_in_every_form() {
        for typed in ["E0382", "e0382", "E382", "382", "error[E0382]"] {
            assert_eq!(error_code(typed).ok().as_deref(), Some("E0382"), "{typed}");
        }
        for typed in ["", "E", "E03825", "unused", "-1", "E03é"] {
            assert!(error_code(typed).is_err(), "{typed}");
        }
    }
}
