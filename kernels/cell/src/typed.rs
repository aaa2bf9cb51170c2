//! Values as bytes that tell what they are: two that differ have different bytes, also where serde leaves out what is
//! empty or does not say which variant it has; equal ones have the same, in whatever order a hash table gives them.

use std::fmt::Display;

use serde::{Serialize, ser};

use crate::key::Key;

/// What follows. Numbers are as long as their type.
mod tag {
    pub const UNIT: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const NONE: u8 = 3;
    pub const SOME: u8 = 4;
    pub const CHAR: u8 = 5;
    pub const TEXT: u8 = 6;
    pub const BYTES: u8 = 7;
    pub const NAMED: u8 = 8;
    pub const VARIANT: u8 = 9;
    pub const SEQUENCE: u8 = 10;
    pub const SET: u8 = 11;
    pub const TUPLE: u8 = 12;
    pub const MAP: u8 = 13;
    pub const STRUCT: u8 = 14;
    pub const END: u8 = 15;
}

/// Writes a value behind what a key has.
pub(crate) struct Typed<'a>(pub &'a mut Key);

/// The words of a type's own `Serialize` that refuses a value.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl Display for Refused {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: Display>(words: T) -> Self {
        Self(words.to_string())
    }
}

type Written = Result<(), Refused>;

impl Typed<'_> {
    #[inline]
    fn tag(&mut self, tag: u8) {
        self.0.push(&[tag]);
    }

    #[inline]
    fn bytes(&mut self, tag: u8, bytes: &[u8]) {
        self.tag(tag);
        self.0.push(&(bytes.len() as u64).to_le_bytes());
        self.0.push(bytes);
    }

    fn variant(&mut self, kind: &str, variant: &str) {
        self.bytes(tag::VARIANT, kind.as_bytes());
        self.bytes(tag::TEXT, variant.as_bytes());
    }

    fn sorted(&mut self, mut entries: Vec<Vec<u8>>) {
        entries.sort_unstable();
        for entry in entries {
            self.0.push(&entry);
        }
        self.tag(tag::END);
    }
}

/// Encoded on its own.
fn alone(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, Refused> {
    let mut key = Key::new();
    value.serialize(Typed(&mut key))?;
    Ok(key.bytes().to_vec())
}

/// A set that gives its elements in no order.
fn is_hash_set(kind: &str) -> bool {
    let name = kind.split('<').next().unwrap_or_default();
    name.ends_with("::HashSet")
}

macro_rules! numbers {
    ($($method:ident $kind:ty = $tag:literal;)*) => {
        $(#[inline] fn $method(self, number: $kind) -> Written {
            let mut bytes = [$tag; 1 + size_of::<$kind>()];
            bytes[1..].copy_from_slice(&number.to_le_bytes());
            self.0.push_array(&bytes);
            Ok(())
        })*
    };
}

impl<'a> ser::Serializer for Typed<'a> {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    numbers! {
        serialize_i8 i8 = 16;
        serialize_i16 i16 = 17;
        serialize_i32 i32 = 18;
        serialize_i64 i64 = 19;
        serialize_i128 i128 = 20;
        serialize_u8 u8 = 21;
        serialize_u16 u16 = 22;
        serialize_u32 u32 = 23;
        serialize_u64 u64 = 24;
        serialize_u128 u128 = 25;
        serialize_f32 f32 = 26;
        serialize_f64 f64 = 27;
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(mut self, value: bool) -> Written {
        self.tag(if value { tag::TRUE } else { tag::FALSE });
        Ok(())
    }

    #[inline]
    fn serialize_char(mut self, value: char) -> Written {
        self.tag(tag::CHAR);
        self.0.push(&u32::from(value).to_le_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_str(mut self, value: &str) -> Written {
        self.bytes(tag::TEXT, value.as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_bytes(mut self, value: &[u8]) -> Written {
        self.bytes(tag::BYTES, value);
        Ok(())
    }

    fn serialize_none(mut self) -> Written {
        self.tag(tag::NONE);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Written {
        self.tag(tag::SOME);
        value.serialize(self)
    }

    fn serialize_unit(mut self) -> Written {
        self.tag(tag::UNIT);
        Ok(())
    }

    fn serialize_unit_struct(mut self, name: &'static str) -> Written {
        self.bytes(tag::NAMED, name.as_bytes());
        self.serialize_unit()
    }

    fn serialize_unit_variant(mut self, kind: &'static str, _: u32, name: &'static str) -> Written {
        self.variant(kind, name);
        self.serialize_unit()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        value: &T,
    ) -> Written {
        self.bytes(tag::NAMED, name.as_bytes());
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        kind: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Written {
        self.variant(kind, name);
        value.serialize(self)
    }

    fn serialize_seq(mut self, _: Option<usize>) -> Result<Self, Refused> {
        self.tag(tag::SEQUENCE);
        Ok(self)
    }

    fn serialize_tuple(mut self, _: usize) -> Result<Self, Refused> {
        self.tag(tag::TUPLE);
        Ok(self)
    }

    fn serialize_tuple_struct(mut self, name: &'static str, _: usize) -> Result<Self, Refused> {
        self.bytes(tag::NAMED, name.as_bytes());
        Ok(self)
    }

    fn serialize_tuple_variant(
        mut self,
        kind: &'static str,
        _: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Self, Refused> {
        self.variant(kind, name);
        Ok(self)
    }

    fn serialize_map(mut self, _: Option<usize>) -> Result<Entries<'a>, Refused> {
        self.tag(tag::MAP);
        Ok(Entries {
            to: self,
            entries: Vec::new(),
        })
    }

    fn serialize_struct(mut self, name: &'static str, _: usize) -> Result<Self, Refused> {
        self.bytes(tag::STRUCT, name.as_bytes());
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        kind: &'static str,
        number: u32,
        name: &'static str,
        fields: usize,
    ) -> Result<Self, Refused> {
        self.serialize_tuple_variant(kind, number, name, fields)
    }

    fn collect_seq<I>(mut self, items: I) -> Written
    where
        I: IntoIterator<Item: Serialize>,
    {
        let is_sorted = is_hash_set(std::any::type_name::<I>());
        let items = items.into_iter();
        if is_sorted {
            self.tag(tag::SET);
            let entries = items.map(|item| alone(&item)).collect::<Result<_, _>>()?;
            self.sorted(entries);
            return Ok(());
        }
        self.tag(tag::SEQUENCE);
        for item in items {
            item.serialize(Typed(self.0))?;
        }
        self.tag(tag::END);
        Ok(())
    }
}

macro_rules! elements {
    ($($kind:ident $method:ident)*) => {
        $(impl ser::$kind for Typed<'_> {
            type Ok = ();
            type Error = Refused;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
                value.serialize(Typed(self.0))
            }

            fn end(mut self) -> Written {
                self.tag(tag::END);
                Ok(())
            }
        })*
    };
}

elements! {
    SerializeSeq serialize_element
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}

macro_rules! fields {
    ($($kind:ident)*) => {
        $(impl ser::$kind for Typed<'_> {
            type Ok = ();
            type Error = Refused;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Written {
                self.bytes(tag::TEXT, name.as_bytes());
                value.serialize(Typed(self.0))
            }

            fn end(mut self) -> Written {
                self.tag(tag::END);
                Ok(())
            }
        })*
    };
}

fields! { SerializeStruct SerializeStructVariant }

/// A map's entries, which are written in order.
pub(crate) struct Entries<'a> {
    to: Typed<'a>,
    entries: Vec<Vec<u8>>,
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        self.entries.push(alone(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        let value = alone(value)?;
        if let Some(entry) = self.entries.last_mut() {
            entry.extend(value);
        }
        Ok(())
    }

    fn end(mut self) -> Written {
        self.to.sorted(self.entries);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use super::*;

    fn of(value: &impl Serialize) -> Vec<u8> {
        alone(value).unwrap()
    }

    #[test]
    fn hash_tables_of_the_same_have_the_same_bytes() {
        let words: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let map = || -> HashMap<&str, HashSet<&str>> {
            let set = || words.iter().map(String::as_str).collect();
            words.iter().map(|word| (word.as_str(), set())).collect()
        };
        // Each has another order.
        assert_eq!(of(&map()), of(&map()));
        let mut other = map();
        other.get_mut("7").unwrap().remove("3");
        assert_ne!(of(&map()), of(&other));
        assert_ne!(of(&vec![1, 2]), of(&vec![2, 1]), "a list has an order");
        let (sorted, hashed) = (
            BTreeMap::from([(1, 2), (3, 4)]),
            HashMap::from([(3, 4), (1, 2)]),
        );
        assert_eq!(of(&sorted), of(&hashed));
        assert!(is_hash_set(
            "&std::collections::hash::set::HashSet<alloc::vec::Vec<u8>>"
        ));
        assert!(!is_hash_set(
            "&alloc::vec::Vec<std::collections::hash::set::HashSet<u8>>"
        ));
    }

    #[derive(Serialize)]
    struct Sparse {
        #[serde(skip_serializing_if = "Option::is_none")]
        a: Option<u8>,
        #[serde(skip_serializing_if = "Option::is_none")]
        b: Option<u8>,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }

    #[derive(Serialize)]
    #[serde(untagged)]
    enum Untagged {
        Number(u8),
        Truth(bool),
        Both(u8, u8),
    }

    #[test]
    fn values_that_differ_have_different_bytes() {
        let sparse = |a, b| {
            of(&Sparse {
                a,
                b,
                rest: BTreeMap::new(),
            })
        };
        let all = [
            sparse(Some(1), None),
            sparse(None, Some(1)),
            of(&Untagged::Number(1)),
            of(&Untagged::Truth(true)),
            of(&Untagged::Both(1, 1)),
            of(&vec![1_u8, 1]),
            of(&1_u16),
            of(&1_i8),
            of(&None::<Option<u8>>),
            of(&Some(None::<u8>)),
            of(&Some(Some(1_u8))),
            of(&0.0),
            of(&-0.0),
            of(&f64::NAN),
            of(&""),
            of(&("a", "b")),
            of(&("ab", "")),
            of(&'a'),
            of(&"a"),
            of(&()),
            of(&[(); 0]),
            of(&u128::MAX),
            of(&Ok::<u8, u8>(1)),
            of(&Err::<u8, u8>(1)),
        ];
        let unique: HashSet<&Vec<u8>> = all.iter().collect();
        assert_eq!(unique.len(), all.len());
        assert_eq!(of(&f64::NAN), of(&f64::NAN));
        assert_eq!(of(&"text"), of(&String::from("text")));
        assert_eq!(of(&[1, 2].as_slice()), of(&vec![1, 2]));
    }
}
