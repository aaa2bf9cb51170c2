//! `F over EXPR`, and `F over EXPR with OP`: the parts of a map, with their places in the cell.

use std::ops::Range;

use regatta_cell::options::MapOptions;

use super::Call;
use crate::cell::{Binding, Targets, over, position, with};
use crate::outcome::Report;
use crate::session::MapRequest;
use crate::vocabulary::nearest;

/// How a magic's code is written.
pub struct Form {
    /// The magic's name.
    pub magic: &'static str,
    /// Whether `with OP` belongs to it.
    pub combines: bool,
    /// How it is written, for errors.
    pub example: &'static str,
}

/// Takes the code apart.
pub fn request(
    call: &Call<'_>,
    form: &Form,
    bind: Option<Binding>,
    targets: Option<Targets>,
    options: MapOptions,
) -> Result<MapRequest, Report> {
    let text = call.text.trim_end().trim_end_matches(';');
    let placed = |range: Range<usize>| {
        let at = position(&text[..range.start], call.at);
        (text[range].to_owned(), at)
    };
    let (function, inputs) = over(text).ok_or_else(|| missing(text, "over", form))?;
    let (inputs, combine) = if form.combines {
        let rest = &text[inputs.clone()];
        let (values, operation) = with(rest).ok_or_else(|| missing(rest, "with", form))?;
        let in_text = |range: Range<usize>| inputs.start + range.start..inputs.start + range.end;
        (in_text(values), Some(placed(in_text(operation))))
    } else {
        (inputs, None)
    };
    let (function, function_at) = placed(function);
    let (inputs, inputs_at) = placed(inputs);
    Ok(MapRequest {
        function,
        function_at,
        inputs,
        inputs_at,
        is_one_call: false,
        combine,
        bind,
        targets,
        options,
    })
}

fn missing(text: &str, word: &str, form: &Form) -> Report {
    let wanted = if form.combines {
        "F over EXPR with OP"
    } else {
        "F over EXPR"
    };
    let report = Report::usage(format!("%{} needs `{wanted}`", form.magic));
    let slip = text
        .split_whitespace()
        .find(|typed| *typed != word && nearest(typed, [word]).is_some());
    match slip {
        Some(slip) => report.hint(format!("did you mean `{word}` by `{slip}`?")),
        None => report.hint(format!("for example {}", form.example)),
    }
}
