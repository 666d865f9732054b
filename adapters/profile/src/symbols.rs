//! The names of functions, from the symbols of the files that they are in. A file without symbols
//! has none, and its functions stay addresses.

use std::collections::HashMap;

use crate::image::{Image, Section, u16_at, u32_at, u64_at};
use crate::unwind::Unwinder;

/// Bytes of a symbol, and symbols that are read at once.
const SYMBOL_BYTES: u64 = 24;
const SYMBOLS_AT_ONCE: u64 = 4_096;
/// Longest name.
const NAME_BYTES_MAX: u64 = 8_192;
/// The kinds of symbols that are functions: `STT_FUNC`, `STT_GNU_IFUNC`.
const FUNCTIONS: [u8; 2] = [2, 10];

/// A function's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Symbol {
    /// For people.
    pub(crate) name: String,
    /// For linkers.
    pub(crate) mangled: String,
}

/// The names for these addresses, as far as there are any.
pub(crate) fn of(unwinder: &Unwinder, addresses: &[u64]) -> HashMap<u64, Symbol> {
    let mut found = HashMap::new();
    for (index, object) in unwinder.objects.iter().enumerate() {
        let is_inside =
            |address: &&u64| unwinder.object(**address).is_some_and(|(inside, _)| inside == index);
        let inside = addresses.iter().filter(is_inside);
        let mut inside: Vec<u64> =
            inside.map(|address| address.wrapping_sub(object.moved_by)).collect();
        inside.sort_unstable();
        inside.dedup();
        let named = names(&object.image, &inside).unwrap_or_default().into_iter();
        found.extend(named.map(|(at, symbol)| (at.wrapping_add(object.moved_by), symbol)));
    }
    found
}

/// Whether an image can name every function of its own.
pub(crate) fn are_in(image: &Image) -> bool {
    image.section(".symtab").is_some()
}

/// The names for these addresses of the file, which are in order.
fn names(image: &Image, addresses: &[u64]) -> Option<HashMap<u64, Symbol>> {
    if addresses.is_empty() {
        return None;
    }
    let table = |symbols: &str, names: &str| Some((image.section(symbols)?, image.section(names)?));
    // The second has what a library gives to others, which is better than nothing.
    let (symbols, names) = table(".symtab", ".strtab").or_else(|| table(".dynsym", ".dynstr"))?;
    let mut named = HashMap::new();
    for (name, of) in holders(image, symbols, addresses)? {
        let symbol = symbol(image, names, name)?;
        named.extend(of.into_iter().map(|address| (address, symbol.clone())));
    }
    Some(named)
}

/// Which functions hold these addresses: places of names, with the addresses.
fn holders(image: &Image, symbols: &Section, addresses: &[u64]) -> Option<HashMap<u64, Vec<u64>>> {
    let mut holders: HashMap<u64, u64> = HashMap::new();
    let at_once = SYMBOLS_AT_ONCE * SYMBOL_BYTES;
    for start in (0..symbols.size).step_by(at_once as usize) {
        let len = at_once.min(symbols.size - start);
        let bytes = image.source.read(symbols.offset + start, len)?;
        for symbol in bytes.chunks_exact(SYMBOL_BYTES as usize) {
            let (kind, section) = (symbol[4] & 0xf, u16_at(symbol, 6)?);
            if !FUNCTIONS.contains(&kind) || section == 0 {
                continue;
            }
            let (address, size) = (u64_at(symbol, 8)?, u64_at(symbol, 16)?);
            let from = addresses.partition_point(|it| *it < address);
            let to = addresses.partition_point(|it| *it < address.saturating_add(size));
            for inside in addresses.get(from..to).unwrap_or_default() {
                holders.insert(*inside, u64::from(u32_at(symbol, 0)?));
            }
        }
    }
    let mut by_name: HashMap<u64, Vec<u64>> = HashMap::new();
    for (address, name) in holders {
        by_name.entry(name).or_default().push(address);
    }
    Some(by_name)
}

fn symbol(image: &Image, names: &Section, at: u64) -> Option<Symbol> {
    let len = NAME_BYTES_MAX.min(names.size.checked_sub(at)?);
    let bytes = image.source.read(names.offset + at, len)?;
    let mangled = bytes.split(|byte| *byte == 0).next()?;
    let mangled = String::from_utf8_lossy(mangled).into_owned();
    // Without the hash that tells one build's function from another's.
    let name = format!("{:#}", rustc_demangle::demangle(&mangled));
    Some(Symbol { name, mangled })
}
