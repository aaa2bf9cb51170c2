//! The chart as an SVG picture that needs nothing beside it.

use super::{Chart, Frame, Ink, Layer, finite, ticks};
use crate::outcome::Plot;
use crate::render::svg::{Picture, escaped};

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 450.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 40.0;

const LOOKS: &str = ".line{fill:none;stroke:#2f6fab;stroke-width:1.5}\
.dashes{stroke:#888;stroke-dasharray:4 4}.dot{fill:#2f6fab}";

/// The points as a picture with round numbers at the axes.
pub fn svg(plot: &Plot) -> String {
    let layer = Layer {
        points: &plot.points,
        ink: if plot.joined { Ink::Line } else { Ink::Dots },
    };
    picture(
        &Chart {
            frame: Frame::of(&finite(plot)),
            below: Vec::new(),
            layers: vec![layer],
        },
        &plot.title,
        "",
    )
}

/// A chart with a title; `below` is text for the upper right corner.
pub(in crate::render) fn picture(chart: &Chart<'_>, title: &str, below: &str) -> String {
    let mut out = Picture::new(WIDTH, HEIGHT, LOOKS, title);
    if !below.is_empty() {
        out.add(format_args!(
            "<text class=\"end\" x=\"{:.2}\" y=\"24\">{}</text>",
            WIDTH - RIGHT,
            escaped(below)
        ));
    }
    let mut points = chart.layers.iter().flat_map(|layer| layer.points);
    if points.any(is_drawn) {
        grid(chart, &mut out);
    }
    for layer in &chart.layers {
        draw(layer, &chart.frame, &mut out);
    }
    out.end()
}

fn is_drawn(point: &(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

/// Where a point of the frame is in the picture.
fn place(frame: &Frame, point: (f64, f64)) -> (f64, f64) {
    let (x, y) = frame.at(point);
    (
        LEFT + x * (WIDTH - LEFT - RIGHT),
        HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM),
    )
}

/// Lines at round numbers, or at those that the chart names.
fn grid(chart: &Chart<'_>, out: &mut Picture) {
    let frame = &chart.frame;
    let mut columns = ticks(frame.x, 10);
    if !chart.below.is_empty() {
        columns.clone_from(&chart.below);
    }
    for (value, label) in columns {
        let (x, _) = place(frame, (value, frame.y.0));
        out.column(x, (TOP, HEIGHT - BOTTOM), &label);
    }
    for (value, label) in ticks(frame.y, 6) {
        let (_, y) = place(frame, (frame.x.0, value));
        out.add(format_args!(
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.2}\" x2=\"{}\" y2=\"{y:.2}\"/>\
             <text class=\"end\" x=\"{:.2}\" y=\"{:.2}\">{label}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.5
        ));
    }
}

/// The points of a layer, from gap to gap.
fn draw(layer: &Layer<'_>, frame: &Frame, out: &mut Picture) {
    let (class, radius) = match layer.ink {
        Ink::Line => ("line", 2),
        Ink::Dashes => ("line dashes", 2),
        Ink::Dots => ("dot", 2),
        Ink::Signs => ("dot", 5),
    };
    let runs = layer.points.split(|point| !is_drawn(point));
    for run in runs.filter(|run| !run.is_empty()) {
        let places = run.iter().map(|point| place(frame, *point));
        if matches!(layer.ink, Ink::Line | Ink::Dashes) && run.len() > 1 {
            let corners: Vec<String> = places.map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
            let corners = corners.join(" ");
            out.add(format_args!(
                "<polyline class=\"{class}\" points=\"{corners}\"/>"
            ));
            continue;
        }
        for (x, y) in places {
            out.add(format_args!(
                "<circle class=\"dot\" cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius}\"/>"
            ));
        }
    }
}
