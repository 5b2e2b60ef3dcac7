//! The figures of Design.

mod compile;
mod operator;
pub mod site;

use anyhow::Result;

use super::figure::{Figure, rows};

/// Measures all of them.
pub async fn measure() -> Result<Vec<Figure>> {
    let mut figures = compile::measure(&crate::workspace_root()?)?;
    eprint!("{}", rows(&figures));
    figures.push(operator::applied().await?);
    Ok(figures)
}
