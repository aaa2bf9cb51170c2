//! Which role this process has; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    regatta::cli::main()
}
