//! Texts inside of texts: what a block scalar (`key: |`) says in its own line 3 stands in a line of the file.

use crate::finding::Place;
use crate::formats::yaml::Location;

/// Where the lines of a literal block are in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Line of the file that the first line of the text is in, from 1.
    first: u64,
    /// Blanks that stand before every line of the text.
    indent: u64,
}

/// Lines that are compared to be sure; more of them could not tell more.
const COMPARED: usize = 5;

impl Block {
    /// The block that a scalar at a place stands for; none if it is written in another style.
    pub(super) fn find(lines: &[&str], at: Location, text: &str) -> Option<Self> {
        let at = usize::try_from(at.line).ok()?;
        // The place of a block scalar is its `|`, or its first line that is not empty.
        let empty = text.lines().take(COMPARED).take_while(|line| line.trim().is_empty()).count();
        (at.saturating_sub(1 + empty)..=at).find_map(|first| Self::beginning(lines, first, text))
    }

    /// The block that begins with a line, counted from 0, if the text is there.
    fn beginning(lines: &[&str], first: usize, text: &str) -> Option<Self> {
        let wanted: Vec<&str> = text.lines().take(COMPARED).collect();
        let (number, line) = wanted.iter().enumerate().find(|(_, line)| !line.trim().is_empty())?;
        let indent = lines.get(first + number)?.strip_suffix(line)?;
        let stands = |(number, line): (usize, &&str)| {
            lines
                .get(first + number)
                .is_some_and(|found| found.strip_prefix(indent).unwrap_or(found.trim_start()) == *line)
        };
        let is_block = indent.chars().all(|c| c == ' ') && wanted.iter().enumerate().all(stands);
        is_block.then_some(Self { first: first as u64 + 1, indent: indent.len() as u64 })
    }

    /// A place of the text in the file.
    pub(super) fn place(self, file: &str, at: Location) -> Place {
        Place {
            file: file.to_owned(),
            line: self.first + at.line.saturating_sub(1),
            column: self.indent + at.column.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "data:\n  a: |\n    x: 1\n\n    y:\n      z: 2\n  b: \"x: 1\"\n  c: |2\n\n    x: 3\n";

    fn find(line: u64, text: &str) -> Option<Block> {
        Block::find(&FILE.lines().collect::<Vec<_>>(), Location { line, column: 6 }, text)
    }

    #[test]
    fn a_block_is_found_in_its_file() {
        let text = "x: 1\n\ny:\n  z: 2\n";
        for line in [2, 3] {
            let block = find(line, text).unwrap();
            let place = block.place("f", Location { line: 4, column: 6 });
            assert_eq!((place.line, place.column), (6, 10), "{line}");
        }
        assert_eq!(find(7, "x: 1"), None, "a quoted text has no lines of its own");
        assert_eq!(find(2, "other: 1\n"), None);
        let late = find(10, "\nx: 3\n").unwrap().place("f", Location { line: 2, column: 4 });
        assert_eq!((late.line, late.column), (10, 8));
    }
}
