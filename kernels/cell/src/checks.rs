//! What this crate's compile-time checks say, for whoever tells it to a user in other words: rustc passes on nothing
//! but these texts.

/// What names begin with that generated code has of its own; a user's names should not.
pub const OWN_PREFIX: &str = "regatta_";

/// A function of a map on a process pool has bytes of its own.
pub const CAPTURES: &str = "regatta: the function of a map on a process pool captures variables (or is a function pointer)";

/// The functions that check it, as rustc names them, and how many functions of the user's each is generic over, behind
/// the captured variables and what makes the functions of them.
pub const CAPTURES_CHECKED_IN: [(&str, usize); 2] = [
    ("regatta_cell::remote::mapping::<", 1),
    ("regatta_cell::remote::reducing::<", 2),
];

/// Defines a trait for what serde can carry, and what rustc says of a type without it.
macro_rules! carried {
    ($message:ident = $text:literal, $label:literal, $called:ident, $(#[$meta:meta])* $name:ident) => {
        #[doc = concat!("Of a type without [`", stringify!($name), "`], whose name stands for `{Self}`.")]
        pub const $message: &str = $text;

        /// What rustc calls the trait, of which it speaks when a part of a type lacks serde's.
        pub const $called: &str = stringify!($name);

        $(#[$meta])*
        #[diagnostic::on_unimplemented(message = $text, label = $label)]
        pub trait $name: serde::Serialize + serde::de::DeserializeOwned {}

        impl<T: serde::Serialize + serde::de::DeserializeOwned> $name for T {}
    };
}

carried! {
    NOT_TRAVELLING = "`{Self}` cannot travel to other processes",
    "travels to other processes",
    TRAVELS,
    /// What can travel to another process: a captured variable, a value that is sent.
    Travels
}

carried! {
    NOT_EXCHANGED = "`{Self}` cannot travel between processes",
    "travels between processes",
    EXCHANGED,
    /// What a map can exchange with another process: its inputs and results.
    Exchanged
}

/// The type of which rustc says a message from here.
#[must_use]
pub fn type_in<'a>(told: &'a str, message: &str) -> Option<&'a str> {
    let (before, behind) = message.split_once("{Self}")?;
    told.strip_prefix(before)?.strip_suffix(behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::{mapping, reducing};

    #[test]
    fn types_are_found_in_messages() {
        let told = "`Vec<P>` cannot travel between processes";
        assert_eq!(type_in(told, NOT_EXCHANGED), Some("Vec<P>"));
        assert_eq!(type_in(told, NOT_TRAVELLING), None);
    }

    #[test]
    fn the_checks_stand_where_they_are_said_to() {
        fn name<T>(_: T) -> &'static str {
            std::any::type_name::<T>()
        }
        let one = name(mapping::<(), fn(()) -> fn(u8) -> u8, fn(u8) -> u8, u8, u8>);
        type Two = (fn(u8) -> u8, fn(u8, u8) -> u8);
        let two = name(reducing::<(), fn(()) -> Two, fn(u8) -> u8, fn(u8, u8) -> u8, u8, u8>);
        for (name, (path, _)) in [one, two].iter().zip(CAPTURES_CHECKED_IN) {
            assert!(name.starts_with(path.trim_end_matches("::<")), "{name}");
        }
    }
}
