//! Time as the kernel sees it: a port, so that the simulation can drive it.
//!
//! Wall-clock time comes from a [`Clock`]; waiting uses tokio's timers, which tests can pause.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

/// A point in time in microseconds since 1970-01-01T00:00:00Z, written as RFC 3339 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// 9999-12-31T23:59:59.999999Z, the last moment that RFC 3339 can write.
const MICROS_MAX: i64 = 253_402_300_799_999_999;

impl Timestamp {
    /// The last moment that can be written, for what has no end.
    pub const NEVER: Self = Self(MICROS_MAX);

    /// The point that lies `micros` microseconds after the epoch, clamped to the years 1970–9999.
    #[must_use]
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(0, MICROS_MAX))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// This point moved later by `duration`, at most to the last moment of the year 9999.
    #[must_use]
    pub fn plus(self, duration: std::time::Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(MICROS_MAX);
        Self::from_micros(self.0.saturating_add(micros))
    }

    /// Microseconds from `earlier` to this point; zero if it is not later.
    #[must_use]
    pub fn micros_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// How long the text of every moment is.
    pub(crate) const TEXT_BYTES: usize = 27;

    /// Writes `YYYY-MM-DDTHH:MM:SS.ffffffZ`.
    ///
    /// Two of these stand in every record, so this avoids the general formatter. The date
    /// arithmetic is the days-to-civil algorithm over 400-year eras (H. Hinnant, "chrono-Compatible
    /// Low-Level Date Algorithms"); a test compares it with the `time` crate.
    pub(crate) fn write(self, out: &mut [u8; Self::TEXT_BYTES]) {
        // Never negative and at most the end of the year 9999, so that the day fits 32 bits.
        let (seconds_total, micros) = (self.0.unsigned_abs() / 1_000_000, self.0.unsigned_abs());
        let micros = narrow(micros % 1_000_000);
        let (days, seconds) = (narrow(seconds_total / 86_400), narrow(seconds_total % 86_400));
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
        let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
        let year = year_of_era + era * 400 + u32::from(month <= 2);

        *out = *b"0000-00-00T00:00:00.000000Z";
        put(&mut out[0..4], year);
        put(&mut out[5..7], month);
        put(&mut out[8..10], day);
        put(&mut out[11..13], seconds / 3_600);
        put(&mut out[14..16], seconds / 60 % 60);
        put(&mut out[17..19], seconds % 60);
        put(&mut out[20..26], micros);
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Writes `value` in decimal, right-aligned in `digits`.
fn put(digits: &mut [u8], mut value: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; Self::TEXT_BYTES];
        self.write(&mut buffer);
        formatter.write_str(std::str::from_utf8(&buffer).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = [0; Self::TEXT_BYTES];
        self.write(&mut buffer);
        serializer.serialize_str(std::str::from_utf8(&buffer).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)?;
        let micros = i64::try_from(moment.unix_timestamp_nanos() / 1_000)
            .map_err(|_| de::Error::custom("the time is out of range"))?;
        Ok(Self::from_micros(micros))
    }
}

/// Where the kernel gets the time of day from.
pub trait Clock: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> Timestamp;
}

/// A clock that starts at a given moment and then follows tokio's timer, paused or not.
///
/// It makes every timestamp of a simulation a function of its seed.
#[derive(Debug)]
pub struct SteadyClock {
    base: Timestamp,
    started: Instant,
}

impl SteadyClock {
    /// A clock that reads `base` now.
    #[must_use]
    pub fn starting_at(base: Timestamp) -> Self {
        Self { base, started: Instant::now() }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.base.plus(self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_timestamp_is_written_as_the_time_crate_reads_it(micros in 0..=MICROS_MAX) {
            let text = Timestamp::from_micros(micros).to_string();
            let read = OffsetDateTime::parse(&text, &Rfc3339).unwrap();
            prop_assert_eq!(read.unix_timestamp_nanos(), i128::from(micros) * 1_000);
        }
    }

    #[test]
    fn a_timestamp_survives_json() {
        // `date -u -d @1795229969.5 +%FT%T.%6NZ`
        let stamp = Timestamp::from_micros(1_795_229_969_500_000);
        let text = serde_json::to_string(&stamp).unwrap();
        assert_eq!(text, "\"2026-11-21T02:59:29.500000Z\"");
        assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), stamp);
    }
}
