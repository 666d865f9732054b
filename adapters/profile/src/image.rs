//! What is needed of an ELF file: its sections, where its code belongs, and its build id.
//!
//! Source: the System V ABI, "Object Files", <https://gabi.xinuos.com/elf/>.

use std::fmt::Write;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Most headers of either kind; a Rust program has some tens.
const HEADERS_MAX: u16 = 1_024;
/// Most bytes of a section that is read whole.
const SECTION_BYTES_MAX: u64 = 256 << 20;
/// A part of the file that is mapped into memory: `PT_LOAD`.
const LOAD: u32 = 1;
/// That it is code: `PF_X`.
const CODE: u32 = 1;
/// Bytes of a program header and of a section header.
const SEGMENT_BYTES: usize = 56;
const SECTION_BYTES: usize = 64;

/// Where an image's bytes are.
pub(crate) enum Source {
    File(File),
    Memory(Vec<u8>),
}

impl Source {
    /// So many bytes from here on, or as many as there are.
    pub(crate) fn read(&self, offset: u64, len: u64) -> Option<Vec<u8>> {
        let len = usize::try_from(len.min(SECTION_BYTES_MAX)).ok()?;
        match self {
            Self::File(file) => {
                let mut bytes = vec![0; len];
                let mut read = 0;
                while read < len {
                    match file.read_at(&mut bytes[read..], offset + read as u64).ok()? {
                        0 => break,
                        more => read += more,
                    }
                }
                bytes.truncate(read);
                Some(bytes)
            }
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).ok()?;
                let rest = bytes.get(start..)?;
                Some(rest[..len.min(rest.len())].to_vec())
            }
        }
    }
}

/// A part of the file with a purpose.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    name: String,
    /// Where it belongs in memory, before the image is moved.
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// A part of the file with code, and where it belongs in memory.
struct Segment {
    offset: u64,
    address: u64,
    size: u64,
}

/// An ELF file.
pub(crate) struct Image {
    pub(crate) source: Source,
    sections: Vec<Section>,
    segments: Vec<Segment>,
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The text up to the first zero byte.
fn text_at(bytes: &[u8], at: usize) -> Option<String> {
    let text = bytes.get(at..)?.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
}

impl Image {
    /// Reads the headers; `None` if it is no ELF file of 64 bits, least significant byte first.
    pub(crate) fn of(source: Source) -> Option<Self> {
        let head = source.read(0, 64)?;
        if !head.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let table = |offset_at: usize, count_at: usize, bytes: usize| {
            let count = u16_at(&head, count_at)?.min(HEADERS_MAX);
            source.read(u64_at(&head, offset_at)?, u64::from(count) * bytes as u64)
        };
        let segments = table(32, 56, SEGMENT_BYTES)?;
        let segments = segments.chunks_exact(SEGMENT_BYTES);
        let is_code = |header: &&[u8]| {
            u32_at(header, 0) == Some(LOAD) && u32_at(header, 4).is_some_and(|it| it & CODE != 0)
        };
        let segments = segments.filter(is_code);
        let segments = segments.filter_map(|header| {
            let (offset, address) = (u64_at(header, 8)?, u64_at(header, 16)?);
            Some(Segment { offset, address, size: u64_at(header, 32)? })
        });
        let segments = segments.collect();
        let headers = table(40, 60, SECTION_BYTES)?;
        let header = |index: usize| headers.chunks_exact(SECTION_BYTES).nth(index);
        let names = header(usize::from(u16_at(&head, 62)?));
        let names = names.and_then(|names| source.read(u64_at(names, 24)?, u64_at(names, 32)?));
        let names = names.unwrap_or_default();
        let sections = headers.chunks_exact(SECTION_BYTES).filter_map(|header| {
            let name = text_at(&names, u32_at(header, 0)? as usize)?;
            let (address, offset) = (u64_at(header, 16)?, u64_at(header, 24)?);
            Some(Section { name, address, offset, size: u64_at(header, 32)? })
        });
        let sections = sections.collect();
        Some(Self { source, sections, segments })
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// A section with its content.
    pub(crate) fn content(&self, name: &str) -> Option<(u64, Vec<u8>)> {
        let section = self.section(name)?;
        let bytes = self.source.read(section.offset, section.size)?;
        (bytes.len() as u64 == section.size).then_some((section.address, bytes))
    }

    /// How far the code is from where the file says it belongs, if the file's bytes from `offset`
    /// on are at `start`.
    pub(crate) fn moved_by(&self, start: u64, offset: u64) -> Option<u64> {
        // What is mapped begins at a page, and so perhaps before what the segment holds.
        const PAGE: u64 = 4_096;
        let holds = |segment: &&Segment| {
            let from = segment.offset & !(PAGE - 1);
            (from..segment.offset + segment.size).contains(&offset)
        };
        let segment = self.segments.iter().find(holds)?;
        let belongs = segment.address.wrapping_add(offset).wrapping_sub(segment.offset);
        Some(start.wrapping_sub(belongs))
    }

    /// What identifies the build, in hexadecimal digits.
    pub(crate) fn build_id(&self) -> Option<String> {
        let (_, note) = self.content(".note.gnu.build-id")?;
        let (name, len) = (u32_at(&note, 0)? as usize, u32_at(&note, 4)? as usize);
        let start = 12 + name.next_multiple_of(4);
        let id = note.get(start..start.checked_add(len)?)?;
        let mut digits = String::new();
        for byte in id {
            // Writing to a string cannot fail.
            let _ = write!(digits, "{byte:02x}");
        }
        Some(digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_is_read() {
        let source = Source::File(File::open("/proc/self/exe").unwrap());
        let image = Image::of(source).unwrap();
        for name in [".text", ".eh_frame", ".eh_frame_hdr", ".symtab", ".strtab"] {
            assert!(image.section(name).is_some_and(|section| section.size > 0), "{name}");
        }
        assert!(image.section(".nothing").is_none());
        let (address, bytes) = image.content(".eh_frame_hdr").unwrap();
        assert!(address > 0 && bytes.first() == Some(&1), "its version is 1");
    }

    #[test]
    fn what_is_cut_short_or_no_program_is_not_read() {
        let whole = std::fs::read("/proc/self/exe").unwrap();
        let read = |bytes: &[u8]| Image::of(Source::Memory(bytes.to_vec()));
        for len in [0, 4, 63, 64, 4_096, whole.len() / 2] {
            let content = read(&whole[..len]).and_then(|image| image.content(".eh_frame"));
            assert!(content.is_none(), "{len}");
        }
        assert!(read(b"#!/bin/sh\n").is_none());
    }
}
