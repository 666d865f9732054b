//! What a file would hold after a power cut: its content as of the last sync, and any of what was
//! done to it since.

/// What a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

/// What becomes of that which was not synced when the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All of it is lost.
    Nothing,
    /// All of it is there.
    Everything,
    /// Some sectors are there and others are not, in no order: which, the seed says.
    Some(u64),
}

/// Something done to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
    Gone,
}

/// One file: `durable` is `None` if it would not be there.
#[derive(Debug, Default)]
pub(crate) struct Image {
    durable: Option<Vec<u8>>,
    unsynced: Vec<Change>,
}

impl Image {
    pub(crate) fn of(durable: Option<Vec<u8>>) -> Self {
        Self { durable, unsynced: Vec::new() }
    }

    pub(crate) fn change(&mut self, change: Change) {
        self.unsynced.push(change);
    }

    pub(crate) fn sync(&mut self) {
        self.durable = Some(self.remains(&mut Dice::of(Keep::Everything)).unwrap_or_default());
        self.unsynced.clear();
    }

    /// The removal is durable.
    pub(crate) fn sync_removal(&mut self) {
        *self = Self::default();
    }

    /// The directory is synced: a file that was removed does not come back.
    pub(crate) fn sync_name(&mut self) {
        if let Some(last) = self.unsynced.iter().rposition(|change| *change == Change::Gone) {
            self.unsynced.drain(..=last);
            self.durable = None;
        }
    }

    /// The file after a power cut.
    pub(crate) fn remains(&self, dice: &mut Dice) -> Option<Vec<u8>> {
        let mut content = self.durable.clone();
        for change in &self.unsynced {
            match change {
                Change::Write { at, bytes } => write(&mut content, *at, bytes, dice),
                Change::Size(size) if dice.keeps() => {
                    content.get_or_insert_default().resize(*size, 0);
                }
                Change::Gone if dice.keeps() => content = None,
                Change::Size(_) => {}
                // Whatever came after it happened to another file of that name.
                Change::Gone => return content,
            }
        }
        content
    }
}

/// Writes those sectors that the dice keep.
fn write(content: &mut Option<Vec<u8>>, at: usize, bytes: &[u8], dice: &mut Dice) {
    let (mut at, mut left) = (at, bytes);
    while !left.is_empty() {
        let (sector, rest) = left.split_at(left.len().min(SECTOR_BYTES - at % SECTOR_BYTES));
        if dice.keeps() {
            let content = content.get_or_insert_default();
            let end = at + sector.len();
            content.resize(content.len().max(end), 0);
            content[at..end].copy_from_slice(sector);
        }
        (at, left) = (at + sector.len(), rest);
    }
}

/// Says of each thing whether it is kept.
#[derive(Debug)]
pub(crate) struct Dice {
    keep: Keep,
    state: u64,
    /// Of 8 things, about so many are kept.
    of_eight: u64,
}

impl Dice {
    pub(crate) fn of(keep: Keep) -> Self {
        let state = if let Keep::Some(seed) = keep { seed } else { 0 };
        let mut dice = Self { keep, state, of_eight: 0 };
        dice.of_eight = [1, 4, 7][(dice.roll() % 3) as usize];
        dice
    }

    /// `SplitMix64`: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
    fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn keeps(&mut self) -> bool {
        match self.keep {
            Keep::Nothing => false,
            Keep::Everything => true,
            Keep::Some(_) => self.roll() % 8 < self.of_eight,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remains(image: &Image, keep: Keep) -> Option<Vec<u8>> {
        image.remains(&mut Dice::of(keep))
    }

    #[test]
    fn what_is_synced_stays_and_what_is_not_may_go() {
        let mut image = Image::default();
        image.change(Change::Write { at: 0, bytes: vec![1; 1_024] });
        assert_eq!(remains(&image, Keep::Nothing), None);
        image.sync();
        image.change(Change::Write { at: 1_000, bytes: vec![2; 100] });
        assert_eq!(remains(&image, Keep::Nothing), Some(vec![1; 1_024]));
        let everything = remains(&image, Keep::Everything).unwrap_or_default();
        assert_eq!((everything.len(), everything[999], everything[1_000]), (1_100, 1, 2));
    }

    #[test]
    fn a_torn_write_keeps_or_loses_whole_sectors_in_no_order() {
        let mut image = Image::of(Some(vec![0; 4_096]));
        image.change(Change::Write { at: 0, bytes: vec![1; 4_096] });
        let mut later_without_earlier = false;
        for seed in 0..64 {
            let content = remains(&image, Keep::Some(seed)).unwrap_or_default();
            let sectors: Vec<&[u8]> = content.chunks(SECTOR_BYTES).collect();
            assert!(sectors.iter().all(|sector| sector.iter().all(|byte| *byte == sector[0])));
            later_without_earlier |= sectors.windows(2).any(|two| two[0][0] < two[1][0]);
        }
        assert!(later_without_earlier);
    }

    #[test]
    fn a_removal_that_is_not_synced_may_be_undone_with_all_that_followed() {
        let mut image = Image::of(Some(vec![1]));
        image.change(Change::Gone);
        image.change(Change::Write { at: 0, bytes: vec![2, 2] });
        assert_eq!(remains(&image, Keep::Nothing), Some(vec![1]));
        assert_eq!(remains(&image, Keep::Everything), Some(vec![2, 2]));
        image.sync_name();
        assert_eq!(remains(&image, Keep::Nothing), None);
        assert_eq!(remains(&image, Keep::Everything), Some(vec![2, 2]));
    }
}
