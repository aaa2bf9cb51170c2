//! `%plot`: a chart of numbers, in the terminal or as a picture.

use clap::{Args, ValueHint};

use super::timeline::written;
use super::{Call, Example, Magic, Takes};
use crate::cell::syntax::is_rust;
use crate::outcome::{Event, Plot as Chart, Report, Sink, Value};
use crate::render::debug::{columns, points};
use crate::render::plot::svg;
use crate::session::{Done, Session};

/// draws numbers as a chart: `%plot ys`, `%plot xs ys`
#[derive(Args)]
#[command(
    override_usage = "%plot [--svg FILE] [--dots] YS\n       %plot [--svg FILE] [--dots] XS YS",
    after_help = "YS is an expression: a list of numbers over their index, of pairs (x, y), or a map from x to y. \
                  `None` and NaN leave a gap."
)]
pub struct Plot {
    /// write the chart to this file, as SVG
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    svg: Option<String>,
    /// do not join the points; they are joined where x grows from each to the next
    #[arg(long)]
    dots: bool,
}

impl Magic for Plot {
    const NAME: &'static str = "plot";
    const TAKES: Takes = Takes::Code;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%plot (0..100).map(|x| f64::from(x).sin()).collect::<Vec<_>>()",
        shows: "0.5 ┤",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let text = call.text.trim_end().trim_end_matches(';');
        let points = match halves(text) {
            None => of_value(&session.whole_value(text, call.at, sink)?)?,
            Some(middle) => {
                let (xs, ys) = text.split_at(middle);
                let column = call.at.1 + xs.chars().count();
                let xs = of_value(&session.whole_value(xs, call.at, sink)?)?;
                let ys = of_value(&session.whole_value(ys, (call.at.0, column), sink)?)?;
                if xs.len() != ys.len() {
                    let what = format!("{} values of x and {} of y", xs.len(), ys.len());
                    return Err(Report::usage(what)
                        .hint("%plot draws as many of the one as of the other")
                        .into());
                }
                xs.iter().zip(&ys).map(|(x, y)| (x.1, y.1)).collect()
            }
        };
        let is_drawn = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
        if !points.iter().any(is_drawn) {
            return Err(Report::usage("there is no number to draw")
                .hint("the list is empty, or all of it is None, NaN or infinite")
                .into());
        }
        let chart = Chart {
            title: text.trim().to_owned(),
            joined: !self.dots && points.is_sorted_by(|a, b| a.0 < b.0),
            points,
        };
        sink.send(match self.svg {
            Some(file) => written(&file, &svg(&chart))?,
            None => Event::Plot(chart),
        });
        Ok(())
    }
}

/// Where the second of two expressions begins, when it is two that stand side by side.
fn halves(text: &str) -> Option<usize> {
    if is_rust(text) {
        return None;
    }
    let blanks = text
        .char_indices()
        .filter(|(_, letter)| letter.is_whitespace());
    blanks
        .map(|(at, letter)| at + letter.len_utf8())
        .find(|at| {
            let (left, right) = text.split_at(*at);
            let whole = |part: &str| !part.trim().is_empty() && is_rust(part);
            whole(left) && whole(right)
        })
}

fn of_value(value: &Value) -> Result<Vec<(f64, f64)>, Report> {
    let hint = "%plot takes a list of numbers or of pairs; map yours to that";
    let refused = |what: String| Report::usage(what).hint(hint);
    let Some(columns) = columns(value.text()) else {
        return Err(refused(format!(
            "{} is no list of numbers",
            value.type_name
        )));
    };
    if columns.hidden != Some(0) {
        return Err(refused("there are too many numbers to draw".to_owned()));
    }
    points(&columns).map_err(|item| refused(format!("`{item}` is no number")))
}

#[cfg(test)]
mod tests {
    use super::halves;

    #[test]
    fn two_expressions_are_told_from_one() {
        let second = |text: &'static str| halves(text).map(|at| &text[at..]);
        assert_eq!(second("x y"), Some("y"));
        assert_eq!(
            second("&x[1..] y.iter().map(|y| y + 1).collect::<Vec<_>>()"),
            Some("y.iter().map(|y| y + 1).collect::<Vec<_>>()")
        );
        for one in [
            "ys",
            "a + b",
            "(0..9).map(|x| x * x).collect::<Vec<_>>()",
            "",
            "x +",
        ] {
            assert_eq!(second(one), None, "{one}");
        }
    }
}
