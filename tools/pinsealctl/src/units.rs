// SPDX-License-Identifier: MIT OR Apache-2.0

//! Times and sizes, as people write and read them.

use std::time::Duration;

/// Units by name, with their value in nanoseconds.
const TIMES: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// A time: "150ms", "1.5s", "2m"; a number alone is in seconds.
pub(crate) fn time(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = if unit.is_empty() { "s" } else { unit };
    let ns = TIMES
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, ns)| ns);
    match (number.parse::<f64>(), ns) {
        (Ok(number), Some(ns)) if number * ns < u64::MAX as f64 => {
            Ok(Duration::from_nanos((number * ns) as u64))
        }
        _ => Err("a time is a number and one of ns, us, ms, s, m, h, as in 150ms, or a number of seconds".to_owned()),
    }
}

/// A size in bytes: "4096", "64K", "16M", "1G".
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, shift) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 10),
        Some((at, 'M')) => (&text[..at], 20),
        Some((at, 'G')) => (&text[..at], 30),
        _ => (text, 0),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "a size is a number of bytes, or one with K, M or G".to_owned())
}

/// A number of things: "1 page", "3 pages".
pub(crate) fn counted(number: u64, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// A size for people.
pub(crate) fn human_size(bytes: u64) -> String {
    let (shift, unit) = match bytes {
        0..1024 => return format!("{bytes}"),
        1024..1_048_576 => (10, "K"),
        1_048_576..1_073_741_824 => (20, "M"),
        _ => (30, "G"),
    };
    match bytes & ((1 << shift) - 1) {
        0 => format!("{}{unit}", bytes >> shift),
        _ => format!("{:.1}{unit}", bytes as f64 / f64::from(1 << shift)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(time("150ms"), Ok(Duration::from_millis(150)));
        assert_eq!(time("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(time("10us"), Ok(Duration::from_micros(10)));
        for wrong in [
            "",
            "ms",
            "-1s",
            "1 s",
            "1x",
            "1.2.3s",
            "1e99h",
            "99999999999h",
        ] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("64K"), Ok(65536));
        assert_eq!(size("2G"), Ok(2 << 30));
        for wrong in ["", "K", "-1", "1.5M", "1T", "99999999999999G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_thing_is_no_things() {
        assert_eq!(counted(1, "page", "pages"), "1 page");
        assert_eq!(counted(0, "page", "pages"), "0 pages");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(human_size(0), "0");
        assert_eq!(human_size(1023), "1023");
        assert_eq!(human_size(4096), "4K");
        assert_eq!(human_size(5000), "4.9K");
        assert_eq!(human_size(3 << 30), "3G");
    }
}
