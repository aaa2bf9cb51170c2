//! The chart as an SVG picture that needs nothing beside it.

use std::fmt::Write as _;

use super::{Chart, Frame, Ink, Layer, finite, ticks};
use crate::outcome::Plot;
use crate::render::timeline::escaped;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 450.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 40.0;

const LOOKS: &str = "text{font:13px sans-serif;fill:#222}.title{font-size:15px;font-weight:bold}\
.grid{stroke:#c9ced6;stroke-width:1}.end{text-anchor:end}.middle{text-anchor:middle}\
.line{fill:none;stroke:#2f6fab;stroke-width:1.5}.dashes{stroke:#888;stroke-dasharray:4 4}.dot{fill:#2f6fab}";

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

/// A chart with a title; `below` is text for the lower edge.
pub(in crate::render) fn picture(chart: &Chart<'_>, title: &str, below: &str) -> String {
    let frame = &chart.frame;
    let place = |point: (f64, f64)| {
        let (x, y) = frame.at(point);
        (
            LEFT + x * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM),
        )
    };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         viewBox=\"0 0 {WIDTH} {HEIGHT}\">\n<style>{LOOKS}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text class=\"title\" x=\"10\" y=\"24\">{}</text>\n",
        escaped(title)
    );
    if !below.is_empty() {
        let _ = writeln!(
            out,
            "<text class=\"end\" x=\"{:.2}\" y=\"24\">{}</text>",
            WIDTH - RIGHT,
            escaped(below)
        );
    }
    let (mut columns, rows) = (ticks(frame.x, 10), ticks(frame.y, 6));
    if !chart.below.is_empty() {
        columns.clone_from(&chart.below);
    }
    let is_drawn = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
    if chart
        .layers
        .iter()
        .any(|layer| layer.points.iter().any(is_drawn))
    {
        let (floor, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for (value, label) in columns {
            let (x, _) = place((value, frame.y.0));
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{x:.2}\" y1=\"{TOP}\" x2=\"{x:.2}\" y2=\"{floor}\"/>\
                 <text class=\"middle\" x=\"{x:.2}\" y=\"{:.2}\">{label}</text>",
                floor + 18.0
            );
        }
        for (value, label) in rows {
            let (_, y) = place((frame.x.0, value));
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.2}\" x2=\"{right}\" y2=\"{y:.2}\"/>\
                 <text class=\"end\" x=\"{:.2}\" y=\"{:.2}\">{label}</text>",
                LEFT - 8.0,
                y + 4.5
            );
        }
    }
    let is_gap = |point: &(f64, f64)| !is_drawn(point);
    for layer in &chart.layers {
        for run in layer.points.split(is_gap).filter(|run| !run.is_empty()) {
            let (class, radius) = match layer.ink {
                Ink::Line => ("line", 2),
                Ink::Dashes => ("line dashes", 2),
                Ink::Dots => ("dot", 2),
                Ink::Signs => ("dot", 5),
            };
            if matches!(layer.ink, Ink::Line | Ink::Dashes) && run.len() > 1 {
                let corners = run.iter().map(|point| {
                    let (x, y) = place(*point);
                    format!("{x:.2},{y:.2}")
                });
                let corners = corners.collect::<Vec<_>>().join(" ");
                let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{corners}\"/>");
                continue;
            }
            for point in run {
                let (x, y) = place(*point);
                let _ = writeln!(
                    out,
                    "<circle class=\"dot\" cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius}\"/>"
                );
            }
        }
    }
    out.push_str("</svg>\n");
    out
}
