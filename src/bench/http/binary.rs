//! How large this program is without the names of its functions, as `strip -s` would leave it.

use std::io;

/// The kind of a section that holds symbols: `SHT_SYMTAB` of the System V ABI.
const SYMBOLS: u64 = 2;

/// The size of this program, less its symbols and their names.
pub(super) fn stripped_bytes() -> io::Result<f64> {
    let program = std::fs::read(std::env::current_exe()?)?;
    Ok((program.len() as u64).saturating_sub(symbol_bytes(&program).unwrap_or(0)) as f64)
}

/// The bytes of symbols and names in an ELF file of 64 bits, least significant byte first.
fn symbol_bytes(program: &[u8]) -> Option<u64> {
    if !program.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let number = |at: u64, len: usize| {
        let at = usize::try_from(at).ok()?;
        let bytes = program.get(at..at.checked_add(len)?)?.iter().rev();
        Some(bytes.fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (table, bytes_each) = (number(40, 8)?, number(58, 2)?);
    let section = |index: u64| table + index * bytes_each;
    let size = |index: u64| number(section(index) + 32, 8);
    let mut symbols = (0..number(60, 2)?)
        .filter(|index| number(section(*index) + 4, 4).is_some_and(|kind| kind == SYMBOLS));
    let symbols = symbols.next()?;
    // Their names are in the section that theirs names.
    Some(size(symbols)? + size(number(section(symbols) + 40, 4)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_program_is_smaller_without_names_and_what_is_none_has_none() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let symbols = symbol_bytes(&program).unwrap();
        // A test has thousands of functions.
        assert!(symbols > 100_000 && symbols < program.len() as u64, "{symbols}");
        assert_eq!(symbol_bytes(b"#!/bin/sh\n"), None);
        assert_eq!(symbol_bytes(&program[..4_096]), None);
    }
}
