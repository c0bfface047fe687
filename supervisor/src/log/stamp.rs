//! Points in time as people and programs read them: RFC 3339, UTC, milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// `2026-11-21T17:42:28.123Z`. Always of this length, so that stamps sort as texts. Before 1970 is 1970.
pub(crate) fn stamp(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let mut year = 1970;
    loop {
        let length = 365 + u64::from(is_leap(year));
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let mut month = 0;
    while let Some(length) = MONTHS.get(month).map(|days| days + u64::from(month == 1 && is_leap(year))) {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let (month, day, ms) = (month + 1, days + 1, since.subsec_millis());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn of(seconds: u64) -> String {
        stamp(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn known_times() {
        assert_eq!(of(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(of(951_782_399), "2000-02-28T23:59:59.000Z");
        assert_eq!(of(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(of(1_709_251_199), "2024-02-29T23:59:59.000Z");
        assert_eq!(of(1_735_689_599), "2024-12-31T23:59:59.000Z");
        assert_eq!(of(4_107_542_400), "2100-03-01T00:00:00.000Z");
        assert_eq!(stamp(UNIX_EPOCH + Duration::from_millis(1_234_567_890_123)), "2009-02-13T23:31:30.123Z");
    }

    proptest! {
        #[test]
        fn they_sort_as_texts(a in 0_u64..100_000_000_000, b in 0_u64..100_000_000_000) {
            prop_assert_eq!(of(a).cmp(&of(b)), a.cmp(&b));
            prop_assert_eq!(of(a).len(), 24);
        }
    }
}
