//! Arguments as a short text, as they would stand in a call: `3, 1.5, "abc", Point { x: 1 }`.

use std::fmt::{self, Display, Write as _};

use serde::Serialize;
use serde::ser;

use crate::memo::Argument;

/// Bytes after which the rest is left out.
const MOST: usize = 200;

/// Arguments of a call as a text.
pub struct Arguments(String);

impl Arguments {
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a constant")]
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// Adds an argument. What cannot be told of it is left out.
    #[must_use]
    pub fn and<T: Argument + ?Sized>(mut self, argument: &T) -> Self {
        if self.0.is_empty() {
            self.0.reserve(32);
        } else {
            self.0.push_str(", ");
        }
        let ended = match self.0.len() < MOST {
            true => argument.serialize(Writer(&mut self.0)),
            false => Err(Full),
        };
        if ended.is_err() && !self.0.ends_with('…') {
            cut(&mut self.0);
        }
        self
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

#[cold]
fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(MOST));
    text.push('…');
}

/// There is no more room.
#[derive(Debug)]
struct Full;

impl Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too long")
    }
}

impl std::error::Error for Full {}

impl ser::Error for Full {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

type Written = Result<(), Full>;

struct Writer<'a>(&'a mut String);

impl Writer<'_> {
    fn put(self, text: fmt::Arguments<'_>) -> Written {
        put(self.0, text)
    }
}

fn put(to: &mut String, text: fmt::Arguments<'_>) -> Written {
    to.write_fmt(text).map_err(|_| Full)?;
    if to.len() > MOST { Err(Full) } else { Ok(()) }
}

macro_rules! shown {
    ($($method:ident $kind:ty;)*) => {
        $(fn $method(self, value: $kind) -> Written {
            self.put(format_args!("{value:?}"))
        })*
    };
}

impl<'a> ser::Serializer for Writer<'a> {
    type Ok = ();
    type Error = Full;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Parts<'a>;
    type SerializeTupleVariant = Parts<'a>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Parts<'a>;

    shown! {
        serialize_bool bool;
        serialize_char char;
        serialize_i8 i8;
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
        serialize_i128 i128;
        serialize_u8 u8;
        serialize_u16 u16;
        serialize_u32 u32;
        serialize_u64 u64;
        serialize_u128 u128;
        serialize_f32 f32;
        serialize_f64 f64;
    }

    fn serialize_str(self, v: &str) -> Written {
        let short = &v[..v.floor_char_boundary(MOST)];
        self.put(format_args!("{short:?}"))
    }

    fn serialize_bytes(self, v: &[u8]) -> Written {
        let short = &v[..v.len().min(MOST)];
        self.put(format_args!("{short:?}"))
    }

    fn serialize_none(self) -> Written {
        self.put(format_args!("None"))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        self.serialize_newtype_struct("Some", value)
    }

    fn serialize_unit(self) -> Written {
        self.put(format_args!("()"))
    }

    fn serialize_unit_struct(self, name: &'static str) -> Written {
        self.put(format_args!("{name}"))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.put(format_args!("{variant}"))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Written {
        put(self.0, format_args!("{name}("))?;
        value.serialize(Writer(self.0))?;
        put(self.0, format_args!(")"))
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        self.serialize_newtype_struct(variant, value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'a>, Full> {
        Parts::begin(self.0, "", "[", "]")
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'a>, Full> {
        Parts::begin(self.0, "", "(", ")")
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Parts<'a>, Full> {
        Parts::begin(self.0, name, "(", ")")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        parts: usize,
    ) -> Result<Parts<'a>, Full> {
        self.serialize_tuple_struct(variant, parts)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'a>, Full> {
        Parts::begin(self.0, "", "{", "}")
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts<'a>, Full> {
        Parts::begin(self.0, name, " { ", " }")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        fields: usize,
    ) -> Result<Parts<'a>, Full> {
        self.serialize_struct(variant, fields)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Written {
        self.put(format_args!("{value}"))
    }
}

/// What has several parts, with commas between them.
struct Parts<'a> {
    to: &'a mut String,
    first: bool,
    end: &'static str,
}

impl<'a> Parts<'a> {
    fn begin(to: &'a mut String, name: &str, open: &str, end: &'static str) -> Result<Self, Full> {
        put(to, format_args!("{name}{open}"))?;
        Ok(Self {
            to,
            first: true,
            end,
        })
    }

    fn next(&mut self) -> Written {
        let comma = if self.first { "" } else { ", " };
        self.first = false;
        put(self.to, format_args!("{comma}"))
    }

    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.next()?;
        value.serialize(Writer(self.to))
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Written {
        self.next()?;
        put(self.to, format_args!("{name}: "))?;
        value.serialize(Writer(self.to))
    }

    fn finish(self) -> Written {
        put(self.to, format_args!("{}", self.end))
    }
}

macro_rules! parts {
    ($($kind:ident $method:ident),*) => {$(
        impl ser::$kind for Parts<'_> {
            type Ok = ();
            type Error = Full;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
                self.part(value)
            }

            fn end(self) -> Written {
                self.finish()
            }
        }
    )*};
}

parts!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

macro_rules! fields {
    ($($kind:ident),*) => {$(
        impl ser::$kind for Parts<'_> {
            type Ok = ();
            type Error = Full;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Written {
                self.field(name, value)
            }

            fn end(self) -> Written {
                self.finish()
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = Full;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        self.part(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        put(self.to, format_args!(": "))?;
        value.serialize(Writer(self.to))
    }

    fn end(self) -> Written {
        self.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    struct Point {
        x: u8,
        y: Option<f32>,
    }

    #[derive(Serialize)]
    enum Shape {
        Empty,
        Named(&'static str),
        Line(u8, i64),
        Box { at: Point },
    }

    #[test]
    fn arguments_read_as_in_a_call() {
        let point = || Point { x: 1, y: Some(2.0) };
        let shapes = [
            Shape::Empty,
            Shape::Named("a\"b"),
            Shape::Line(1, -2),
            Shape::Box { at: point() },
        ];
        let map = BTreeMap::from([('a', ()), ('b', ())]);
        let text = Arguments::new()
            .and(&3_u64)
            .and(&1.0)
            .and("x")
            .and(&point());
        assert_eq!(text.text(), "3, 1.0, \"x\", Point { x: 1, y: Some(2.0) }");
        let text = Arguments::new().and(&shapes).and(&map).and(&None::<u8>);
        assert_eq!(
            text.text(),
            "(Empty, Named(\"a\\\"b\"), Line(1, -2), Box { at: Point { x: 1, y: Some(2.0) } }), {'a': (), 'b': ()}, None"
        );
        assert_eq!(Arguments::new().and(&vec![1, 2]).text(), "[1, 2]");
    }

    #[test]
    fn long_ones_are_cut() {
        for arguments in [
            Arguments::new().and(&vec![7_u8; 1_000_000]),
            Arguments::new().and(&"é".repeat(1000)).and(&1).and(&2),
            Arguments::new()
                .and(&[1_u8; 32])
                .and(&vec![u64::MAX; 32])
                .and(&1),
        ] {
            let text = arguments.text();
            assert!(text.len() < MOST + 4 && text.ends_with('…'), "{text}");
            assert_eq!(text.matches('…').count(), 1);
        }
    }
}
