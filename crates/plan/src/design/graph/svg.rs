//! Scalable Vector Graphics, as far as a picture of a site needs them. All that users named is escaped and fits its place.

use std::fmt::Write as _;

/// Colours and type of the parts; the file needs no other.
const STYLE: &str = "\
text{font-family:system-ui,'DejaVu Sans',sans-serif;font-size:12px;fill:#1f2933}\
.title{font-size:20px;font-weight:bold}.strong{font-weight:bold}.small{font-size:10px;fill:#52606d}\
.page{fill:#fff}.box{fill:#f5f7fa;stroke:#9aa5b1}.node{fill:#fff;stroke:#7b8794}.dashed{stroke-dasharray:4 3}\
.bus{stroke-width:3}.tap{stroke-width:2}";

/// Pixels that a character takes, for its size of type; most are narrower.
const ADVANCE: f64 = 0.62;

/// A picture that is being drawn.
#[derive(Debug, Default)]
pub(super) struct Svg {
    body: String,
}

/// How a text looks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    Title,
    Plain,
    Strong,
    Small,
}

impl Type {
    fn class(self) -> &'static str {
        match self {
            Self::Title => " class=\"title\"",
            Self::Plain => "",
            Self::Strong => " class=\"strong\"",
            Self::Small => " class=\"small\"",
        }
    }

    fn size(self) -> f64 {
        match self {
            Self::Title => 20.0,
            Self::Plain => 12.0,
            Self::Strong => 12.5,
            Self::Small => 10.0,
        }
    }
}

impl Svg {
    /// What follows up to [`Svg::end`] shows a text when it is pointed at.
    pub(super) fn begin(&mut self, title: &str) {
        let _ = write!(self.body, "<g><title>{}</title>", escaped(title));
    }

    pub(super) fn end(&mut self) {
        self.body.push_str("</g>\n");
    }

    pub(super) fn rect(&mut self, (x, y): (u32, u32), (width, height): (u32, u32), class: &str) {
        let _ = write!(
            self.body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\" class=\"{class}\"/>"
        );
    }

    /// A small square of a colour.
    pub(super) fn square(&mut self, (x, y): (u32, u32), size: u32, colour: &str) {
        let _ = write!(
            self.body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{size}\" height=\"{size}\" rx=\"2\" fill=\"{colour}\"/>"
        );
    }

    pub(super) fn line(&mut self, (x1, y1): (u32, u32), (x2, y2): (u32, u32), class: &str, colour: &str) {
        let _ = write!(
            self.body,
            "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" class=\"{class}\" stroke=\"{colour}\"/>"
        );
    }

    pub(super) fn dot(&mut self, (x, y): (u32, u32), colour: &str) {
        let _ = write!(self.body, "<circle cx=\"{x}\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/>");
    }

    /// A text with its base line at a place, cut to a width.
    pub(super) fn text(&mut self, (x, y): (u32, u32), width: u32, type_: Type, text: &str) {
        let text = cut(text, width, type_);
        let _ = write!(self.body, "<text x=\"{x}\" y=\"{y}\"{}>{}</text>", type_.class(), escaped(&text));
    }

    /// A small text that ends at a place, cut to a width.
    pub(super) fn label(&mut self, (x, y): (u32, u32), width: u32, text: &str) {
        let (class, text) = (Type::Small.class(), escaped(&cut(text, width, Type::Small)));
        let _ = write!(self.body, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\"{class}>{text}</text>");
    }

    /// The whole file.
    pub(super) fn finish(self, (width, height): (u32, u32), title: &str) -> String {
        let title = escaped(title);
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" \
             height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<rect width=\"{width}\" height=\"{height}\" class=\"page\"/>\n{}</svg>\n",
            self.body
        )
    }
}

/// As much of a text as fits, with an ellipsis if that is not all.
fn cut(text: &str, width: u32, type_: Type) -> String {
    let advance = |c: char| {
        // East Asian and other wide characters take two places.
        let places = if u32::from(c) >= 0x1100 { 2.0 } else { 1.0 };
        places * ADVANCE * type_.size()
    };
    let width = f64::from(width);
    if text.chars().map(advance).sum::<f64>() <= width {
        return text.to_owned();
    }
    let mut room = width - advance('…');
    let fits = |c: &char| {
        room -= advance(*c);
        room >= 0.0
    };
    text.chars().take_while(fits).collect::<String>() + "…"
}

/// A colour by hue in degrees, saturation and lightness in hundredths, as `#rrggbb` (CSS Color 4, 7.1): SVG 1.1 knows no
/// `hsl()`, and neither do many viewers.
pub(super) fn colour(hue: u32, saturation: u32, lightness: u32) -> String {
    let (saturation, lightness) = (f64::from(saturation) / 100.0, f64::from(lightness) / 100.0);
    let reach = saturation * lightness.min(1.0 - lightness);
    let channel = |offset: f64| {
        let at = (offset + f64::from(hue) / 30.0) % 12.0;
        let value = lightness - reach * (at - 3.0).min(9.0 - at).clamp(-1.0, 1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 255
        let value = (value * 255.0).round() as u8;
        value
    };
    format!("#{:02x}{:02x}{:02x}", channel(0.0), channel(8.0), channel(4.0))
}

/// Text as XML takes it (XML 1.0, 2.2). What would turn the direction of the text around it is shown as unknown too.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\n' => out.push('\n'),
            '\u{fffe}' | '\u{ffff}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_text() {
        assert_eq!(
            escaped("</text><script>\u{0}\u{202e}&\"'"),
            "&lt;/text&gt;&lt;script&gt;\u{fffd}\u{fffd}&amp;&quot;&apos;"
        );
    }

    #[test]
    fn colours_are_written_as_every_viewer_reads_them() {
        for (hue, saturation, lightness, wanted) in
            [(0, 100, 50, "#ff0000"), (120, 100, 25, "#008000"), (210, 60, 40, "#2966a3"), (0, 0, 100, "#ffffff")]
        {
            assert_eq!(colour(hue, saturation, lightness), wanted);
        }
    }

    #[test]
    fn texts_fit_their_place() {
        assert_eq!(cut("n20", 100, Type::Plain), "n20");
        let long = cut(&"n".repeat(100), 100, Type::Plain);
        assert!(long.ends_with('…') && long.chars().count() < 15, "{long}");
        assert!(cut(&"機".repeat(100), 100, Type::Plain).chars().count() < 8);
    }
}
