//! `%children`: the programs that the session has started, and how they are.

use clap::Args;

use super::values::ChildName;
use super::{Call, Example, Magic};
use crate::outcome::{ChildState, Event, Field, Sink, Table};
use crate::render::children::{end_short, state_word};
use crate::session::{ChildStatus, Done, Session};

/// lists the children of `%spawn`: state, exit code or signal, time, memory, last line
#[derive(Args)]
pub struct Children {
    /// children, or all of a name; all there are without one
    #[arg(value_name = "NAME")]
    names: Vec<ChildName>,
    /// forget those that are over, with what they have printed
    #[arg(long)]
    clear: bool,
}

impl Magic for Children {
    const NAME: &'static str = "children";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%spawn --name one -- sh -c 'echo hello'\n%wait one\n%children",
        shows: "exit 0",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let names = ChildName::texts(&self.names);
        session.known_children(&names)?;
        let names = if names.is_empty() { vec!["all"] } else { names };
        if self.clear {
            let said = match session.forget_children(&names, sink) {
                0 => "no child to forget: none of them is over".to_owned(),
                1 => "forgot 1 child".to_owned(),
                children => format!("forgot {children} children"),
            };
            sink.send(Event::Text(said));
            return Ok(());
        }
        let children = session.children(&names, sink);
        sink.send(if children.is_empty() {
            Event::Text("no children; `%spawn -- python3 child.py` starts one".to_owned())
        } else {
            Event::Table(table(&children))
        });
        Ok(())
    }
}

fn table(children: &[ChildStatus]) -> Table {
    let row = |status: &ChildStatus| {
        let text = |text: &str| Field::Text(text.to_owned());
        let bad = matches!(status.state, ChildState::Lost | ChildState::Ended(_))
            && !status.state.is_ok();
        let state = match status.state.is_over() {
            false if status.suspended => "suspended",
            false if status.detached => "detached",
            _ => state_word(status.state),
        };
        vec![
            text(&status.name),
            Field::Text(status.pid.to_string()),
            if bad {
                Field::Failure(state.to_owned())
            } else {
                text(state)
            },
            status
                .state
                .end()
                .map_or(Field::Empty, |end| Field::Text(end_short(end))),
            Field::Seconds(status.cpu.as_secs_f64()),
            if status.memory == 0 {
                Field::Empty
            } else {
                Field::Bytes(status.memory)
            },
            Field::Seconds(status.ran.as_secs_f64()),
            if status.restarts == 0 {
                Field::Empty
            } else {
                Field::Count(status.restarts.into())
            },
            text(&status.last_line),
        ]
    };
    Table {
        title: None,
        columns: vec![
            "child",
            "pid",
            "state",
            "end",
            "cpu",
            "memory",
            "run time",
            "restarts",
            "last line",
        ],
        rows: children.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::outcome::ChildEnd;

    #[test]
    fn a_child_is_a_row() {
        let mut status = ChildStatus {
            number: 4,
            name: "w.1".to_owned(),
            pid: 1234,
            state: ChildState::Ended(ChildEnd::Exit(3)),
            cpu: Duration::from_millis(1500),
            memory: 0,
            ran: Duration::from_secs(2),
            restarts: 2,
            detached: false,
            suspended: false,
            last_line: "bye".to_owned(),
        };
        let text = |word: &str| Field::Text(word.to_owned());
        assert_eq!(
            table(std::slice::from_ref(&status)).rows[0],
            [
                text("w.1"),
                text("1234"),
                Field::Failure("failed".to_owned()),
                text("exit 3"),
                Field::Seconds(1.5),
                Field::Empty,
                Field::Seconds(2.0),
                Field::Count(2),
                text("bye"),
            ]
        );
        (status.state, status.restarts) = (ChildState::Running, 0);
        (status.memory, status.detached) = (4096, true);
        let rows = table(std::slice::from_ref(&status)).rows;
        assert_eq!(rows[0][2..4], [text("detached"), Field::Empty]);
        assert_eq!(rows[0][5], Field::Bytes(4096));
        assert_eq!(rows[0][7], Field::Empty);
        status.suspended = true;
        assert_eq!(table(&[status]).rows[0][2], text("suspended"));
    }
}
