//! What can be the standard input of commands: text, bytes, lists of text as lines.

use crate::shell::{Output, ShellResult};

/// What can be the standard input of commands.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the standard input of commands",
    label = "is no text",
    note = "text can, and bytes (`Vec<u8>`), lists of text as lines, and what a command has printed"
)]
pub trait Input {
    #[doc(hidden)]
    fn bytes(&self) -> Vec<u8>;
}

impl<T: Input + ?Sized> Input for &T {
    fn bytes(&self) -> Vec<u8> {
        (**self).bytes()
    }
}

macro_rules! inputs {
    ($($whole:ty, $lines:ty;)*) => {$(
        impl Input for $whole {
            fn bytes(&self) -> Vec<u8> {
                AsRef::<[u8]>::as_ref(self).to_vec()
            }
        }

        impl Input for $lines {
            fn bytes(&self) -> Vec<u8> {
                self.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect()
            }
        }
    )*};
}

inputs! {
    str, [&str];
    String, [String];
    [u8], Vec<&str>;
    Vec<u8>, Vec<String>;
}

impl Input for Output {
    fn bytes(&self) -> Vec<u8> {
        self.0.clone()
    }
}

impl Input for ShellResult {
    fn bytes(&self) -> Vec<u8> {
        self.stdout.0.clone()
    }
}

/// A value as the standard input of commands.
#[doc(hidden)]
pub fn input<T: Input + ?Sized>(value: &T) -> Output {
    Output(value.bytes())
}

/// Values as they stand in commands.
#[doc(hidden)]
pub fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_lines() {
        assert_eq!(input("a").0, b"a");
        assert_eq!(input(&"a".to_owned()).0, b"a");
        assert_eq!(input(&vec!["a", "", "b"]).0, b"a\n\nb\n");
        assert_eq!(input(&["x".to_owned()][..]).0, b"x\n");
        assert_eq!(input(&vec![0_u8, 255]).0, [0, 255]);
    }
}
