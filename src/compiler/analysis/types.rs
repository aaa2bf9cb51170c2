//! The types of the variables that a cell's `let` statements bind.

use ra_ap_hir::{HirDisplay as _, attach_db};
use ra_ap_ide::Semantics;
use ra_ap_syntax::AstNode as _;
use ra_ap_syntax::ast::{self, HasModuleItem as _, HasName as _};

use super::world::World;
use crate::compiler::told::{Bound, bindings, is_type};

/// The function in which evcxr lays out a cell to analyse it.
const WRAPPER: &str = "evcxr_analysis_wrapper";

/// Finds out a type, so that what every other one needs is read: begun anew, it would take as long again. Whether it is known.
pub fn prepare(world: &mut World) -> bool {
    let told = of(world, format!("fn {WRAPPER}() {{ let v = vec![1, 2]; }}"));
    let bound = told.into_iter().flatten().flatten();
    bound.map(|it| it.kind).any(|kind| kind.is_some())
}

/// Of each `let` statement at the top of a cell, as evcxr lays it out in `text`, what it binds.
pub fn of(world: &mut World, text: String) -> Option<Vec<Vec<Bound>>> {
    let database = world.with(text);
    let semantics = Semantics::new(database.0);
    let file = semantics.parse_guess_edition(database.1);
    attach_db(database.0, || {
        let function = file.items().find_map(|item| match item {
            ast::Item::Fn(function) => {
                let named = function.name().is_some_and(|name| name.text() == WRAPPER);
                named.then_some(function)
            }
            _ => None,
        })?;
        let module = semantics.scope(function.syntax())?.module();
        let kind = |pattern: &ast::Pat| {
            let found = semantics.type_of_pat(pattern)?.original();
            if found.is_closure() {
                return None;
            }
            let text = found.display_source_code(database.0, module.into(), true);
            text.ok().filter(|text| is_type(text))
        };
        let body = function.body()?;
        let lets = body.statements().filter_map(|statement| {
            let ast::Stmt::LetStmt(statement) = statement else {
                return None;
            };
            let pattern = statement.pat()?;
            let bound = bindings(&pattern).filter_map(|binding| {
                Some(Bound {
                    name: binding.name()?.text().to_string(),
                    mutable: binding.mut_token().is_some(),
                    kind: kind(&ast::Pat::IdentPat(binding)),
                })
            });
            Some(bound.collect())
        });
        Some(lets.collect())
    })
}
