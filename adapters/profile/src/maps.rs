//! Which file's code is where in this process: `/proc/self/maps`.

use std::io;

/// The kernel's own code in every process.
pub(crate) const VDSO: &str = "[vdso]";

/// A range of addresses with code in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// The file, as the kernel names it, or [`VDSO`].
    pub(crate) path: String,
}

/// Everything with code in it, the program itself first, as pprof wants it.
pub(crate) fn executable() -> io::Result<Vec<Mapping>> {
    let text = std::fs::read_to_string("/proc/self/maps")?;
    let mut mappings: Vec<Mapping> = text.lines().filter_map(parse).collect();
    let program = std::fs::read_link("/proc/self/exe")?;
    mappings.sort_by_key(|mapping| std::path::Path::new(&mapping.path) != program);
    Ok(mappings)
}

/// The file to read a mapping from. The program's own is there even if its name is gone.
pub(crate) fn file_of(path: &str) -> io::Result<std::fs::File> {
    let program = std::fs::read_link("/proc/self/exe")?;
    let is_program = std::path::Path::new(path) == program;
    std::fs::File::open(if is_program { "/proc/self/exe" } else { path })
}

/// A line such as `7f00-7f10 r-xp 00001000 fe:00 42   /lib/libc.so.6`, if it is about code.
fn parse(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (range, rights, offset) = (words.next()?, words.next()?, words.next()?);
    // Behind the device and the inode; a path may have spaces in it.
    let inode = words.nth(1)?;
    let path = line.split_once(&format!(" {inode} "))?.1.trim_start();
    let is_named = path.starts_with('/') || path == VDSO;
    if !rights.contains('x') || !is_named {
        return None;
    }
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = range.split_once('-')?;
    let path = path.to_owned();
    Some(Mapping { start: hex(start)?, end: hex(end)?, offset: hex(offset)?, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_everything_else() {
        let check = |line: &str, expected: Option<(u64, u64, u64, &str)>| {
            let found = parse(line);
            let found = found.as_ref().map(|it| (it.start, it.end, it.offset, it.path.as_str()));
            assert_eq!(found, expected, "{line}");
        };
        let end = "7f10-7f20 r-xp 00001000 fe:00 42                     /lib/a b.so.6";
        check(end, Some((0x7f10, 0x7f20, 0x1000, "/lib/a b.so.6")));
        let vdso = "7ffe-7fff r-xp 00000000 00:00 0                          [vdso]";
        check(vdso, Some((0x7ffe, 0x7fff, 0, VDSO)));
        check("7f10-7f20 r--p 00001000 fe:00 42                     /lib/libc.so.6", None);
        check("7f10-7f20 rw-p 00000000 00:00 0                      [stack]", None);
        check("7f10-7f20 rwxp 00000000 00:00 0 ", None);
        check("", None);
    }

    #[test]
    fn the_program_comes_first() {
        let mappings = executable().unwrap();
        let program = std::env::current_exe().unwrap();
        assert_eq!(mappings[0].path, program.to_str().unwrap());
        assert!(mappings.iter().any(|mapping| mapping.path.contains("libc")), "{mappings:?}");
    }
}
