//! `%stop`: ends children.

use std::time::Duration;

use clap::Args;

use super::values::{ChildName, seconds};
use super::{Call, Example, Magic};
use crate::outcome::{ChildEnd, ChildState, Event, Sink};
use crate::session::{Done, Session};

/// How long a child has to end.
const GRACE: &str = "5";

/// ends children, with all that they have started: SIGTERM, and SIGKILL after a grace
#[derive(Args)]
pub struct Stop {
    /// children, or all of a name; `all` means all there are
    #[arg(value_name = "NAME", required = true)]
    names: Vec<ChildName>,
    /// how long they have before they are killed
    #[arg(
        long,
        value_name = "SECS",
        default_value = GRACE,
        allow_hyphen_values = true,
        value_parser = |text: &str| seconds("--grace", text)
    )]
    grace: Duration,
}

impl Magic for Stop {
    const NAME: &'static str = "stop";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%spawn -n 3 --name idle -- sleep 100\n%stop idle",
        shows: "idle: 3 children stopped",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        session.known_children(&ChildName::texts(&self.names))?;
        for ChildName(name) in self.names {
            let (told, over) = session.stop_children(&name, self.grace, sink)?;
            sink.send(Event::Text(said(&name, told, &over)));
        }
        Ok(())
    }
}

fn said(name: &str, told: usize, over: &[(String, ChildState)]) -> String {
    let killed = |(_, state): &&(String, ChildState)| {
        matches!(state, ChildState::Stopped(ChildEnd::Signal(9)))
    };
    let killed = match over.iter().filter(killed).count() {
        _ if told == 0 => 0,
        killed => killed,
    };
    let what = match told {
        0 => return format!("{name}: no child runs"),
        1 => "1 child stopped".to_owned(),
        told => format!("{told} children stopped"),
    };
    match killed {
        0 => format!("{name}: {what}"),
        killed => format!("{name}: {what}, {killed} of them by SIGKILL"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_were_stopped_and_how() {
        let over = |signals: &[i32]| -> Vec<(String, ChildState)> {
            let state = |signal: &i32| ChildState::Stopped(ChildEnd::Signal(*signal));
            signals
                .iter()
                .map(|signal| (String::new(), state(signal)))
                .collect()
        };
        assert_eq!(said("w", 1, &over(&[15])), "w: 1 child stopped");
        assert_eq!(
            said("w", 2, &over(&[15, 9])),
            "w: 2 children stopped, 1 of them by SIGKILL"
        );
        assert_eq!(said("w", 0, &over(&[9])), "w: no child runs");
    }
}
