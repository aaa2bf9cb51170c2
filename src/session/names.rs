//! Types as cells can write them: rustc names a type by the module that defines it, which in the standard
//! library is often a private one.

/// Private paths of the standard library, without its crate, and the public ones.
const PUBLIC: &[(&str, &str)] = &[
    ("alloc::layout::", "alloc::"),
    ("array::iter::", "array::"),
    ("collections::hash::map::", "collections::hash_map::"),
    ("collections::hash::set::", "collections::hash_set::"),
    ("collections::btree::map::", "collections::btree_map::"),
    ("collections::btree::set::", "collections::btree_set::"),
    ("ffi::os_str::", "ffi::"),
    ("hash::random::", "hash::"),
    ("io::buffered::bufreader::", "io::"),
    ("io::buffered::bufwriter::", "io::"),
    ("io::buffered::linewriter::", "io::"),
    ("io::cursor::", "io::"),
    ("io::error::", "io::"),
    ("io::stdio::", "io::"),
    ("mem::manually_drop::", "mem::"),
    ("mem::maybe_uninit::", "mem::"),
    ("net::ip_addr::", "net::"),
    ("net::parser::", "net::"),
    ("net::socket_addr::", "net::"),
    ("num::dec2flt::", "num::"),
    ("num::error::", "num::"),
    ("num::nonzero::", "num::"),
    ("num::saturating::", "num::"),
    ("num::wrapping::", "num::"),
    ("ops::range::", "ops::"),
    ("ops::control_flow::", "ops::"),
    ("cell::once::", "cell::"),
    ("cell::lazy::", "cell::"),
    ("str::error::", "str::"),
    ("char::convert::", "char::"),
    ("char::decode::", "char::"),
    ("sync::barrier::", "sync::"),
    ("sync::once_lock::", "sync::"),
    ("sync::lazy_lock::", "sync::"),
    ("sync::poison::mutex::", "sync::"),
    ("sync::poison::rwlock::", "sync::"),
    ("sync::poison::condvar::", "sync::"),
    ("sync::poison::once::", "sync::"),
    ("sync::poison::", "sync::"),
    ("task::poll::", "task::"),
    ("thread::builder::", "thread::"),
    ("thread::join_handle::", "thread::"),
    ("thread::thread::", "thread::"),
    ("thread::id::", "thread::"),
    ("vec::into_iter::", "vec::"),
];

/// The name of a type as a cell can write it, which is tried: some have none.
pub fn nameable(type_name: &str) -> String {
    let mut out = String::with_capacity(type_name.len());
    let mut path = String::new();
    for letter in type_name.chars() {
        if letter.is_alphanumeric() || letter == '_' || letter == ':' {
            path.push(letter);
            continue;
        }
        out.push_str(&public(&std::mem::take(&mut path)));
        out.push(letter);
    }
    out.push_str(&public(&path));
    out
}

fn public(path: &str) -> String {
    let Some((krate, rest)) = path.split_once("::") else {
        return path.to_owned();
    };
    match krate {
        "std" | "core" | "alloc" => {
            // Each iterator has a module of its own.
            let iterator = ["iter::adapters::", "iter::sources::"]
                .iter()
                .find_map(|private| rest.strip_prefix(private)?.rsplit("::").next());
            if let Some(name) = iterator {
                return format!("std::iter::{name}");
            }
            let known = PUBLIC.iter().find(|(private, _)| rest.starts_with(private));
            match known {
                Some((private, public)) => format!("std::{public}{}", &rest[private.len()..]),
                None => format!("std::{rest}"),
            }
        }
        // The user's own, in the crate that a cell is.
        "ctx" => format!("crate::{rest}"),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::nameable;

    #[test]
    fn private_paths_become_public_ones() {
        for (told, written) in [
            ("u64", "u64"),
            ("alloc::vec::Vec<f64>", "std::vec::Vec<f64>"),
            (
                "std::collections::hash::map::HashMap<alloc::string::String, (u8, ctx::Point)>",
                "std::collections::hash_map::HashMap<std::string::String, (u8, crate::Point)>",
            ),
            (
                "core::result::Result<[f64; 3], core::num::dec2flt::ParseFloatError>",
                "std::result::Result<[f64; 3], std::num::ParseFloatError>",
            ),
            (
                "std::sync::poison::mutex::Mutex<i32>",
                "std::sync::Mutex<i32>",
            ),
            (
                "core::iter::adapters::rev::Rev<alloc::vec::into_iter::IntoIter<u8>>",
                "std::iter::Rev<std::vec::IntoIter<u8>>",
            ),
            (
                "std::thread::join_handle::JoinHandle<core::task::poll::Poll<i32>>",
                "std::thread::JoinHandle<std::task::Poll<i32>>",
            ),
            ("chrono::NaiveDate", "chrono::NaiveDate"),
            ("()", "()"),
        ] {
            assert_eq!(nameable(told), written);
        }
    }
}
