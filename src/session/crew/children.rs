//! What children have printed and what has happened to them, on its way to be shown.

use super::Crew;
use crate::children::Taken;
use crate::outcome::{About, Event, Origin, Sink, Stream};

impl Crew {
    /// Shows what there is; lines of one child that follow each other at once.
    pub fn hear_children(&mut self, sink: &mut dyn Sink) {
        let mut together: Option<(About, String, Stream, String)> = None;
        for taken in self.children.take() {
            match taken {
                Taken::Line(about, name, line) => {
                    if let Some((_, of, stream, text)) = &mut together
                        && *of == name
                        && *stream == line.stream
                    {
                        text.push_str(&line.text);
                        text.push('\n');
                        continue;
                    }
                    let text = format!("{}\n", line.text);
                    let next = Some((about, name, line.stream, text));
                    self.show_lines(std::mem::replace(&mut together, next), sink);
                }
                Taken::News(about, news) => {
                    self.show_lines(together.take(), sink);
                    sink.send(Event::Child(about, news));
                }
            }
        }
        self.show_lines(together, sink);
    }

    fn show_lines(&mut self, lines: Option<(About, String, Stream, String)>, sink: &mut dyn Sink) {
        if let Some((about, name, stream, text)) = lines {
            self.screen
                .output(about, Origin::Child(name), stream, text, sink);
        }
    }
}
