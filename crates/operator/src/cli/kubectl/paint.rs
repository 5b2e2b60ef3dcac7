//! Colours. They are left out where stdout is no terminal, or `NO_COLOR` is set.

use anstyle::{AnsiColor, Style};
use slipway_plan::why::State;

/// What one looks for.
pub(super) const BOLD: Style = Style::new().bold();
/// What one need not read.
pub(super) const DIM: Style = Style::new().dimmed();
/// As it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Not yet as it should be.
pub(super) const WAITS: Style = AnsiColor::Yellow.on_default();
/// Somebody should look.
pub(super) const BAD: Style = AnsiColor::Red.on_default();

/// The mark of a state and its colour. The mark alone says it as well.
pub(super) fn mark(state: State) -> (char, Style) {
    match state {
        State::Ready => ('✓', GOOD),
        State::Working => ('…', WAITS),
        State::Unknown => ('?', WAITS),
        State::Stalled => ('✗', BAD),
    }
}
