//! Where in the user's cells a line of generated source comes from.

/// Finds line `line` (from 1) of `generated` in one of `cells`: evcxr copies the user's lines as they are.
/// Where the text stands in several places, the one with the most equal lines around it wins. Gives the
/// index of the cell and the line in it, from 1.
#[must_use]
pub fn locate(generated: &str, line: usize, cells: &[&str]) -> Option<(usize, usize)> {
    let generated: Vec<&str> = generated.lines().map(str::trim).collect();
    let mut at = line.checked_sub(1)?;
    // evcxr puts a cell's value into parentheses, on lines of their own.
    if generated.get(at) == Some(&"(") {
        at += 1;
    }
    let text = *generated.get(at)?;
    if text.is_empty() {
        return None;
    }
    let mut best = None;
    for (index, cell) in cells.iter().enumerate() {
        let lines: Vec<&str> = cell.lines().map(str::trim).collect();
        for (number, candidate) in lines.iter().enumerate() {
            // A line of the user's may be cut into statements, or stand beside generated text.
            let part = text.contains(candidate) || (text.len() > 3 && candidate.contains(text));
            if candidate.is_empty() || !part {
                continue;
            }
            let equal = |step: isize| {
                (1..20)
                    .take_while(|distance| {
                        let here = at.checked_add_signed(step * distance);
                        let there = number.checked_add_signed(step * distance);
                        here.zip(there).is_some_and(|(here, there)| {
                            generated
                                .get(here)
                                .is_some_and(|line| lines.get(there) == Some(line))
                        })
                    })
                    .count()
            };
            let score = (
                *candidate == text,
                candidate.len().min(text.len()),
                equal(1) + equal(-1),
            );
            // The newest cell wins a draw.
            if best.is_none_or(|(previous, _, _)| score >= previous) {
                best = Some((score, index, number + 1));
            }
        }
    }
    best.map(|(_, index, number)| (index, number))
}

#[cfg(test)]
mod tests {
    use super::locate;

    #[test]
    fn a_line_is_found_in_the_cell_it_came_from() {
        let first = "fn f(x: i32) -> i32 {\n    x + 1\n}";
        let second = "fn g(x: i32) -> i32 {\n    assert!(x > 0);\n    x + 1\n}\ng(0)";
        let generated = format!("#![allow(x)]\n{first}\nextern {{\n{second}\n}}");
        assert_eq!(locate(&generated, 3, &[first, second]), Some((0, 2)));
        assert_eq!(locate(&generated, 7, &[first, second]), Some((1, 2)));
        assert_eq!(locate(&generated, 8, &[first, second]), Some((1, 3)));
        assert_eq!(locate(&generated, 1, &[first, second]), None);
        assert_eq!(
            locate("(\n1 / z\n).show()", 1, &["let z = 0;\n1 / z"]),
            Some((0, 2))
        );
        assert_eq!(locate(&generated, 99, &[first, second]), None);
    }
}
