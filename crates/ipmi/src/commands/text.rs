//! Strings in SDRs (§43.15) and in the FRU inventory (FRU Information Storage Definition 1.0, §13): a type/length byte,
//! then binary, BCD plus, packed 6-bit ASCII or Latin 1.

use std::fmt::Write as _;

/// How the bytes of a string are to be read: the upper two bits of its type/length byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Shown in hexadecimal.
    Binary,
    /// Two characters a byte.
    BcdPlus,
    /// Four characters in three bytes.
    SixBit,
    /// A character a byte.
    Latin1,
    /// Two bytes a character, little-endian: in FRU areas whose language is not English.
    Ucs2,
}

impl Encoding {
    /// In a FRU area. With another language than English (0 or 25) the fourth encoding is UCS-2.
    pub(crate) fn of_fru(type_length: u8, language: u8) -> Self {
        match type_length >> 6 {
            0 => Self::Binary,
            1 => Self::BcdPlus,
            2 => Self::SixBit,
            _ if language == 0 || language == 25 => Self::Latin1,
            _ => Self::Ucs2,
        }
    }

    /// In an SDR. There, 0 means Unicode, and what BMCs put there is Latin 1.
    pub(crate) fn of_sdr(type_length: u8) -> Self {
        match type_length >> 6 {
            1 => Self::BcdPlus,
            2 => Self::SixBit,
            _ => Self::Latin1,
        }
    }
}

/// The text in `bytes`, without the blanks and zeros at its end. Control characters become blanks.
pub fn decode(encoding: Encoding, bytes: &[u8]) -> String {
    let text = match encoding {
        Encoding::Binary => bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
        Encoding::BcdPlus => bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).map(bcd_plus).collect(),
        Encoding::SixBit => six_bit(bytes),
        Encoding::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
        Encoding::Ucs2 => {
            let units = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
    };
    let text: String = text.trim_end_matches('\0').chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().to_owned()
}

/// §43.15: digits, blank, dash, full stop; the rest is reserved.
fn bcd_plus(digit: u8) -> char {
    match digit {
        0..=9 => char::from(b'0' + digit),
        0xa => ' ',
        0xb => '-',
        0xc => '.',
        0xd => ':',
        0xe => ',',
        _ => '_',
    }
}

/// §43.15.1: the characters from 20h to 5Fh, least significant bits first.
fn six_bit(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 4 / 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in bytes {
        bits |= u32::from(*byte) << count;
        count += 8;
        while count >= 6 {
            text.push(char::from(0x20 + (bits & 0x3f) as u8));
            bits >>= 6;
            count -= 6;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding() {
        // The specification's example of packed 6-bit ASCII (§43.15.1): "IPMI".
        assert_eq!(decode(Encoding::SixBit, &[0x29, 0xdc, 0xa6]), "IPMI");
        assert_eq!(decode(Encoding::BcdPlus, &[0x12, 0xb3, 0xc4]), "12-3.4");
        assert_eq!(decode(Encoding::Binary, &[0xca, 0xfe]), "cafe");
        assert_eq!(decode(Encoding::Latin1, b"Fan 1 \0\0"), "Fan 1");
        assert_eq!(decode(Encoding::Latin1, b"a\x1b[31m"), "a [31m", "no terminal sequences from a BMC");
        assert_eq!(decode(Encoding::Ucs2, &[0x41, 0x00, 0xe9, 0x00, 0x07]), "Aé");
    }
}
