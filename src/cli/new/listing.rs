//! Adds a line to a list in Rust source: a module to its declarations, an item to a slice.
//!
//! The result is laid out as `rustfmt` lays it out, so that a registration is a change of one line
//! and not of a file. It reads text, not syntax: enough for the lists of this project.

use anyhow::{Context, bail};

/// Longest line, in columns.
const COLUMNS_MAX: usize = 100;

/// The text with `declaration`, such as `pub mod checks;`, among those of the other modules.
///
/// # Errors
/// If a module of the same name is declared already.
pub(super) fn with_module(text: &str, declaration: &str) -> anyhow::Result<String> {
    let name = module_of(declaration);
    let mut lines: Vec<&str> = text.lines().collect();
    if lines.iter().any(|line| module_of(line) == name) {
        bail!("`{declaration}` is there already");
    }
    let at = if let Some(first) = lines.iter().position(|line| module_of(line).is_some()) {
        let block = lines[first..].iter().map_while(|line| module_of(line));
        first + block.filter(|one| Some(*one) < name).count()
    } else {
        let at = lines.iter().take_while(|line| line.starts_with("//!")).count();
        lines.insert(at, "");
        at + 1
    };
    lines.insert(at, declaration);
    Ok(lines.join("\n") + "\n")
}

/// The name in a declaration of a module, at the left margin and without a body.
fn module_of(line: &str) -> Option<&str> {
    let line =
        line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) ")).unwrap_or(line);
    line.strip_prefix("mod ")?.strip_suffix(';')
}

/// The text with `item` at the end of the list whose opening bracket ends `opening`.
///
/// # Errors
/// If the list is not there.
pub(super) fn with_item(text: &str, opening: &str, item: &str) -> anyhow::Result<String> {
    let start = text.find(opening).map(|at| at + opening.len());
    let start = start.with_context(|| format!("`{opening}` is not there"))?;
    let length = closing(&text[start..]).with_context(|| format!("`{opening}` is not closed"))?;
    let (inside, rest) = text[start..].split_at(length);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line = &text[line_start..start];
    let indent = &line[..line.len() - line.trim_start().len()];

    let mut items = split(inside);
    items.push(item.to_owned());
    let one_line = items.join(", ");
    let end_columns = rest.lines().next().map_or(0, |end| end.chars().count());
    let columns = line.chars().count() + one_line.chars().count() + end_columns;
    let commented = inside.contains("//");
    let list = if columns <= COLUMNS_MAX && !commented {
        one_line
    } else if commented {
        format!("{}\n{indent}    {item},\n{indent}", inside.trim_end())
    } else {
        let between = format!(",\n{indent}    ");
        format!("\n{indent}    {},\n{indent}", items.join(&between))
    };
    Ok(format!("{}{list}{rest}", &text[..start]))
}

/// How far it is to the bracket that closes the one just before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// The items between the commas that are not inside an item.
fn split(inside: &str) -> Vec<String> {
    let (mut items, mut depth) = (vec![String::new()], 0_usize);
    for character in inside.chars() {
        match character {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match items.last_mut() {
            Some(last) if character != ',' || depth > 0 => last.push(character),
            _ => items.push(String::new()),
        }
    }
    let trimmed = items.iter().map(|item| item.trim().to_owned());
    trimmed.filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_goes_to_its_place_in_the_order() {
        let cases = [
            ("pub mod a;\npub mod c;\n\nmod x;\n", "pub mod a;\nmod b;\npub mod c;\n\nmod x;\n"),
            ("mod a;\n", "mod a;\nmod b;\n"),
            ("pub(crate) mod c;\n", "mod b;\npub(crate) mod c;\n"),
            ("\nconst A: u8 = 1;\n", "\nmod b;\n\nconst A: u8 = 1;\n"),
        ];
        for (before, after) in cases {
            let doc = "//! Doc.\n";
            let changed = with_module(&format!("{doc}{before}"), "mod b;").unwrap();
            assert_eq!(changed, format!("{doc}{after}"));
        }
        assert!(with_module("pub mod b;\n", "mod b;").is_err());
    }

    #[test]
    fn an_item_goes_to_the_end_on_one_line_while_it_fits() {
        let long = "x".repeat(40);
        let cases = [
            ("const A: T = &[];\n".to_owned(), "const A: T = &[&n::N];\n".to_owned()),
            ("const A: T = &[&a::A];\n".to_owned(), "const A: T = &[&a::A, &n::N];\n".to_owned()),
            (
                format!("const A: T = &[\n    &a::{long},\n    &b::{long},\n];\nend\n"),
                format!("const A: T = &[\n    &a::{long},\n    &b::{long},\n    &n::N,\n];\nend\n"),
            ),
            (
                format!("  const A: T = &[&a::{long}, &b::{long}];\n"),
                format!(
                    "  const A: T = &[\n      &a::{long},\n      &b::{long},\n      &n::N,\n  ];\n"
                ),
            ),
            (
                "const A: T = &[\n    &a::A, // first\n];\n".to_owned(),
                "const A: T = &[\n    &a::A, // first\n    &n::N,\n];\n".to_owned(),
            ),
            (
                "const A: T = &[f(1, [2, 3])];\n".to_owned(),
                "const A: T = &[f(1, [2, 3]), &n::N];\n".to_owned(),
            ),
        ];
        for (before, after) in cases {
            assert_eq!(with_item(&before, "const A: T = &[", "&n::N").unwrap(), after);
        }
    }

    #[test]
    fn a_list_that_is_not_there_or_not_closed_is_an_error() {
        assert!(with_item("const B: T = &[];", "const A: T = &[", "&n::N").is_err());
        assert!(with_item("const A: T = &[&a::A", "const A: T = &[", "&n::N").is_err());
    }
}
