//! Sizes of partitions and logical volumes: `20g`, `512mi`, `30%`, `>10g`.
//!
//! The grammar is that of drydock's storage driver (`ApplyNodeStorage.calculate_bytes`): `m`, `g`, `t` and `mb`, `gb`,
//! `tb` are powers of 1000, `mi`/`mib` and so on powers of 1024, in any case of letters; `%` is of the disk or volume
//! group; `>` asks for at least this and takes all that is left.

/// What is left out of a size that takes everything: room for the tables at both ends of a disk.
const RESERVE: u64 = 4 << 20;

/// A size as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// This at least, and all that is left.
    pub takes_rest: bool,
    /// How much.
    pub amount: Amount,
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Bytes.
    Bytes(u64),
    /// Hundredths of the disk or volume group.
    Percent(u64),
}

/// A size that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a size")]
pub struct NotASize;

/// A size that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("needs {needed} bytes, and {available} are left")]
pub struct NotEnoughStorage {
    /// Bytes asked for.
    pub needed: u64,
    /// Bytes left.
    pub available: u64,
}

/// Reads a size. What stands behind the unit has no meaning, and is returned so that it can be complained about.
pub fn parse(text: &str) -> Result<(Size, &str), NotASize> {
    let (takes_rest, rest) = text.strip_prefix('>').map_or((false, text), |rest| (true, rest));
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = rest.split_at(digits);
    let number: u64 = number.parse().map_err(|_| NotASize)?;
    let is_unit = |c: char| matches!(c.to_ascii_lowercase(), 'm' | 'b' | 'g' | 't' | 'i' | '%');
    let letters = rest.chars().take(3).take_while(|c| is_unit(*c)).count();
    let (unit, rest) = rest.split_at(letters);
    let amount = match unit.to_ascii_lowercase().as_str() {
        "%" => Amount::Percent(number),
        unit => Amount::Bytes(number.checked_mul(factor(unit).ok_or(NotASize)?).ok_or(NotASize)?),
    };
    Ok((Size { takes_rest, amount }, rest))
}

fn factor(unit: &str) -> Option<u64> {
    Some(match unit {
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        "ti" | "tib" => 1 << 40,
        _ => return None,
    })
}

impl Size {
    /// Bytes that this is on a disk or volume group of `total` bytes of which `available` are left.
    pub fn bytes(self, total: u64, available: u64) -> Result<u64, NotEnoughStorage> {
        let needed = match self.amount {
            Amount::Bytes(bytes) => bytes,
            Amount::Percent(percent) => {
                u64::try_from(u128::from(total) * u128::from(percent) / 100).unwrap_or(u64::MAX)
            }
        };
        if needed > available {
            return Err(NotEnoughStorage { needed, available });
        }
        Ok(if self.takes_rest { available.saturating_sub(RESERVE) } else { needed })
    }

    /// Bytes that it has at least, whatever the disk.
    pub fn minimum(self) -> Option<u64> {
        match self.amount {
            Amount::Bytes(bytes) => Some(bytes),
            Amount::Percent(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> u64 {
        parse(text).unwrap().0.minimum().unwrap()
    }

    #[test]
    fn decimal_and_binary_units() {
        for (units, factor) in [
            (["m", "M", "mb", "MB"], 1_000_000),
            (["g", "G", "gb", "GB"], 1_000_000_000),
            (["t", "T", "tb", "TB"], 1_000_000_000_000),
            (["mi", "Mi", "mib", "MiB"], 1 << 20),
            (["gi", "Gi", "gib", "GiB"], 1 << 30),
            (["ti", "Ti", "tib", "TiB"], 1 << 40),
        ] {
            for unit in units {
                assert_eq!(bytes(&format!("15{unit}")), 15 * factor, "{unit}");
            }
        }
        assert_eq!(bytes("1Gb"), 1_000_000_000, "any case");
    }

    #[test]
    fn shares_of_a_disk() {
        let of = |text: &str, total, available| parse(text).unwrap().0.bytes(total, available);
        assert_eq!(of("20%", 20_000_000, 20_000_000), Ok(4_000_000));
        assert_eq!(of("80%", 20_000_000, 10), Err(NotEnoughStorage { needed: 16_000_000, available: 10 }));
        assert_eq!(of(">10%", 20_000_000, 15_000_000), Ok(15_000_000 - (4 << 20)));
        assert_eq!(of(">1t", 20_000_000, 15_000_000).unwrap_err().needed, 1_000_000_000_000);
        assert_eq!(of("5m", 20_000_000, 15_000_000), Ok(5_000_000));
    }

    #[test]
    fn what_is_no_size() {
        for text in
            ["", "g", "20", "20k", "20kb", "-5%", "20b", "1.5g", "> 5g", "18446744073709551616m", "99999999999t"]
        {
            assert_eq!(parse(text), Err(NotASize), "{text}");
        }
        assert_eq!(parse("1gfoo").map(|(_, rest)| rest), Ok("foo"));
    }
}
