//! `%out`: the values that cells have shown, and which of them can still be used.

use clap::Args;

use super::{Call, Example, Magic};
use crate::outcome::{Event, Field, Report, Sink, Table};
use crate::session::{Done, Out, Session, Whereabouts};

/// lists the values that cells have shown, or drops kept ones
#[derive(Args)]
#[command(
    after_help = "In code, `_` is the last value, `__` and `___` are the two before it, and `_3` or `Out[3]` is \
                  the value of In [3]. The last 32 values are kept, of 256 MB in all. A kept value is moved \
                  where code moves it, like a variable; what an expression like `x` names stays where it is, \
                  and `_` is a clone of it. A value that borrows from others, or whose type has no name, is not \
                  kept."
)]
pub struct Outs {
    /// drop the value of this cell, all kept values without a number
    #[arg(long)]
    drop: bool,
    /// the number of a cell
    #[arg(value_name = "N")]
    cell: Option<u32>,
}

impl Magic for Outs {
    const NAME: &'static str = "out";
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "6 * 7",
            shows: "42",
        },
        Example {
            input: "_ + 1",
            shows: "43",
        },
        Example {
            input: "%out",
            shows: "i32",
        },
    ];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let cell = self.cell;
        if !self.drop {
            return Ok(list(cell, session, sink)?);
        }
        let dropped = session.drop_outs(cell, sink)?;
        let text = match (dropped, cell) {
            (0, Some(cell)) => {
                return Err(Report::usage(format!("no value of In [{cell}] is kept"))
                    .hint("`%out` lists the values")
                    .into());
            }
            (1, _) => "1 value dropped".to_owned(),
            (count, _) => format!("{count} values dropped"),
        };
        sink.send(Event::Text(text));
        Ok(())
    }
}

fn list(cell: Option<u32>, session: &Session, sink: &mut dyn Sink) -> Result<(), Report> {
    let rows: Vec<Vec<Field>> = session
        .outs()
        .filter(|(number, _)| cell.is_none_or(|cell| cell == *number))
        .map(|(number, out)| row(number, out))
        .collect();
    match (rows.is_empty(), cell) {
        (true, Some(cell)) => {
            return Err(Report::usage(format!("In [{cell}] has shown no value"))
                .hint("`%out` lists those of all cells"));
        }
        (true, None) => sink.send(Event::Text("no cell has shown a value yet".to_owned())),
        (false, _) => sink.send(Event::Table(Table {
            title: None,
            columns: vec!["out", "type", "size", "where it is"],
            rows,
        })),
    }
    Ok(())
}

fn row(number: u32, out: &Out) -> Vec<Field> {
    let size = match (&out.place, out.bytes) {
        (Whereabouts::Engine(_) | Whereabouts::Variable, Some(bytes)) => Field::Bytes(bytes),
        _ => Field::Empty,
    };
    let place = match &out.place {
        Whereabouts::Engine(_) => "kept".to_owned(),
        Whereabouts::Variable => format!("kept as _{number}"),
        Whereabouts::Place(expression) => format!("a clone of {expression}"),
        Whereabouts::Gone(why) => format!("not kept: {why}"),
    };
    vec![
        Field::Text(format!("Out[{number}]")),
        Field::Text(out.kind()),
        size,
        Field::Text(place),
    ]
}
