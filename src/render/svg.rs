//! What the SVG pictures have in common: they need nothing beside them, and a browser shows them as they are.

use std::fmt::{Arguments, Write as _};

const LOOKS: &str = "text{font:13px sans-serif;fill:#222}.title{font-size:15px;font-weight:bold}\
.grid{stroke:#c9ced6;stroke-width:1}.end{text-anchor:end}.middle{text-anchor:middle}";

/// A picture under way.
pub(super) struct Picture(String);

impl Picture {
    /// A white sheet with a title; `looks` are styles of its own.
    pub fn new(width: f64, height: f64, looks: &str, title: &str) -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>{LOOKS}{looks}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
             <text class=\"title\" x=\"10\" y=\"24\">{}</text>\n",
            escaped(title)
        ))
    }

    /// One more line of elements; text among them is [`escaped`].
    pub fn add(&mut self, elements: Arguments<'_>) {
        // A `String` takes everything.
        let _ = writeln!(self.0, "{elements}");
    }

    /// A grid line from `top` down to `bottom`, with its label below.
    pub fn column(&mut self, x: f64, (top, bottom): (f64, f64), label: &str) {
        self.add(format_args!(
            "<line class=\"grid\" x1=\"{x:.2}\" y1=\"{top}\" x2=\"{x:.2}\" y2=\"{bottom}\"/>\
             <text class=\"middle\" x=\"{x:.2}\" y=\"{:.2}\">{}</text>",
            bottom + 18.0,
            escaped(label)
        ));
    }

    pub fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

/// Text for XML, which has no way at all to write most control characters.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(char),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
