//! `%autopx`: every plain cell becomes a `%px`, until it is said again.

use clap::Args;

use super::px::PxArgs;
use super::{Call, Example, Magic};
use crate::outcome::{Event, Sink};
use crate::session::{Done, Session};

/// runs later plain cells on the engines; again: ends that
#[derive(Args)]
pub struct Autopx {
    #[command(flatten)]
    px: PxArgs,
}

impl Magic for Autopx {
    const NAME: &'static str = "autopx";
    const TAKES_SUFFIX: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\n%autopx\n%autopx",
        shows: "%autopx off",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let said = if session.autopx.is_some() {
            session.autopx = None;
            "%autopx off: plain cells run in the local engine again"
        } else {
            let options = self.px.on_defaults(call, session)?;
            session.pool_named(options.pool.as_deref())?;
            session.autopx = Some(options);
            "%autopx on: plain cells run on the engines until the next %autopx"
        };
        sink.send(Event::Text(said.to_owned()));
        Ok(())
    }
}
