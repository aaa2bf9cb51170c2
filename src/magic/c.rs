//! `%%c`: functions in C.

use clap::{Args, ValueHint};

use super::cells::{path, read};
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{CRequest, Done, Session};

/// compiles C, and defines its functions for all later cells
#[derive(Args)]
#[command(
    override_usage = "%%c [OPTIONS]  ·  %c --file FILE [OPTIONS]",
    after_help = "Numbers are numbers; `const T *x, size_t n` is `x: &[T]`, `T *x, size_t n` is `x: &mut [T]`, and one \
                  length serves several slices, which must have it; `const char *` is `&str`; structs of numbers are \
                  structs. What has no safe form is `unsafe`, in `kernels_raw`. `$CC` chooses the compiler, else it is \
                  `cc`. Unless another `-O` is given it is `-O2`. `#define`s in capitals that are numbers are constants. \
                  `OMP_NUM_THREADS` counts from an engine's first OpenMP code on: `%env` it before."
)]
pub struct C {
    /// a library to link, such as `m`
    #[arg(long, short = 'l', value_name = "NAME", allow_hyphen_values = true)]
    libs: Vec<String>,
    /// more arguments of the compiler, as a shell splits them
    #[arg(long, value_name = "'…'", allow_hyphen_values = true)]
    cflags: Vec<String>,
    /// the C is in this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<String>,
    /// how much is optimised: `-O3`
    #[arg(short = 'O', value_name = "LEVEL")]
    optimise: Option<String>,
    /// a folder with headers
    #[arg(short = 'I', value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    include: Vec<String>,
    /// a folder with libraries
    #[arg(short = 'L', value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    link: Vec<String>,
    /// a macro: `-DN=10`
    #[arg(short = 'D', value_name = "NAME[=VALUE]")]
    define: Vec<String>,
    /// `-fopenmp` and its like
    #[arg(short = 'f', value_name = "FLAG")]
    flag: Vec<String>,
    /// `-march=native` and its like
    #[arg(short = 'm', value_name = "FLAG")]
    machine: Vec<String>,
    /// warnings: `-Wall`
    #[arg(short = 'W', value_name = "WARNING")]
    warn: Vec<String>,
    /// `-std=c99`
    #[arg(short = 's', value_name = "td=STANDARD")]
    standard: Option<String>,
    /// `-pthread`, `-pedantic`
    #[arg(short = 'p', value_name = "FLAG")]
    more: Vec<String>,
    /// with what a debugger wants to know
    #[arg(short = 'g')]
    debug: bool,
}

impl C {
    /// The compiler's arguments.
    fn arguments(&self) -> Result<Vec<String>, Report> {
        let mut words = vec![format!("-O{}", self.optimise.as_deref().unwrap_or("2"))];
        for (letter, values) in [
            ("f", &self.flag),
            ("m", &self.machine),
            ("W", &self.warn),
            ("p", &self.more),
            ("D", &self.define),
        ] {
            words.extend(values.iter().map(|value| format!("-{letter}{value}")));
        }
        let folders = self.include.iter().map(|typed| path(typed));
        words.extend(folders.map(|folder| format!("-I{}", folder.display())));
        for folder in self.link.iter().map(|typed| path(typed)) {
            let folder = folder.display().to_string();
            words.push(format!("-L{folder}"));
            // Engines find it there, too.
            words.extend(["-Xlinker", "-rpath", "-Xlinker", &folder].map(str::to_owned));
        }
        words.extend(self.standard.iter().map(|value| format!("-s{value}")));
        words.extend(self.debug.then(|| "-g".to_owned()));
        for flags in &self.cflags {
            let more = shell_words::split(flags)
                .map_err(|_| Report::usage("%%c: a quote in --cflags is not closed"))?;
            words.extend(more);
        }
        Ok(words)
    }
}

impl Magic for C {
    const NAME: &'static str = "c";
    const HAS_CELL_FORM: bool = true;
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%%c --libs m\n#include <math.h>\n#include <stddef.h>\ndouble norm(const double *x, size_t n) {\n    double s = 0;\n    for (size_t i = 0; i < n; i++) s += x[i] * x[i];\n    return sqrt(s);\n}",
            shows: "fn norm(x: &[f64]) -> f64",
        },
        Example {
            input: "norm(&[3.0, 4.0])",
            shows: "5.0",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let arguments = self.arguments()?;
        let body = call.body.filter(|body| !body.trim().is_empty());
        let file = self.file.as_deref().map(|typed| (path(typed), typed));
        let text = match (&file, body) {
            (Some(_), Some(_)) => {
                return Err(
                    Report::usage("%%c takes a file or the lines below it, not both").into(),
                );
            }
            (Some((_, typed)), None) => read(typed)?,
            (None, Some(body)) => body.to_owned(),
            (None, None) => {
                return Err(Report::usage("%%c needs C below it")
                    .hint(
                        "write `%%c`, and the functions from the next line on; or `%c --file k.c`",
                    )
                    .into());
            }
        };
        let libraries = self.libs.iter().map(|name| format!("-l{name}"));
        let request = CRequest {
            text: &text,
            line: call.body_at,
            file: file.map(|(path, _)| path),
            arguments,
            libraries: libraries.collect(),
        };
        session.c(request, sink)
    }
}
