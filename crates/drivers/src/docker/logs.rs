//! What a container writes, line by line, as it comes. Nothing is kept: who reads slowly holds the engine back.

use std::collections::VecDeque;

use bytes::{Buf, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use jiff::Timestamp;
use tokio_util::codec::{Decoder, FramedRead};
use tokio_util::io::StreamReader;

use super::client::{Client, segment};
use super::errors::{self, CallError};
use super::{LogLine, LogOptions, wire};
use crate::DriverError;

/// A line that is longer is told in parts.
const MAX_LINE: usize = 16 << 10;
/// So much is taken apart at a time.
const CHUNK: usize = 4 << 10;
/// Bytes before each part of a log that is no terminal's: one of stream, three of zero, four of length (big endian).
const HEADER: usize = 8;

pub(super) async fn logs(
    client: &Client,
    container: &str,
    options: &LogOptions,
) -> Result<BoxStream<'static, Result<LogLine, DriverError>>, DriverError> {
    const WHAT: &str = "read the container's log";
    let seen: Result<wire::Container, CallError> =
        client.get(format!("/containers/{}/json", segment(container))).read().await;
    let tty = seen.map_err(|error| error.of(WHAT))?.config.tty;
    let mut call = client.get(format!("/containers/{}/logs", segment(container)));
    call = call.query("stdout", "1").query("stderr", "1").query("timestamps", "1");
    if options.follow {
        call = call.query("follow", "1");
    }
    if let Some(tail) = options.tail {
        call = call.query("tail", &tail.to_string());
    }
    if let Some(since) = options.since {
        call = call.query("since", &format!("{}.{:09}", since.as_second(), since.subsec_nanosecond()));
    }
    let answer = call.stream().await.map_err(|error| error.of(WHAT))?;
    let bytes = answer.into_body().into_data_stream().map_err(std::io::Error::other);
    let lines = FramedRead::new(StreamReader::new(bytes), Lines::new(tty));
    Ok(lines.map_err(|error| CallError::Failed(errors::transport(&error, "the engine")).of(WHAT)).boxed())
}

/// Takes a log apart.
struct Lines {
    /// A terminal's: text and nothing else.
    tty: bool,
    /// The part that is being read: its stream, and what is left of it.
    part: Option<(usize, usize)>,
    /// Lines that have no end yet: of stdout, of stderr.
    begun: [Vec<u8>; 2],
    ready: VecDeque<LogLine>,
}

impl Lines {
    fn new(tty: bool) -> Self {
        Self { tty, part: None, begun: [Vec::new(), Vec::new()], ready: VecDeque::new() }
    }

    fn take(&mut self, stream: usize, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let begun = &mut self.begun[stream];
            begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") || begun.len() >= MAX_LINE {
                let line = std::mem::take(begun);
                self.ready.push_back(line_of(stream, &line));
            }
        }
    }
}

impl Decoder for Lines {
    type Item = LogLine;
    type Error = std::io::Error;

    fn decode(&mut self, source: &mut BytesMut) -> Result<Option<LogLine>, std::io::Error> {
        while self.ready.is_empty() && !source.is_empty() {
            let (stream, left) = match self.part {
                _ if self.tty => (0, usize::MAX),
                Some(part) => part,
                None if source.len() < HEADER => break,
                None => {
                    let stream = source[0];
                    // 0 is stdin, which the engine writes to stdout.
                    if stream > 2 || source[1..4] != [0, 0, 0] {
                        return Err(std::io::Error::other("the log's parts cannot be told apart"));
                    }
                    source.advance(4);
                    let length = source.get_u32();
                    (usize::from(stream == 2), length as usize)
                }
            };
            let bytes = source.split_to(source.len().min(left).min(CHUNK));
            let left = left - bytes.len();
            self.part = (left > 0 && !self.tty).then_some((stream, left));
            self.take(stream, &bytes);
        }
        Ok(self.ready.pop_front())
    }

    fn decode_eof(&mut self, source: &mut BytesMut) -> Result<Option<LogLine>, std::io::Error> {
        if let Some(line) = self.decode(source)? {
            return Ok(Some(line));
        }
        // What is left of a header says nothing.
        source.clear();
        for stream in 0..2 {
            let line = std::mem::take(&mut self.begun[stream]);
            if !line.is_empty() {
                return Ok(Some(line_of(stream, &line)));
            }
        }
        Ok(None)
    }
}

/// A line begins with its time and a space; the further parts of a long one do not.
fn line_of(stream: usize, line: &[u8]) -> LogLine {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    let timed = text.split_once(' ').and_then(|(at, rest)| Some((at.parse::<Timestamp>().ok()?, rest)));
    let (at, text) = match timed {
        Some((at, rest)) => (Some(at), rest),
        None => (text.parse().ok(), if text.parse::<Timestamp>().is_ok() { "" } else { text }),
    };
    LogLine { stderr: stream == 1, at, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(stream: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0][..], &length, text.as_bytes()].concat()
    }

    /// All lines of a log that comes in pieces of this size.
    fn read(tty: bool, log: &[u8], size: usize) -> Result<Vec<LogLine>, std::io::Error> {
        let (mut lines, mut decoder, mut source) = (Vec::new(), Lines::new(tty), BytesMut::new());
        for piece in log.chunks(size.max(1)) {
            source.extend_from_slice(piece);
            while let Some(line) = decoder.decode(&mut source)? {
                lines.push(line);
            }
        }
        while let Some(line) = decoder.decode_eof(&mut source)? {
            lines.push(line);
        }
        Ok(lines)
    }

    fn texts(lines: &[LogLine]) -> Vec<(bool, &str)> {
        lines.iter().map(|line| (line.stderr, line.text.as_str())).collect()
    }

    #[test]
    fn streams_are_told_apart_and_lines_put_together() {
        let log = [
            part(1, "2026-11-28T10:00:00.5Z one\n2026-11-28T10:00:01Z t"),
            part(2, "2026-11-28T10:00:02Z bad\n"),
            part(1, "wo\n2026-11-28T10:00:03Z \nno time"),
        ]
        .concat();
        for size in [1, 3, 7, 1000] {
            let lines = read(false, &log, size).unwrap();
            assert_eq!(texts(&lines), [(false, "one"), (true, "bad"), (false, "two"), (false, ""), (false, "no time")]);
            assert_eq!(lines[0].at, Some("2026-11-28T10:00:00.5Z".parse().unwrap()));
            assert_eq!(lines[4].at, None);
        }
    }

    #[test]
    fn a_terminals_log_is_text_alone() {
        let lines = read(true, b"2026-11-28T10:00:00Z a b\r\n2026-11-28T10:00:00Z c", 5).unwrap();
        assert_eq!(texts(&lines), [(false, "a b"), (false, "c")]);
    }

    #[test]
    fn a_line_without_end_is_told_in_parts_and_a_length_that_lies_takes_no_memory() {
        let log = [&[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff][..], &vec![b'x'; 40_000]].concat();
        let lines = read(false, &log, 1000).unwrap();
        assert!(lines.iter().all(|line| line.text.len() < MAX_LINE + CHUNK), "bounded");
        assert_eq!(lines.iter().map(|line| line.text.len()).sum::<usize>(), 40_000);
    }

    #[test]
    fn what_is_no_log_is_an_error() {
        assert!(read(false, b"<html>an error page</html>", 9).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_run_for_ever(bytes in proptest::collection::vec(any::<u8>(), 0..2000), tty: bool, size in 1usize..50) {
            let _ = read(tty, &bytes, size);
        }
    }
}
