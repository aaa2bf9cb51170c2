//! `%px -o`: the engines' values on their way to a variable of the session. The engines keep nothing of it.

use super::{Code, Failed, Session, types};
use crate::cell::{Kind, position, tail};
use crate::ids::Rank;
use crate::outcome::{Notice, PoolKind, Report, Sink};
use crate::pool::Payload;

/// What a cell that sends its value binds for a moment, so that the compiler tells the value's type.
pub(super) const OUT: &str = "regatta_out";

/// Values that engines have sent, in the order of the targets.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    /// Their types: one, unless engines differ. None when nothing was to be sent.
    pub kinds: Vec<String>,
    /// Which engines gave one.
    pub came: Vec<(Rank, bool)>,
    pub sent: Vec<Payload>,
}

impl Values {
    pub fn release(&self) {
        self.sent.iter().for_each(Payload::release);
    }
}

/// Refuses a cell that has no value.
pub(super) fn check(code: &Code, name: &str) -> Result<(), Report> {
    match tail(&code.text) {
        Some(_) => Ok(()),
        None => Err(
            Report::usage(format!("there is no value to bind to `{name}`"))
                .hint("a cell's value is its last expression, without a `;`"),
        ),
    }
}

/// The code with its value sent to the session too.
pub(super) fn sending(code: &Code) -> Code {
    let (Some(piece), Some(value)) = (code.pieces.first(), tail(&code.text)) else {
        return code.clone();
    };
    let (before, value) = code.text.split_at(value);
    let at = (piece.cell_line, piece.column + 1);
    let mut sending = Code::default();
    if !before.trim().is_empty() {
        sending = sending.user(before.trim_end_matches('\n'), at);
    }
    sending
        .generated(&format!("let {OUT} = match &(\n"))
        .user(value.trim_end_matches('\n'), position(before, at))
        .generated(
            ") { regatta_value => { use ::regatta_cell::magic::{Outgoing, SendValue as _}; \
             regatta_value.evcxr_display(); Outgoing(regatta_value).send() } };\n",
        )
}

/// The type that was sent, from the type of [`OUT`].
pub(super) fn sent_type(kind: &str) -> Option<String> {
    Kind::of(kind)
        .only_argument("PhantomData")
        .map(str::to_owned)
}

impl Session {
    /// Binds the engines' values, in the targets' order, to a local variable: each in an `Option` when some
    /// engine gave none.
    pub(super) fn bind_values(
        &mut self,
        name: &str,
        values: &Values,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let [kind] = values.kinds.as_slice() else {
            let kinds: Vec<String> = values
                .kinds
                .iter()
                .map(|kind| types::shorten(kind))
                .collect();
            let what = format!(
                "`{name}` is not bound: the engines' values are {}",
                kinds.join(" and ")
            );
            return Err(Report::usage(what)
                .hint("`-t` takes the engines on which it is the same")
                .into());
        };
        let missing: Vec<Rank> = values
            .came
            .iter()
            .filter(|(_, came)| !came)
            .map(|(rank, _)| *rank)
            .collect();
        if missing.len() == values.came.len() {
            let (name, kind) = (name.to_owned(), PoolKind::Processes);
            self.notice(Notice::NotBound { name, kind }, sink);
            return Ok(());
        }
        let code = if missing.is_empty() {
            format!("let {name}: Vec<{kind}> = regatta_cell::magic::received();\n")
        } else {
            let came: Vec<bool> = values.came.iter().map(|(_, came)| *came).collect();
            let partly = Notice::PartlyBound {
                name: name.to_owned(),
                value_type: types::shorten(kind),
                missing,
            };
            self.notice(partly, sink);
            format!(
                "let {name}: Vec<Option<{kind}>> = regatta_cell::magic::received_from(&{came:?});\n"
            )
        };
        self.run_local_with(&Code::default().generated(&code), values.sent.clone(), sink)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_sent_from_the_place_where_it_stands() {
        let code = Code::verbatim("let b = 3;\nb + 1 // four", 4);
        let sending = sending(&code);
        assert_eq!(sending.in_cell(1), Some(4));
        assert_eq!(sending.in_cell(3), Some(5), "{}", sending.text);
        assert!(
            sending
                .text
                .starts_with("let b = 3;\nlet regatta_out = match &(\nb + 1 // four\n) {")
        );
        let code = Code::default().user("let b = 3; b", (1, 9));
        let places: Vec<_> = super::sending(&code)
            .pieces
            .iter()
            .map(|piece| (piece.cell_line, piece.column))
            .collect();
        assert_eq!(places, [(1, 8), (1, 19)]);
    }

    #[test]
    fn the_type_that_was_sent() {
        for (kind, sent) in [
            (
                "core::marker::PhantomData<Vec<Option<u8>>>",
                Some("Vec<Option<u8>>"),
            ),
            ("PhantomData<String>", Some("String")),
            ("u8", None),
        ] {
            assert_eq!(sent_type(kind).as_deref(), sent);
        }
    }
}
