//! Results as they stand on disk, where another process may read them, whose type of that name may be another one. Of
//! such a type they end with a hash of the value; so what is read as anything else than what was written is no result.

use std::any::type_name;
use std::hash::Hasher as _;

use serde::{Serialize, de::DeserializeOwned};

use crate::catch::value_of;
use crate::key::{Fold, Key};
use crate::typed::Typed;

const HASH: usize = size_of::<u64>();

/// `None` for a value that these bytes would not give back.
pub(crate) fn written<V: Serialize + DeserializeOwned>(value: &V) -> Option<Vec<u8>> {
    let mut bytes = postcard::to_allocvec(value).ok()?;
    if is_checked(type_name::<V>()) {
        bytes.extend(hash(value)?.to_le_bytes());
        // Its own `Deserialize` may panic, and the value is there all the same.
        value_of(|| read::<V>(&bytes).map(|_| ()))??;
    }
    Some(bytes)
}

pub(crate) fn read<V: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<V> {
    if !is_checked(type_name::<V>()) {
        let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
        return rest.is_empty().then_some(value);
    }
    let (bytes, expected) = bytes.split_last_chunk::<HASH>()?;
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    let is_it = rest.is_empty() && hash(&value)? == u64::from_le_bytes(*expected);
    is_it.then_some(value)
}

/// Whether a type has parts that are not of Rust's own library, which give back what they get.
fn is_checked(kind: &str) -> bool {
    let words = kind.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    let mut paths = words.filter(|word| word.contains("::"));
    paths.any(|path| {
        let own = ["alloc::", "core::", "std::"];
        !own.iter().any(|own| path.starts_with(own))
    })
}

fn hash(value: &impl Serialize) -> Option<u64> {
    let mut key = Key::new();
    value.serialize(Typed(&mut key)).ok()?;
    let mut hasher = Fold::default();
    hasher.write(key.bytes());
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// Another type of the name `Kind`.
    macro_rules! kind {
        ($module:ident $item:item) => {
            mod $module {
                use super::*;
                #[derive(Debug, PartialEq, Serialize, Deserialize)]
                $item
            }
        };
    }

    kind! { first pub struct Kind { pub x: u8, pub y: u8 } }
    kind! { shorter pub struct Kind { pub x: u8 } }
    kind! { signed pub struct Kind { pub x: i8, pub y: i8 } }
    kind! { turned pub struct Kind { pub y: u8, pub x: u8 } }
    kind! { one pub enum Kind { A, B } }
    kind! { other pub enum Kind { B, A } }

    #[test]
    fn what_was_written_as_another_type_of_the_name_is_not_read() {
        let bytes = written(&first::Kind { x: 1, y: 2 }).unwrap();
        assert_eq!(read(&bytes), Some(first::Kind { x: 1, y: 2 }));
        assert_eq!(read::<shorter::Kind>(&bytes), None);
        assert_eq!(read::<signed::Kind>(&bytes), None);
        assert_eq!(read::<turned::Kind>(&bytes), None);
        let bytes = written(&one::Kind::A).unwrap();
        assert_eq!(read(&bytes), Some(one::Kind::A));
        assert_eq!(read::<other::Kind>(&bytes), None);
        assert_eq!(read::<one::Kind>(&bytes[1..]), None);
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sparse {
        #[serde(skip_serializing_if = "Option::is_none")]
        a: Option<u8>,
        b: u8,
    }

    #[derive(Serialize)]
    struct Fails;

    impl<'de> Deserialize<'de> for Fails {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            panic!("as wanted")
        }
    }

    #[test]
    fn what_would_not_be_given_back_is_not_written() {
        let of = |list: &[(Option<u8>, u8)]| -> Vec<Sparse> {
            list.iter().map(|&(a, b)| Sparse { a, b }).collect()
        };
        assert!(written(&of(&[(Some(1), 2)])).is_some());
        // It would be read as 1 and 2.
        assert!(written(&of(&[(None, 0), (Some(0), 2)])).is_none());
        assert!(written(&of(&[(None, 1)])).is_none());
        assert!(written(&Fails).is_none());
    }

    #[test]
    fn types_of_rust_s_own_library_need_no_check() {
        for kind in [
            "u8",
            "alloc::vec::Vec<(f64, &str)>",
            "core::option::Option<[u8; 4]>",
            "std::collections::hash::map::HashMap<alloc::string::String, ()>",
        ] {
            assert!(!is_checked(kind), "{kind}");
        }
        for kind in ["ctx::Point", "alloc::vec::Vec<ctx::Point>", "uuid::Uuid"] {
            assert!(is_checked(kind), "{kind}");
        }
        let map = std::collections::HashMap::from([(1, vec![f64::NAN]), (2, vec![])]);
        assert!(
            read::<std::collections::HashMap<i32, Vec<f64>>>(&written(&map).unwrap()).is_some()
        );
    }
}
