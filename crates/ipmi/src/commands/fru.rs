//! The FRU inventory: Get FRU Inventory Area Info (§34.1), Read FRU Data (§34.2), and what is in it ("Platform Management
//! FRU Information Storage Definition", v1.0, revision 1.3; its sections are marked "FRU §").

use super::Command;
use super::sdr::is_too_long;
use super::text::{self, Encoding};
use crate::client::Client;
use crate::error::{Error, Step};
use crate::wire::{DecodeError, NetFn, Reader};

/// Bytes that are asked for at once at first.
const CHUNK: u8 = 64;
/// Any BMC can return so many.
const MIN_CHUNK: u8 = 8;
/// Fields that are read of one area; the rest is left out.
const MAX_FIELDS: usize = 64;
/// A type/length byte that ends the fields (FRU §13).
const END: u8 = 0xc1;

/// Get FRU Inventory Area Info (§34.1).
#[derive(Clone, Copy, Debug)]
pub struct GetFruAreaInfo {
    /// Which FRU; 0 is the machine itself.
    pub fru: u8,
}

/// The answer to [`GetFruAreaInfo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FruAreaInfo {
    /// How many bytes there are.
    pub size: u16,
    /// Offsets and counts are in words of two bytes.
    pub by_words: bool,
}

impl Command for GetFruAreaInfo {
    type Output = FruAreaInfo;
    const NAME: &'static str = "Get FRU Inventory Area Info";
    const NETFN: NetFn = NetFn::STORAGE;
    const COMMAND: u8 = 0x10;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.fru);
    }

    fn decode(&self, data: &[u8]) -> Result<FruAreaInfo, DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        Ok(FruAreaInfo { size: reader.u16()?, by_words: reader.u8()? & 1 != 0 })
    }
}

/// Read FRU Data (§34.2).
#[derive(Clone, Copy, Debug)]
pub struct ReadFruData {
    /// Which FRU.
    pub fru: u8,
    /// Where, in the unit of [`FruAreaInfo`].
    pub offset: u16,
    /// How many of that unit.
    pub count: u8,
}

impl Command for ReadFruData {
    type Output = Vec<u8>;
    const NAME: &'static str = "Read FRU Data";
    const NETFN: NetFn = NetFn::STORAGE;
    const COMMAND: u8 = 0x11;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.fru);
        out.extend(self.offset.to_le_bytes());
        out.push(self.count);
    }

    fn decode(&self, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut reader = Reader::new(Self::NAME, data);
        reader.skip(1)?;
        if reader.remaining() == 0 {
            return Err(reader.invalid("no data"));
        }
        Ok(reader.rest().to_vec())
    }
}

/// A FRU's inventory. An area that is absent, or whose checksum is wrong, is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FruInventory {
    /// The chassis.
    pub chassis: Option<Chassis>,
    /// The board.
    pub board: Option<Board>,
    /// The product as a whole.
    pub product: Option<Product>,
    /// Areas that cannot be read, and why.
    pub damaged: Vec<DecodeError>,
}

/// Chassis info area (FRU §10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chassis {
    /// Chassis type of SMBIOS.
    pub kind: u8,
    /// Part number.
    pub part_number: String,
    /// Serial number.
    pub serial: String,
    /// What the manufacturer added.
    pub custom: Vec<String>,
}

/// Board info area (FRU §11).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// When it was made, in minutes since 1996; `None`: not said.
    pub made: Option<u32>,
    /// Manufacturer.
    pub manufacturer: String,
    /// The board's name.
    pub product: String,
    /// Serial number.
    pub serial: String,
    /// Part number.
    pub part_number: String,
    /// What the manufacturer added.
    pub custom: Vec<String>,
}

/// Product info area (FRU §12).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    /// Manufacturer.
    pub manufacturer: String,
    /// Product name.
    pub name: String,
    /// Part or model number.
    pub part_number: String,
    /// Version.
    pub version: String,
    /// Serial number.
    pub serial: String,
    /// Asset tag.
    pub asset_tag: String,
    /// What the manufacturer added.
    pub custom: Vec<String>,
}

/// Where the areas are (FRU §8), in bytes; 0: there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Areas {
    chassis: u16,
    board: u16,
    product: u16,
}

impl Areas {
    fn decode(header: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("FRU common header", header);
        let bytes: [u8; 8] = reader.array()?;
        if sum(&bytes) != 0 {
            return Err(reader.invalid("wrong checksum"));
        }
        let [version, _internal, chassis, board, product, ..] = bytes;
        if version & 0x0f != 1 {
            return Err(reader.invalid("not of format version 1"));
        }
        let offset = |eights: u8| u16::from(eights) * 8;
        Ok(Self { chassis: offset(chassis), board: offset(board), product: offset(product) })
    }
}

impl FruInventory {
    /// The inventory in a FRU's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let areas = Areas::decode(bytes)?;
        let area = |what, offset: u16| match usize::from(offset) {
            0 => Ok(None),
            offset => bytes.get(offset..).ok_or(DecodeError::Truncated(what)).map(Some),
        };
        let mut this = Self::default();
        let chassis = area("FRU chassis area", areas.chassis);
        this.chassis = keep(chassis.and_then(|bytes| bytes.map(Chassis::decode).transpose()), &mut this.damaged);
        let board = area("FRU board area", areas.board);
        this.board = keep(board.and_then(|bytes| bytes.map(Board::decode).transpose()), &mut this.damaged);
        let product = area("FRU product area", areas.product);
        this.product = keep(product.and_then(|bytes| bytes.map(Product::decode).transpose()), &mut this.damaged);
        Ok(this)
    }
}

fn keep<T>(area: Result<Option<T>, DecodeError>, damaged: &mut Vec<DecodeError>) -> Option<T> {
    area.unwrap_or_else(|error| {
        damaged.push(error);
        None
    })
}

impl Chassis {
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = area("FRU chassis area", bytes)?;
        let kind = reader.u8()?;
        let mut fields = Fields { reader, language: 0, left: MAX_FIELDS };
        Ok(Self { kind, part_number: fields.text(), serial: fields.text(), custom: fields.collect() })
    }
}

impl Board {
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = area("FRU board area", bytes)?;
        let language = reader.u8()?;
        let [low, middle, high] = reader.array()?;
        let minutes = u32::from_le_bytes([low, middle, high, 0]);
        let mut fields = Fields { reader, language, left: MAX_FIELDS };
        let mut this = Self {
            made: (minutes != 0).then_some(minutes),
            manufacturer: fields.text(),
            product: fields.text(),
            serial: fields.text(),
            part_number: fields.text(),
            custom: Vec::new(),
        };
        // The id of the file that the area was made from.
        fields.next();
        this.custom = fields.collect();
        Ok(this)
    }
}

impl Product {
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = area("FRU product area", bytes)?;
        let language = reader.u8()?;
        let mut fields = Fields { reader, language, left: MAX_FIELDS };
        let mut this = Self {
            manufacturer: fields.text(),
            name: fields.text(),
            part_number: fields.text(),
            version: fields.text(),
            serial: fields.text(),
            asset_tag: fields.text(),
            custom: Vec::new(),
        };
        // The id of the file that the area was made from.
        fields.next();
        this.custom = fields.collect();
        Ok(this)
    }
}

/// An area from its start: version and length are read, its checksum is verified.
fn area<'a>(what: &'static str, bytes: &'a [u8]) -> Result<Reader<'a>, DecodeError> {
    let mut reader = Reader::new(what, bytes);
    let length = usize::from(reader.clone().array::<2>()?[1]) * 8;
    let bytes = reader.bytes(length)?;
    if length == 0 || sum(bytes) != 0 {
        return Err(reader.invalid("wrong checksum"));
    }
    // Without the checksum.
    let mut reader = Reader::new(what, &bytes[..length - 1]);
    reader.skip(2)?;
    Ok(reader)
}

/// The fields of an area (FRU §13), until their end, or the area's.
struct Fields<'a> {
    reader: Reader<'a>,
    language: u8,
    left: usize,
}

impl Fields<'_> {
    fn text(&mut self) -> String {
        self.next().unwrap_or_default()
    }
}

impl Iterator for Fields<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.left = self.left.checked_sub(1)?;
        let type_length = self.reader.u8().ok().filter(|byte| *byte != END);
        let field = type_length.and_then(|type_length| {
            let bytes = self.reader.bytes(usize::from(type_length & 0x3f)).ok()?;
            Some(text::decode(Encoding::of_fru(type_length, self.language), bytes))
        });
        if field.is_none() {
            self.left = 0;
        }
        field
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

impl Client {
    /// The inventory of a FRU that the BMC itself has; number 0 is the machine.
    pub async fn fru(&self, fru: u8) -> Result<FruInventory, Error> {
        let info = self.run(&GetFruAreaInfo { fru }).await?;
        let mut bytes = Vec::new();
        self.read_fru(fru, info, 8, &mut bytes).await?;
        let malformed = |source| Error::Malformed { step: Step::Command(ReadFruData::NAME), source };
        let areas = Areas::decode(&bytes).map_err(malformed)?;
        // Only what is understood is read: multi-records and internal areas may be long.
        let mut end = 8;
        for start in [areas.chassis, areas.board, areas.product] {
            if start != 0 && start < info.size {
                self.read_fru_if_it_goes_on(fru, info, start.saturating_add(2), &mut bytes).await?;
                let eights = bytes.get(usize::from(start) + 1).copied().unwrap_or_default();
                end = end.max(start.saturating_add(u16::from(eights) * 8));
            }
        }
        self.read_fru_if_it_goes_on(fru, info, end, &mut bytes).await?;
        FruInventory::decode(&bytes).map_err(malformed)
    }

    /// The same as [`Client::read_fru`] of what comes after the header: where it breaks off, the areas before it are good.
    async fn read_fru_if_it_goes_on(
        &self,
        fru: u8,
        info: FruAreaInfo,
        end: u16,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match self.read_fru(fru, info, end, bytes).await {
            Err(Error::Completion { .. } | Error::Malformed { .. }) => Ok(()),
            read => read,
        }
    }

    /// Reads on until there are `end` bytes, or as many as the FRU has.
    async fn read_fru(&self, fru: u8, info: FruAreaInfo, end: u16, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let end = end.min(info.size);
        let unit = if info.by_words { 2 } else { 1 };
        let mut chunk = CHUNK;
        while let Some(have) = u16::try_from(bytes.len()).ok().filter(|have| *have < end) {
            let count = u8::try_from((end - have).div_ceil(unit)).unwrap_or(u8::MAX).min(chunk);
            match self.run(&ReadFruData { fru, offset: have / unit, count }).await {
                Ok(part) => bytes.extend(part),
                Err(Error::Completion { code, .. }) if is_too_long(code) && chunk > MIN_CHUNK => chunk /= 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An inventory with a board and a product, as testers give it to `ipmi_sim`.
    fn example() -> Vec<u8> {
        let mut bytes = vec![0x01, 0, 0, 1, 7, 0, 0, 0xf7];
        let mut board = vec![0x01, 0x06, 0x19, 0x40, 0x42, 0x0f];
        board.extend(b"\xc4ACME\xc6SRV-X1\xc5SN001\xc3PN1\xc0\xc1");
        board.resize(47, 0);
        board.push(sum(&board).wrapping_neg());
        let mut product = vec![0x01, 0x06, 0x19];
        product.extend(b"\xc4ACME\xc6SRV-X1\xc3PN1\xc2v1\xc5SN001\x00\xc0\x83\x29\xdc\xa6\xc1");
        product.resize(47, 0);
        product.push(sum(&product).wrapping_neg());
        bytes.extend(board);
        bytes.extend(product);
        bytes
    }

    #[test]
    fn an_inventory() {
        let fru = FruInventory::decode(&example()).unwrap();
        let (board, product) = (fru.board.unwrap(), fru.product.unwrap());
        assert_eq!((fru.chassis, fru.damaged), (None, Vec::new()));
        assert_eq!((board.manufacturer.as_str(), board.serial.as_str()), ("ACME", "SN001"));
        assert_eq!((board.part_number.as_str(), board.made), ("PN1", Some(1_000_000)));
        assert_eq!((product.name.as_str(), product.version.as_str()), ("SRV-X1", "v1"));
        assert_eq!((product.serial.as_str(), product.asset_tag.as_str()), ("SN001", ""));
        assert_eq!(product.custom, ["IPMI"]);
    }

    #[test]
    fn a_damaged_area_does_not_hide_the_others() {
        let mut bytes = example();
        bytes[20] ^= 1;
        let fru = FruInventory::decode(&bytes).unwrap();
        assert_eq!(fru.board, None);
        assert!(fru.product.is_some());
        assert_eq!(fru.damaged, [DecodeError::Invalid { what: "FRU board area", why: "wrong checksum" }]);
        bytes[7] ^= 1;
        assert!(FruInventory::decode(&bytes).is_err());
    }
}
