//! Names that can stand at a place, as plain data.

use ra_ap_ide::{
    CompletionConfig, CompletionFieldsToResolve, CompletionItem, CompletionItemKind,
    RaFixtureConfig, SymbolKind,
};
use ra_ap_ide_db::SnippetCap;
use ra_ap_ide_db::imports::insert_use::{ImportGranularity, InsertUseConfig, PrefixKind};
use serde::{Deserialize, Serialize};

use super::scene::{OURS, Place, Scenes};
use super::world::World;

/// What a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Field,
    Variable,
    Method,
    Function,
    Variant,
    /// A struct, enum, union, alias or type parameter.
    Type,
    Trait,
    Macro,
    Constant,
    Module,
    Primitive,
    Keyword,
    Lifetime,
    Attribute,
}

/// A name that can stand at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    pub name: String,
    pub kind: Kind,
    /// `fn(&mut self, T)`, a variable's type, …; may be empty.
    pub signature: String,
    /// The first sentence or line of its documentation; may be empty.
    pub doc: String,
    /// The trait that gives the method.
    pub of_trait: Option<String>,
    /// Where it is, for what the place does not know by its name alone: `std::collections::HashMap`.
    pub path: Option<String>,
    pub deprecated: bool,
}

/// All names that can stand at a place, whatever part of one has been typed; those that would have to be
/// imported only where a part of one has been typed and nothing that is in scope begins with it.
pub fn at(world: &mut World, scenes: &Scenes, place: &Place) -> Vec<Name> {
    let (text, start) = scenes.around(place);
    let position = start + place.cursor;
    let typed = typed(&place.code[..place.cursor]).to_lowercase();
    let in_scope = items(world, text, position, false);
    let begins = |name: &Name| name.name.to_lowercase().starts_with(&typed);
    if typed.len() < 3 || in_scope.iter().any(begins) {
        return in_scope;
    }
    with_imports(world, scenes, place)
}

/// All names that can stand at a place, with those that would have to be imported.
pub fn with_imports(world: &mut World, scenes: &Scenes, place: &Place) -> Vec<Name> {
    let (text, start) = scenes.around(place);
    let mut all = items(world, text, start + place.cursor, true);
    // A method of a trait that is not in scope would need a line of its own.
    all.retain(|name| name.path.is_none() || name.kind != Kind::Method);
    all
}

/// Places whose names make rust-analyzer read what nearly every question needs.
pub const COMMON: [&str; 4] = [
    "vec![1].iter().",
    "String::new().",
    "std::collections::",
    "pri",
];

/// Finds the names of a common place, for what is read meanwhile; whether it came to its end. Any other question
/// ends it, so it is for another thread.
pub fn warm(world: &mut World, code: &str) -> impl FnOnce() -> bool + Send + use<> {
    let place = Place {
        code: code.to_owned(),
        cursor: code.len(),
        on_engines: false,
    };
    let (text, start) = Scenes::default().around(&place);
    let asked = world.about(text, start + place.cursor);
    move || asked.is_none_or(|(analysis, at)| analysis.completions(&config(true), at, None).is_ok())
}

/// The part of a name at the end of the code.
fn typed(code: &str) -> &str {
    let start = code
        .trim_end_matches(|c: char| c.is_alphanumeric() || c == '_')
        .len();
    &code[start..]
}

fn items(world: &mut World, text: String, position: usize, imports: bool) -> Vec<Name> {
    let found = world.ask(text, position, |_, analysis, position| {
        let found = analysis.completions(&config(imports), position, None);
        found.ok().flatten().unwrap_or_default()
    });
    let names = found.iter().filter_map(plain);
    let ours = |name: &Name| OURS.iter().any(|ours| name.name.starts_with(ours));
    names.filter(|name| !ours(name)).collect()
}

fn plain(item: &CompletionItem) -> Option<Name> {
    let kind = kind(item.kind)?;
    // `push(…)`, `println!`, `Point {…}`.
    let label = item.label.primary.as_str();
    let end = label
        .find(['(', '!', ' ', '{', '<', '['])
        .unwrap_or(label.len());
    let name = label[..end].to_owned();
    if name.is_empty() {
        return None;
    }
    let aside = item.label.detail_left.as_deref().unwrap_or_default();
    let of_trait = aside
        .split_once("(as ")
        .and_then(|(_, rest)| rest.split(')').next())
        .map(str::to_owned);
    let path = item.import_to_add.first().map(|import| import.path.clone());
    // Nobody writes the allocator; a macro's definition says nothing.
    let detail = item.detail.as_deref().filter(|_| kind != Kind::Macro);
    let mut signature = detail.unwrap_or_default().replace(", Global>", ">");
    if signature == name {
        signature.clear();
    }
    Some(Name {
        name,
        kind,
        signature,
        doc: item
            .documentation
            .as_ref()
            .map(|docs| super::markup::summary(docs.as_str()))
            .unwrap_or_default(),
        of_trait,
        path,
        deprecated: item.deprecated,
    })
}

fn kind(kind: CompletionItemKind) -> Option<Kind> {
    use SymbolKind as S;
    Some(match kind {
        CompletionItemKind::SymbolKind(symbol) => match symbol {
            S::Field => Kind::Field,
            S::Local | S::ValueParam | S::SelfParam => Kind::Variable,
            S::Method => Kind::Method,
            S::Function => Kind::Function,
            S::Variant => Kind::Variant,
            S::Struct | S::Enum | S::Union | S::TypeAlias | S::TypeParam | S::SelfType => {
                Kind::Type
            }
            S::Trait => Kind::Trait,
            S::Macro | S::ProcMacro => Kind::Macro,
            S::Const | S::ConstParam | S::Static => Kind::Constant,
            S::Module | S::CrateRoot | S::ToolModule => Kind::Module,
            S::LifetimeParam | S::Label => Kind::Lifetime,
            S::Attribute | S::BuiltinAttr | S::Derive | S::DeriveHelper => Kind::Attribute,
            S::Impl | S::InlineAsmRegOrRegClass => return None,
        },
        CompletionItemKind::Binding => Kind::Variable,
        CompletionItemKind::BuiltinType => Kind::Primitive,
        CompletionItemKind::Keyword => Kind::Keyword,
        CompletionItemKind::InferredType => Kind::Type,
        CompletionItemKind::Snippet
        | CompletionItemKind::UnresolvedReference
        | CompletionItemKind::Expression => return None,
    })
}

fn config(imports: bool) -> CompletionConfig<'static> {
    CompletionConfig {
        // Both would replace what stands before the name.
        enable_postfix_completions: false,
        enable_self_on_the_fly: false,
        enable_imports_on_the_fly: imports,
        enable_private_editable: false,
        enable_auto_iter: false,
        enable_auto_await: false,
        enable_term_search: false,
        term_search_fuel: 0,
        prefer_no_std: false,
        prefer_prelude: false,
        prefer_absolute: false,
        full_function_signatures: false,
        callable: None,
        add_semicolon_to_unit: false,
        add_colons_to_module: false,
        // Only so are variants told with their fields.
        snippet_cap: SnippetCap::new(true),
        snippets: Vec::new(),
        limit: None,
        exclude_flyimport: Vec::new(),
        exclude_traits: &[],
        fields_to_resolve: CompletionFieldsToResolve::empty(),
        insert_use: InsertUseConfig {
            prefix_kind: PrefixKind::Plain,
            group: false,
            granularity: ImportGranularity::Item,
            enforce_granularity: false,
            skip_glob_imports: false,
        },
        ra_fixture: RaFixtureConfig::default(),
    }
}
