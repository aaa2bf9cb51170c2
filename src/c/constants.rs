//! Constants that C computes while it compiles: values of enums, lengths of arrays.

use tree_sitter::Node;

/// A constant of an enum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    pub name: String,
    pub value: i64,
    /// It stands in the user's own text.
    pub own: bool,
}

/// The value of a constant expression, unless it asks for more than numbers and earlier constants.
pub fn value(node: Node<'_>, source: &str, known: &[Constant]) -> Option<i64> {
    let of = |node: Node<'_>| source.get(node.byte_range()).unwrap_or_default();
    let text = of(node);
    let inside = |name| value(node.child_by_field_name(name)?, source, known);
    match node.kind() {
        "number_literal" => literal(text),
        "identifier" => {
            let last = known.iter().rfind(|it| it.name == text);
            last.map(|it| it.value)
        }
        "parenthesized_expression" => value(node.named_child(0)?, source, known),
        "unary_expression" => {
            let argument = inside("argument")?;
            match text.trim_start().chars().next()? {
                '-' => argument.checked_neg(),
                '~' => Some(!argument),
                '+' => Some(argument),
                _ => None,
            }
        }
        "binary_expression" => {
            let (left, right) = (inside("left")?, inside("right")?);
            let operator = node.child_by_field_name("operator")?;
            match of(operator) {
                "+" => left.checked_add(right),
                "-" => left.checked_sub(right),
                "*" => left.checked_mul(right),
                "/" => left.checked_div(right),
                "%" => left.checked_rem(right),
                "|" => Some(left | right),
                "&" => Some(left & right),
                "^" => Some(left ^ right),
                "<<" => left.checked_shl(u32::try_from(right).ok()?),
                ">>" => left.checked_shr(u32::try_from(right).ok()?),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The value of a number with a point or an exponent.
pub fn fraction(node: Node<'_>, source: &str) -> Option<f64> {
    let text = source.get(node.byte_range())?;
    match node.kind() {
        "number_literal" => text.trim_end_matches(['f', 'F', 'l', 'L']).parse().ok(),
        "parenthesized_expression" => fraction(node.named_child(0)?, source),
        "unary_expression" => {
            let value = fraction(node.child_by_field_name("argument")?, source)?;
            match text.chars().next()? {
                '-' => Some(-value),
                '+' => Some(value),
                _ => None,
            }
        }
        _ => None,
    }
}

fn literal(text: &str) -> Option<i64> {
    let text = text.trim_end_matches(['u', 'U', 'l', 'L']);
    let lower = text.to_ascii_lowercase();
    if let Some(hex) = lower.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok();
    }
    if let Some(binary) = lower.strip_prefix("0b") {
        return i64::from_str_radix(binary, 2).ok();
    }
    match lower.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => i64::from_str_radix(octal, 8).ok(),
        _ => lower.parse().ok(),
    }
}
