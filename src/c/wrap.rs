//! The Rust functions that stand for those of C: safe ones where C's types say enough, and `unsafe` ones in
//! `kernels_raw` for the rest.

use super::parse::{Function as Parsed, Unit};
use super::types::{CHAR, Parameter, Type, Used, identifier};
use crate::ids::ArtifactId;

/// A function as Rust sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name in Rust.
    pub name: String,
    /// As the user sees it: `fn norm(x: &[f64]) -> f64`.
    pub signature: String,
    /// The whole of it.
    pub text: String,
    /// Why it is `unsafe`, and in `kernels_raw`; `None`: it is safe.
    pub raw: Option<String>,
    /// Structs that it is given or gives, by value or not.
    pub structs: Vec<String>,
}

/// How a parameter of C's is made of what Rust gives.
struct Argument {
    /// `x: &[f64]`; `None` for a length, which its slice has.
    taken: Option<String>,
    /// What is passed.
    passed: String,
}

/// The Rust function for one of C's; an error says why there is none.
pub fn function(
    parsed: &Parsed,
    unit: &Unit,
    used: &mut Used,
    library: ArtifactId,
) -> Result<Function, String> {
    if parsed.variadic {
        return Err("its number of arguments varies".to_owned());
    }
    if let Some(obstacle) = parsed.obstacle {
        return Err(obstacle.to_owned());
    }
    if ["None", "Some", "Ok", "Err"].contains(&parsed.name.as_str()) {
        return Err("all cells need that word of Rust's: give it another name".to_owned());
    }
    if parsed.name == "main" {
        return Err("`main` is a program's, not a function to call".to_owned());
    }
    let inputs = named(&parsed.inputs);
    let mut structs = Used::new();
    let mut kinds = Vec::new();
    for input in &inputs {
        kinds.push(input.kind.rust(&mut structs)?);
    }
    let output = match &parsed.output {
        Type::Void => String::new(),
        output => format!(" -> {}", output.rust(&mut structs)?),
    };
    for name in &structs {
        match unit.fields(name) {
            Some(Ok(_)) => {}
            Some(Err(why)) => return Err(why.clone()),
            None => return Err(format!("`struct {name}` is only declared")),
        }
    }
    used.extend(structs.iter().cloned());
    let name = identifier(&parsed.name);
    let typed: Vec<String> = (0..)
        .zip(&kinds)
        .map(|(at, kind)| format!("a{at}: {kind}"))
        .collect();
    let called = format!(
        "::regatta_cell::c_function!({:#034x}, {:?}, fn({}){output})",
        library.content,
        parsed.name,
        typed.join(", ")
    );
    let doc = format!("#[doc = {:?}]\n", format!("`{}`, in C.", parsed.head));
    let structs: Vec<String> = structs.into_iter().collect();
    let safe = arguments(&parsed.name, &inputs, &mut Used::new())
        .and_then(|arguments| Ok((arguments, given(&parsed.output)?)));
    let (arguments, (output, before, behind)) = match safe {
        Ok(safe) => safe,
        Err(why) => {
            let taken: Vec<String> = inputs
                .iter()
                .zip(&kinds)
                .map(|(input, kind)| format!("{}: {kind}", identifier(&input.name)))
                .collect();
            let passed: Vec<String> = inputs.iter().map(|it| identifier(&it.name)).collect();
            let head = format!("fn {name}({}){output}", taken.join(", "));
            let text = format!(
                "{doc}#[inline] pub unsafe {head} {{ unsafe {{ ({called})({}) }} }}\n",
                passed.join(", ")
            );
            return Ok(Function {
                signature: format!("unsafe fn kernels_raw::{}", &head["fn ".len()..]),
                name,
                text,
                raw: Some(why),
                structs,
            });
        }
    };
    let taken: Vec<&str> = arguments.taken.iter().map(String::as_str).collect();
    let head = format!("fn {name}({}){output}", taken.join(", "));
    let text = format!(
        "{doc}#[inline] #[track_caller] pub {head} {{ {}{}{before}unsafe {{ ({called})({}) }}{behind} }}\n",
        sizes(&structs, unit),
        arguments.checks,
        arguments.passed.join(", ")
    );
    Ok(Function {
        name,
        signature: head,
        text,
        raw: None,
        structs,
    })
}

/// That the structs are still as long as C has them: they can be defined anew in Rust.
fn sizes(structs: &[String], unit: &Unit) -> String {
    let mut checks = String::new();
    for name in structs {
        if let Some((size, _)) = layout(&Type::Struct(name.clone()), unit) {
            checks.push_str(&format!(
                "::regatta_cell::c::same_size::<{}>({size}, {name:?}); ",
                identifier(name)
            ));
        }
    }
    checks
}

/// The size and alignment of a type in bytes, as C lays it out here.
fn layout(kind: &Type, unit: &Unit) -> Option<(u64, u64)> {
    let word = size_of::<usize>() as u64;
    Some(match kind {
        Type::Number(name) => {
            let size = match *name {
                "bool" | "i8" | "u8" => 1,
                "i16" | "u16" => 2,
                "i32" | "u32" | "f32" => 4,
                "isize" | "usize" => word,
                _ => 8,
            };
            (size, size)
        }
        Type::Char => (1, 1),
        Type::Size => (word, word),
        Type::Array(of, count) => {
            let (size, align) = layout(of, unit)?;
            (size.checked_mul(*count)?, align)
        }
        Type::Struct(name) => {
            let fields = unit.fields(name)?.as_ref().ok()?;
            let (mut end, mut most) = (0_u64, 1);
            for (_, field) in fields {
                let (size, align) = layout(field, unit)?;
                end = end.next_multiple_of(align).checked_add(size)?;
                most = most.max(align);
            }
            (end.next_multiple_of(most), most)
        }
        _ => return None,
    })
}

/// The parameters, each with a name of its own.
fn named(inputs: &[Parameter]) -> Vec<Parameter> {
    let mut named = inputs.to_vec();
    for (at, input) in named.iter_mut().enumerate() {
        if input.name.is_empty() {
            input.name = format!("a{at}");
        }
    }
    named
}

/// What a safe function takes and passes.
#[derive(Default)]
struct Arguments {
    taken: Vec<String>,
    passed: Vec<String>,
    checks: String,
}

/// A pointer to items, which can be a slice.
struct Slice<'a> {
    name: String,
    of: &'a Type,
    constant: bool,
    /// The name in `x[n]`.
    length: Option<&'a str>,
    /// The number in `x[3]`.
    count: Option<&'a str>,
}

impl Slice<'_> {
    fn is_text(&self) -> bool {
        self.constant && *self.of == Type::Char
    }

    fn taken(&self, used: &mut Used) -> Result<String, String> {
        let (by, of) = (self.by(), self.item(used)?);
        Ok(format!("{}: {by}[{of}]", self.name))
    }

    fn by(&self) -> &'static str {
        if self.constant { "&" } else { "&mut " }
    }

    fn item(&self, used: &mut Used) -> Result<String, String> {
        match self.of {
            // Characters are bytes in Rust.
            Type::Char => Ok("u8".to_owned()),
            of => of.rust(used),
        }
    }

    /// What stands for it when no other parameter says how long it is.
    fn alone(&self, counted: bool, used: &mut Used) -> Result<Option<Argument>, String> {
        let (name, by, of) = (&self.name, self.by(), self.item(used)?);
        Ok(match (self.count, self.of) {
            (Some(count), _) => Some(Argument {
                taken: Some(format!("{name}: {by}[{of}; {count}]")),
                passed: self.passed(),
            }),
            // Where nothing counts, a pointer to a struct is one to one.
            (None, Type::Struct(_)) if !counted && self.length.is_none() => Some(Argument {
                taken: Some(format!("{name}: {by}{of}")),
                passed: name.clone(),
            }),
            _ => None,
        })
    }

    fn passed(&self) -> String {
        let name = &self.name;
        let cast = match self.of {
            Type::Char if CHAR != "u8" => ".cast()",
            _ => "",
        };
        if self.constant {
            format!("{name}.as_ptr(){cast}")
        } else {
            format!("{name}.as_mut_ptr(){cast}")
        }
    }
}

fn slice(input: &Parameter) -> Option<Slice<'_>> {
    match &input.kind {
        Type::Pointer {
            to,
            constant,
            length,
        } if to.is_item() => Some(Slice {
            name: identifier(&input.name),
            of: to,
            constant: *constant,
            length: length.as_deref().filter(|it| !is_count(it)),
            count: length.as_deref().filter(|it| is_count(it)),
        }),
        _ => None,
    }
}

fn is_count(length: &str) -> bool {
    length.bytes().all(|byte| byte.is_ascii_digit())
}

fn arguments(function: &str, inputs: &[Parameter], used: &mut Used) -> Result<Arguments, String> {
    let mut made: Vec<Option<Argument>> = inputs.iter().map(|_| None).collect();
    let mut checks = String::new();
    for (length, counted) in lengths(inputs) {
        let mut names = Vec::new();
        for at in counted {
            let slice = slice(&inputs[at]).ok_or("no slice")?;
            made[at] = Some(Argument {
                taken: Some(slice.taken(used)?),
                passed: slice.passed(),
            });
            names.push(slice.name);
        }
        let first = names.first().cloned().unwrap_or_default();
        made[length] = Some(Argument {
            taken: None,
            passed: format!("{first}.len()"),
        });
        checks.push_str(&lengths_checked(function, &inputs[length].name, &names));
    }
    let is_integer = |input: &Parameter| match &input.kind {
        Type::Size => true,
        Type::Number(name) => !["f32", "f64", "bool"].contains(name),
        _ => false,
    };
    let counted = inputs.iter().any(is_integer);
    for (made, input) in made
        .iter_mut()
        .zip(inputs)
        .filter(|(made, _)| made.is_none())
    {
        *made = Some(alone(function, input, counted, used, &mut checks)?);
    }
    let made: Vec<Argument> = made.into_iter().flatten().collect();
    Ok(Arguments {
        taken: made.iter().filter_map(|it| it.taken.clone()).collect(),
        passed: made.into_iter().map(|it| it.passed).collect(),
        checks,
    })
}

/// Which parameter is the length of which: the places of both.
fn lengths(inputs: &[Parameter]) -> Vec<(usize, Vec<usize>)> {
    let is_length = |(_, input): &(usize, &Parameter)| input.kind == Type::Size;
    let sizes = inputs.iter().enumerate().filter(is_length);
    let counted = sizes.map(|(at, input)| (at, counted_by(at, input, inputs)));
    counted.filter(|(_, counted)| !counted.is_empty()).collect()
}

/// The pointers whose length a parameter is.
fn counted_by(at: usize, input: &Parameter, inputs: &[Parameter]) -> Vec<usize> {
    // `double x[n]` names its length, wherever that stands.
    let names_it =
        |other: &Parameter| slice(other).is_some_and(|it| it.length == Some(input.name.as_str()));
    let named: Vec<usize> = (0..inputs.len())
        .filter(|it| names_it(&inputs[*it]))
        .collect();
    if !named.is_empty() {
        return named;
    }
    let before = inputs[..at].iter().enumerate().rev();
    let mut counted: Vec<usize> = before
        .map_while(|(at, it)| slice(it).filter(|it| it.length.is_none()).map(|_| at))
        .collect();
    counted.reverse();
    // Text that stands with numbers ends by itself.
    let text = |at: &usize| slice(&inputs[*at]).is_some_and(|it| it.is_text());
    if !counted.iter().all(text) {
        counted.retain(|at| !text(at));
    }
    counted
}

/// Code that sees to it that the slices of one length are equally long.
fn lengths_checked(function: &str, length: &str, names: &[String]) -> String {
    let [first, others @ ..] = names else {
        return String::new();
    };
    if others.is_empty() {
        return String::new();
    }
    let differ = others
        .iter()
        .map(|name| format!("{first}.len() != {name}.len()"));
    let differ: Vec<String> = differ.collect();
    let told: Vec<String> = names
        .iter()
        .map(|name| format!("({:?}, {name}.len())", name.trim_start_matches("r#")))
        .collect();
    format!(
        "if {} {{ ::regatta_cell::c::lengths_differ({function:?}, {length:?}, &[{}]) }} ",
        differ.join(" || "),
        told.join(", ")
    )
}

/// A parameter that no other one measures, and that measures no other.
fn alone(
    function: &str,
    input: &Parameter,
    counted: bool,
    used: &mut Used,
    checks: &mut String,
) -> Result<Argument, String> {
    let name = identifier(&input.name);
    if input.kind.is_plain() {
        return Ok(Argument {
            taken: Some(format!("{name}: {}", input.kind.rust(used)?)),
            passed: name,
        });
    }
    let slice = slice(input).ok_or_else(|| no_safe_form(input))?;
    if !slice.is_text() {
        let argument = slice.alone(counted, used)?;
        return argument.ok_or_else(|| no_safe_form(input));
    }
    checks.push_str(&format!(
        "let {name} = ::regatta_cell::c::text({name}, {function:?}, {:?}); ",
        input.name
    ));
    Ok(Argument {
        taken: Some(format!("{name}: &str")),
        passed: format!("{name}.as_ptr()"),
    })
}

fn no_safe_form(input: &Parameter) -> String {
    let name = &input.name;
    match &input.kind {
        Type::Pointer { to, .. } => match &**to {
            Type::Function { .. } => format!("`{name}` is a callback"),
            Type::Void => format!("what `{name}` points to has no type"),
            to if to.is_item() => {
                format!("how long `{name}` is, no `size_t` behind it says")
            }
            _ => format!("what `{name}` points to is no number"),
        },
        _ => format!("`{name}` has no safe form"),
    }
}

/// The output of a safe function, and what stands before and behind the call.
fn given(output: &Type) -> Result<(String, &'static str, &'static str), String> {
    match output {
        Type::Void => Ok((String::new(), "", "")),
        output if output.is_plain() => {
            Ok((format!(" -> {}", output.rust(&mut Used::new())?), "", ""))
        }
        Type::Pointer {
            to, constant: true, ..
        } if **to == Type::Char => Ok((
            " -> String".to_owned(),
            "let text = ",
            "; unsafe { ::regatta_cell::c::copied(text) }",
        )),
        _ => Err("whose memory it gives is not known".to_owned()),
    }
}

/// Rust's types and constants for what the functions use.
pub fn items(unit: &Unit, used: &Used) -> Vec<(String, String)> {
    let mut items: Vec<(String, String)> = Vec::new();
    let mut open: Vec<String> = used.iter().rev().cloned().collect();
    while let Some(name) = open.pop() {
        let Some(Ok(fields)) = unit.fields(&name) else {
            continue;
        };
        if items.iter().any(|(other, _)| *other == name) {
            continue;
        }
        let mut inside = Used::new();
        let mut small = true;
        let mut text = String::new();
        for (field, kind) in fields {
            let Ok(rust) = kind.rust(&mut inside) else {
                continue;
            };
            small &= !matches!(kind, Type::Array(_, count) if *count > 32);
            text.push_str(&format!("pub {}: {rust}, ", identifier(field)));
        }
        // The traits of longer arrays are not there.
        let more = if small {
            ", Default, Serialize, Deserialize"
        } else {
            ""
        };
        let known = identifier(&name);
        items.push((
            name.clone(),
            format!(
                "#[allow(non_camel_case_types, non_snake_case)]\n#[repr(C)] #[derive(Clone, Copy, Debug, PartialEq{more})]\npub struct {known} {{ {}}}\n",
                text
            ),
        ));
        for alias in unit.names().aliases(&name) {
            items.push((
                alias.to_owned(),
                format!("pub type {} = {known};\n", identifier(alias)),
            ));
        }
        open.extend(inside);
    }
    for (name, kind, value) in unit.names().constants() {
        items.push((
            name.to_owned(),
            format!(
                "#[allow(non_upper_case_globals)] pub const {}: {kind} = {value};\n",
                identifier(name)
            ),
        ));
    }
    items
}
