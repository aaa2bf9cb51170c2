//! A chart of points for the terminal, in braille, with axes and labels; `svg` draws the same as a picture.
//! Written here because the crates for this compute in `f32` and label two corners only.

mod svg;

pub(super) use svg::picture;
pub use svg::svg;

use std::collections::BTreeSet;

use super::{Style, text};
use crate::outcome::Plot;

/// Terminal rows of the chart itself.
const ROWS: usize = 15;
/// Columns of the chart, where the terminal has more.
const WIDEST: usize = 100;

/// What the axes span, and how a point lies in it.
pub(super) struct Frame {
    pub x: (f64, f64),
    pub y: (f64, f64),
}

impl Frame {
    fn of(points: &[(f64, f64)]) -> Self {
        let x = points.iter().map(|point| point.0);
        let y = points.iter().map(|point| point.1);
        Self {
            x: span(x),
            y: span(y),
        }
    }

    /// From 0 at the left and lower end to 1 at the other.
    fn at(&self, point: (f64, f64)) -> (f64, f64) {
        let share = |value: f64, (low, high): (f64, f64)| {
            (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
        };
        (share(point.0, self.x), share(point.1, self.y))
    }
}

/// The least and the greatest value; something around it when they are the same.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low < high {
        (low, high)
    } else {
        let around = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
        (low - around, low + around)
    }
}

/// The points that can be drawn.
fn finite(plot: &Plot) -> Vec<(f64, f64)> {
    let is_finite = |point: &&(f64, f64)| point.0.is_finite() && point.1.is_finite();
    plot.points.iter().filter(is_finite).copied().collect()
}

/// Round values between `low` and `high`, some `most` of them, with their labels.
fn ticks((low, high): (f64, f64), most: usize) -> Vec<(f64, String)> {
    #[expect(clippy::cast_precision_loss, reason = "a few")]
    let rough = (high / 2.0 - low / 2.0) * 2.0 / most.max(1) as f64;
    if !rough.is_finite() || rough <= 0.0 {
        return vec![(low, label(low, 1.0)), (high, label(high, 1.0))];
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let mut at = (low / step).ceil() * step;
    let mut found = Vec::new();
    while at <= high + step * 1e-9 && found.len() <= 2 * most {
        // What is left of zero by rounding is zero.
        let value = if at.abs() < step * 1e-9 { 0.0 } else { at };
        found.push((value, label(value, step)));
        at += step;
    }
    found
}

/// A number with as many decimals as its axis needs.
fn label(value: f64, step: f64) -> String {
    let size = value.abs().max(step.abs());
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:e}");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 12"
    )]
    let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{value:.decimals$}")
}

/// How the points of a layer are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// Each joined with the next.
    Line,
    /// The same with a dot here and there.
    Dashes,
    Dots,
    /// As a sign of their own.
    Signs,
}

/// Points of one kind; where one is not finite there is a gap.
pub(super) struct Layer<'a> {
    pub points: &'a [(f64, f64)],
    pub ink: Ink,
}

/// Layers, the upper ones last, with the axes that they share.
pub(super) struct Chart<'a> {
    pub frame: Frame,
    /// The values below the horizontal axis; round ones when empty.
    pub below: Vec<(f64, String)>,
    pub layers: Vec<Layer<'a>>,
}

/// The chart with its axes.
pub(crate) fn chart(plot: &Plot, style: &Style) -> String {
    let points = finite(plot);
    if points.is_empty() {
        return String::new();
    }
    let layer = Layer {
        points: &plot.points,
        ink: if plot.joined { Ink::Line } else { Ink::Dots },
    };
    let mut out = drawn(
        &Chart {
            frame: Frame::of(&points),
            below: Vec::new(),
            layers: vec![layer],
        },
        style,
    );
    let gone = plot.points.len() - points.len();
    if gone > 0 {
        out.push_str(&format!(
            "{gone} of {} points are not finite\n",
            plot.points.len()
        ));
    }
    out
}

/// A chart in the terminal.
pub(super) fn drawn(chart: &Chart<'_>, style: &Style) -> String {
    let Chart { frame, layers, .. } = chart;
    let y_ticks = ticks(frame.y, 5);
    let margin = y_ticks.iter().map(|tick| tick.1.len()).max().unwrap_or(0);
    let columns = style.width.min(WIDEST).saturating_sub(margin + 3).max(8);
    let mut canvas = Canvas::new(columns, ROWS);
    for layer in layers {
        canvas.layer(layer, frame);
    }
    let row_of = |value: f64| {
        let (_, y) = canvas.place(frame.at((frame.x.0, value)));
        usize::try_from(y / 4).unwrap_or(0)
    };
    let mut out = String::new();
    for (row, cells) in canvas.rows(style.unicode).enumerate() {
        let tick = y_ticks.iter().rev().find(|tick| row_of(tick.0) == row);
        let (label, mark) = tick.map_or(("", "│"), |tick| (tick.1.as_str(), "┤"));
        out.push_str(&format!("{label:>margin$} {mark}{}\n", cells.trim_end()));
    }
    out.push_str(&x_axis(chart, margin, columns));
    let spelled = style.spell(out);
    if style.unicode {
        spelled
    } else {
        spelled.replace(['┤', '┴', '└'], "+")
    }
}

/// The line below the chart, and the labels below that.
fn x_axis(chart: &Chart<'_>, margin: usize, columns: usize) -> String {
    let frame = &chart.frame;
    let mut axis = vec!["─"; columns];
    let mut labels = String::new();
    let wide = label(frame.x.1, frame.x.1 - frame.x.0).len().max(4) + 4;
    let ticks = match chart.below.as_slice() {
        [] => ticks(frame.x, (columns / wide).clamp(1, 10)),
        told => told.to_vec(),
    };
    for (value, name) in ticks {
        let share = frame.at((value, frame.y.0)).0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of the columns"
        )]
        let at = ((share * columns as f64) as usize).min(columns - 1);
        axis[at] = "┬";
        let begin = (margin + 2 + at).saturating_sub(name.len() / 2);
        if begin >= text::width(&labels) + usize::from(!labels.is_empty()) {
            labels.push_str(&" ".repeat(begin - text::width(&labels)));
            labels.push_str(&name);
        }
    }
    format!("{:margin$} └{}\n{labels}\n", "", axis.concat())
}

/// Dots, two by four in each cell of the terminal.
struct Canvas {
    columns: usize,
    rows: usize,
    cells: Vec<u8>,
    /// The cells that have a sign instead of dots.
    signs: BTreeSet<usize>,
}

/// Of a line of dashes every so many dots are drawn.
const DASH: usize = 4;

impl Canvas {
    fn new(columns: usize, rows: usize) -> Self {
        Self {
            columns,
            rows,
            cells: vec![0; columns * rows],
            signs: BTreeSet::new(),
        }
    }

    /// The dot of a point between 0 and 1, from the upper left corner.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a share of the dots"
    )]
    fn place(&self, (x, y): (f64, f64)) -> (i64, i64) {
        let (right, bottom) = ((self.columns * 2 - 1) as f64, (self.rows * 4 - 1) as f64);
        (
            (x * right).round() as i64,
            ((1.0 - y) * bottom).round() as i64,
        )
    }

    fn dot(&mut self, x: i64, y: i64) {
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        if let Some(cell) = self.cells.get_mut(y / 4 * self.columns + x / 2) {
            *cell |= BITS[y % 4][x % 2];
        }
    }

    fn layer(&mut self, layer: &Layer<'_>, frame: &Frame) {
        let mut last = None;
        for point in layer.points {
            if !point.0.is_finite() || !point.1.is_finite() {
                // A gap.
                last = None;
                continue;
            }
            let at = self.place(frame.at(*point));
            match (layer.ink, last) {
                (Ink::Line, Some(from)) => self.line(from, at, 1),
                (Ink::Dashes, Some(from)) => self.line(from, at, DASH),
                (Ink::Signs, _) => self.sign(at.0, at.1),
                (Ink::Line | Ink::Dashes | Ink::Dots, _) => self.dot(at.0, at.1),
            }
            last = Some(at);
        }
    }

    fn sign(&mut self, x: i64, y: i64) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        if x / 2 < self.columns && y / 4 < self.rows {
            self.signs.insert(y / 4 * self.columns + x / 2);
        }
    }

    /// A straight line of dots (Bresenham's), or of every so many of them.
    fn line(&mut self, from: (i64, i64), to: (i64, i64), every: usize) {
        let (dx, dy) = ((to.0 - from.0).abs(), -(to.1 - from.1).abs());
        let (step_x, step_y) = ((to.0 - from.0).signum(), (to.1 - from.1).signum());
        let (mut x, mut y, mut error) = (from.0, from.1, dx + dy);
        for step in 0_usize.. {
            if step.is_multiple_of(every) {
                self.dot(x, y);
            }
            if (x, y) == to {
                return;
            }
            let twice = 2 * error;
            if twice >= dy {
                error += dy;
                x += step_x;
            }
            if twice <= dx {
                error += dx;
                y += step_y;
            }
        }
    }

    /// The rows from the top, in braille or in stars.
    fn rows(&self, unicode: bool) -> impl Iterator<Item = String> {
        let glyph = move |(at, dots): (usize, &u8)| match *dots {
            _ if self.signs.contains(&at) => sign(unicode),
            0 => ' ',
            _ if !unicode => '*',
            dots => char::from_u32(0x2800 + u32::from(dots)).unwrap_or(' '),
        };
        (0..self.rows).map(move |row| {
            let cells = row * self.columns..(row + 1) * self.columns;
            cells.clone().zip(&self.cells[cells]).map(glyph).collect()
        })
    }
}

/// What stands for a point of [`Ink::Signs`].
pub(super) fn sign(unicode: bool) -> char {
    if unicode { '●' } else { 'o' }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>, joined: bool) -> Plot {
        Plot {
            title: "xs".to_owned(),
            points,
            joined,
        }
    }

    fn line(count: u32) -> Plot {
        let points = (0..count).map(|x| (f64::from(x), f64::from(x) * 2.0));
        plot(points.collect(), true)
    }

    #[test]
    fn a_line_goes_from_corner_to_corner() {
        let shown = chart(&line(101), &Style::plain(40));
        let rows: Vec<&str> = shown.lines().collect();
        assert_eq!(rows.len(), ROWS + 2, "{shown}");
        assert!(
            rows[0].starts_with("200 ┤") && rows[0].ends_with('⠊'),
            "{shown}"
        );
        assert!(
            rows[ROWS - 1].starts_with("  0 ┤⣀") || rows[ROWS - 1].starts_with("  0 ┤⡠"),
            "{shown}"
        );
        assert!(rows[ROWS].starts_with("    └┬──"), "{shown}");
        assert!(
            rows[ROWS + 1].trim().starts_with("0 ") && rows[ROWS + 1].contains("50"),
            "{shown}"
        );
        assert!(rows.iter().all(|row| text::width(row) <= 40), "{shown}");
    }

    #[test]
    fn charts_fit_and_never_fail() {
        for points in [
            vec![(0.0, 0.0)],
            vec![(1.0, 5.0); 3],
            vec![(0.0, f64::MAX), (1.0, f64::MIN)],
            vec![(0.0, 1e-300), (1e300, 2e-300)],
            vec![(f64::NAN, 1.0), (2.0, 3.0), (f64::INFINITY, 1.0)],
            vec![(-5.0, 1e9), (5.0, -1e9), (0.0, 0.0)],
            vec![(1e15, 1.0), (1e15 + 1.0, 2.0)],
        ] {
            for width in [20, 80, 200] {
                for joined in [true, false] {
                    let it = plot(points.clone(), joined);
                    let shown = chart(&it, &Style::plain(width));
                    assert!(shown.lines().count() >= ROWS + 2, "{shown}");
                    let widest = shown.lines().take(ROWS + 1).map(text::width).max();
                    assert!(
                        widest.is_some_and(|it| it <= width.max(40)),
                        "{width}\n{shown}"
                    );
                    assert!(svg(&it).ends_with("</svg>\n"));
                }
            }
        }
        assert_eq!(
            chart(&plot(vec![(f64::NAN, 1.0)], true), &Style::plain(80)),
            ""
        );
    }

    #[test]
    fn without_unicode_stars_stand_for_dots() {
        let ascii = Style {
            unicode: false,
            ..Style::plain(60)
        };
        let shown = chart(&line(11), &ascii);
        assert!(shown.is_ascii() && shown.contains('*'), "{shown}");
    }

    #[test]
    fn ticks_are_round() {
        let labels = |low, high| {
            let labels = ticks((low, high), 5).into_iter().map(|tick| tick.1);
            labels.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(labels(0.0, 100.0), "0 20 40 60 80 100");
        assert_eq!(labels(-1.0, 1.0), "-1.0 -0.5 0.0 0.5 1.0");
        assert_eq!(labels(0.001, 0.0031), "0.0010 0.0015 0.0020 0.0025 0.0030");
        assert_eq!(labels(0.0, 3e9), "0e0 1e9 2e9 3e9");
    }
}
