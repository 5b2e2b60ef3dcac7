//! An endless answer of one JSON value a line.

use futures::{Stream, TryStreamExt, future};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use super::errors::{self, CallError};
use super::reasons;

/// A line longer than this ends the stream.
const MAX_LINE: usize = 1 << 20;

/// The values that make sense; what is not understood is passed over.
pub(super) fn lines<T: DeserializeOwned + Send>(body: Incoming) -> impl Stream<Item = Result<T, CallError>> + Send {
    let bytes = body.into_data_stream().map_err(std::io::Error::other);
    FramedRead::new(StreamReader::new(bytes), LinesCodec::new_with_max_length(MAX_LINE))
        .map_err(|error| match error {
            LinesCodecError::MaxLineLengthExceeded => {
                CallError::Failed(reasons::ENGINE_ERROR.error(format!("a line of more than {} KiB", MAX_LINE >> 10)))
            }
            LinesCodecError::Io(error) => CallError::Failed(errors::transport(&error, "the engine")),
        })
        .try_filter_map(|line| future::ready(Ok(serde_json::from_str(&line).ok())))
}
