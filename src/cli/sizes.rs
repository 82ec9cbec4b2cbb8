//! Sizes in bytes as people write and read them.

/// `8GiB`, `500MB`, `1048576`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: &[(&str, u64)] = &[
        ("gib", 1 << 30),
        ("mib", 1 << 20),
        ("kib", 1 << 10),
        ("gb", 1_000_000_000),
        ("mb", 1_000_000),
        ("kb", 1_000),
        ("b", 1),
    ];
    let lower = text.trim().to_ascii_lowercase();
    let split = UNITS.iter().find_map(|(name, factor)| Some((lower.strip_suffix(name)?, *factor)));
    let (number, factor) = split.unwrap_or((&lower, 1));
    let size = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    size.filter(|size| *size > 0).ok_or_else(|| format!("`{text}` is not a size such as 500MiB or 8GiB"))
}

/// `12.3 KiB`, `0.9 MiB`, `2.1 GiB`.
pub(super) fn size(bytes: u64) -> String {
    let kib = bytes as f64 / 1_024.0;
    match kib {
        _ if kib < 100.0 => format!("{kib:.1} KiB"),
        _ if kib < 1_000.0 * 1_024.0 => format!("{:.1} MiB", kib / 1_024.0),
        _ => format!("{:.1} GiB", kib / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them_and_written_as_they_read_them() {
        for (text, size) in
            [("8GiB", Ok(8 << 30)), ("500 MB", Ok(500_000_000)), ("1024", Ok(1024)), ("7b", Ok(7))]
        {
            assert_eq!(parse_size(text), size);
        }
        for text in ["", "GiB", "-1", "0", "1.5GiB", "99999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        for (bytes, text) in
            [(0, "0.0 KiB"), (1_536, "1.5 KiB"), (300 << 10, "0.3 MiB"), (5 << 30, "5.0 GiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
