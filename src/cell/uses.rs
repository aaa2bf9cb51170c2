//! The names that a `use` brings in, and what each stands for.

use ra_ap_syntax::ast::{self, HasModuleItem as _, HasName as _};
use ra_ap_syntax::{AstNode as _, Edition, SourceFile};

/// Name and full path of everything that the `use` items in `text` import by name.
pub fn imported(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for item in SourceFile::parse(text, Edition::Edition2024).tree().items() {
        if let ast::Item::Use(item) = item
            && let Some(tree) = item.use_tree()
        {
            add(&tree, "", &mut found);
        }
    }
    found
}

fn add(tree: &ast::UseTree, before: &str, found: &mut Vec<(String, String)>) {
    let own = tree.path().map(|path| path.syntax().text().to_string());
    let path = match own {
        Some(own) if before.is_empty() => own,
        Some(own) => format!("{before}::{own}"),
        None => before.to_owned(),
    };
    if let Some(list) = tree.use_tree_list() {
        for tree in list.use_trees() {
            add(&tree, &path, found);
        }
        return;
    }
    if tree.star_token().is_some() {
        return;
    }
    let alias = tree.rename().and_then(|rename| rename.name());
    let last = path.rsplit("::").next().unwrap_or_default().trim();
    let name = alias.map_or_else(|| last.to_owned(), |name| name.text().to_string());
    found.push((name, path));
}

#[cfg(test)]
mod tests {
    use super::imported;

    #[test]
    fn each_name_has_its_path() {
        let found = imported("use a::b::{C, d::{E as F, *}};\npub use g;\nfn f() {}");
        let found: Vec<String> = found
            .into_iter()
            .map(|(name, path)| format!("{name}={path}"))
            .collect();
        assert_eq!(found, ["C=a::b::C", "F=a::b::d::E", "g=g"]);
    }
}
