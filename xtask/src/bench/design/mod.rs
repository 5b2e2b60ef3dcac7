//! The figures of Design.

mod operator;

use anyhow::Result;

use super::figure::{Figure, rows};

/// Measures all of them.
pub async fn measure() -> Result<Vec<Figure>> {
    let figures = vec![operator::applied().await?];
    eprint!("{}", rows(&figures));
    Ok(figures)
}
