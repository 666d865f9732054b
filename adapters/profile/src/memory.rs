//! Reading this process's own memory without trusting any address: the kernel copies it, and says
//! no where nothing is.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are read at once: most of the frames of a stack are close together.
const WINDOW_BYTES: usize = 4_096;

/// The memory of this process.
pub(crate) struct Memory(File);

impl Memory {
    pub(crate) fn open() -> io::Result<Self> {
        File::open("/proc/self/mem").map(Self)
    }

    /// What is between these addresses; `None` if not all of it can be read.
    pub(crate) fn read(&self, start: u64, end: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(end.checked_sub(start)?).ok()?];
        self.0.read_exact_at(&mut bytes, start).ok()?;
        Some(bytes)
    }
}

/// A part of the memory that moves with what is read. Does not allocate.
pub(crate) struct Window<'a> {
    memory: &'a Memory,
    start: u64,
    len: usize,
    bytes: [u8; WINDOW_BYTES],
}

impl<'a> Window<'a> {
    pub(crate) fn of(memory: &'a Memory) -> Self {
        Self { memory, start: 0, len: 0, bytes: [0; WINDOW_BYTES] }
    }

    /// The word at this address; `None` if there is none.
    pub(crate) fn word(&mut self, address: u64) -> Option<u64> {
        if let Some(word) = self.held(address) {
            return Some(word);
        }
        self.start = address;
        self.len = self.memory.0.read_at(&mut self.bytes, address).unwrap_or(0);
        self.held(address)
    }

    fn held(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes.get(..self.len)?.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_read_where_there_is_one_and_nowhere_else() {
        let memory = Memory::open().unwrap();
        let mut window = Window::of(&memory);
        let words: Vec<u64> = (0..2_000).collect();
        let start = words.as_ptr() as u64;
        for word in [0, 1, 1_999, 3, 511, 512] {
            assert_eq!(window.word(start + 8 * word), Some(word));
        }
        for nowhere in [0, 8, u64::MAX, u64::MAX - 7, 1 << 63, 0xdead_beef_dead_beef] {
            assert_eq!(window.word(nowhere), None, "{nowhere:#x}");
        }
        assert_eq!(memory.read(start, start + 8).unwrap(), 0_u64.to_le_bytes());
        assert_eq!(memory.read(8, 16), None);
    }
}
