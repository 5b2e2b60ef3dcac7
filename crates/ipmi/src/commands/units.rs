//! Units of sensors (§43.17, Table 43-15).

/// A unit's symbol; empty for "unspecified" and for numbers that the specification does not know.
pub(crate) fn symbol(unit: u8) -> &'static str {
    match unit {
        1 => "°C",
        2 => "°F",
        3 => "K",
        4 => "V",
        5 => "A",
        6 => "W",
        7 => "J",
        8 => "C",
        9 => "VA",
        10 => "nit",
        11 => "lm",
        12 => "lx",
        13 => "cd",
        14 => "kPa",
        15 => "psi",
        16 => "N",
        17 => "CFM",
        18 => "RPM",
        19 => "Hz",
        20 => "µs",
        21 => "ms",
        22 => "s",
        23 => "min",
        24 => "h",
        25 => "d",
        26 => "weeks",
        27 => "mil",
        28 => "in",
        29 => "ft",
        30 => "in³",
        31 => "ft³",
        32 => "mm",
        33 => "cm",
        34 => "m",
        35 => "cm³",
        36 => "m³",
        37 => "l",
        38 => "fl oz",
        39 => "rad",
        40 => "sr",
        41 => "rev",
        42 => "cycles",
        43 => "gravities",
        44 => "oz",
        45 => "lb",
        46 => "ft·lb",
        47 => "oz·in",
        48 => "G",
        49 => "Gb",
        50 => "H",
        51 => "mH",
        52 => "F",
        53 => "µF",
        54 => "Ω",
        55 => "S",
        56 => "mol",
        57 => "Bq",
        58 => "ppm",
        60 => "dB",
        61 => "dBA",
        62 => "dBC",
        63 => "Gy",
        64 => "Sv",
        65 => "K (colour)",
        66 => "bit",
        67 => "kbit",
        68 => "Mbit",
        69 => "Gbit",
        70 => "B",
        71 => "kB",
        72 => "MB",
        73 => "GB",
        74 => "words",
        75 => "dwords",
        76 => "qwords",
        77 => "lines",
        78 => "hits",
        79 => "misses",
        80 => "retries",
        81 => "resets",
        82 => "overruns",
        83 => "underruns",
        84 => "collisions",
        85 => "packets",
        86 => "messages",
        87 => "characters",
        88 => "errors",
        89 => "corrected errors",
        90 => "uncorrectable errors",
        91 => "fatal errors",
        92 => "g",
        _ => "",
    }
}

/// The symbol of a sensor's unit from the three bytes of its record: percentage, rate and modifier, base unit, modifier
/// unit.
pub(crate) fn unit([flags, base, modifier]: [u8; 3]) -> String {
    if flags & 0x01 != 0 {
        return "%".into();
    }
    let mut unit = symbol(base).to_owned();
    match flags >> 1 & 0x03 {
        1 => unit = format!("{unit}/{}", symbol(modifier)),
        2 => unit = format!("{unit}·{}", symbol(modifier)),
        _ => {}
    }
    let rate = match flags >> 3 & 0x07 {
        1 => "/µs",
        2 => "/ms",
        3 => "/s",
        4 => "/min",
        5 => "/h",
        6 => "/d",
        _ => "",
    };
    unit + rate
}

#[cfg(test)]
mod tests {
    use super::unit;

    #[test]
    fn units_in_words() {
        assert_eq!(unit([0x00, 1, 0]), "°C");
        assert_eq!(unit([0x01, 0, 0]), "%");
        assert_eq!(unit([0x18, 70, 0]), "B/s");
        assert_eq!(unit([0x02, 6, 34]), "W/m");
        assert_eq!(unit([0x00, 255, 0]), "");
    }
}
