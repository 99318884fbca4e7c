//! The strip of signals as SVG: what was read, where it is a number, and below it the health. Bands differ in height and outline, not in colour alone, and carry the word.

use std::fmt::Write as _;

use belay_core::reading::Health;
use belay_plan::visible::in_svg;
use jiff::Timestamp;

use crate::{
    chart::{self, Frame},
    model::{SignalBand, SignalRow, SignalStrip},
    words,
};

const WIDTH: f64 = 960.0;
const SIDE: f64 = 12.0;
const ROW: f64 = 44.0;
const BAND: f64 = 18.0;
/// A word needs so much.
const WORD: f64 = 70.0;
const MARK: f64 = 18.0;
/// Marks that are close stand below each other.
const LEVELS: usize = 4;
const TICKS: i32 = 6;

pub(crate) fn svg(strip: &SignalStrip) -> String {
    let picture = Picture { strip };
    let top = MARK * LEVELS as f64 + 6.0;
    let bottom = top + strip.rows.iter().map(height_of).sum::<f64>();
    let height = bottom + 26.0;
    let mut svg = format!(
        "<svg class=\"strip\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"signals around the run\">"
    );
    // Below the rest, so that no line hides a word.
    picture.marks(&mut svg, bottom);
    let mut y = top;
    for row in &strip.rows {
        picture.row(&mut svg, row, y);
        y += height_of(row);
    }
    picture.ticks(&mut svg, bottom);
    svg.push_str("</svg>");
    svg
}

fn height_of(row: &SignalRow) -> f64 {
    if row.readings.is_some() { ROW + chart::HEIGHT } else { ROW }
}

struct Picture<'s> {
    strip: &'s SignalStrip,
}

impl Picture<'_> {
    fn x(&self, at: Timestamp) -> f64 {
        let all = self.strip.to.duration_since(self.strip.from).as_secs_f64().max(0.001);
        let part = at.duration_since(self.strip.from).as_secs_f64() / all;
        SIDE + part.clamp(0.0, 1.0) * (WIDTH - 2.0 * SIDE)
    }

    fn row(&self, svg: &mut String, row: &SignalRow, y: f64) {
        let (name, used_by) = (in_svg(row.signal.as_str()), in_svg(row.used_by.as_str()));
        let text = y + 14.0;
        let _ = write!(
            svg,
            "<text x=\"{SIDE:.0}\" y=\"{text:.0}\">{name} <tspan class=\"quiet\">({used_by})</tspan></text>"
        );
        let mut below = y + 20.0;
        if let Some(readings) = &row.readings {
            let frame = Frame { left: SIDE, right: WIDTH - SIDE, top: below };
            chart::draw(svg, readings, &row.bands.items, &frame, &|at| self.x(at));
            below += chart::HEIGHT;
        }
        for band in &row.bands.items {
            self.band(svg, band, below);
        }
    }

    fn band(&self, svg: &mut String, band: &SignalBand, y: f64) {
        let (from, to) = (self.x(band.from), self.x(band.to));
        let width = (to - from).max(1.0);
        let word = words::name(&band.health);
        // Unhealthy is the full height, healthy a third of it, unknown an outline.
        let (class, y_of, height) = match band.health {
            Health::Unhealthy => ("unhealthy", y, BAND),
            Health::Healthy => ("healthy", y + BAND - 6.0, 6.0),
            Health::Unknown => ("unknown", y + 4.0, BAND - 4.0),
        };
        let title = format!("{word}: {}", band.evidence);
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{y_of:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"><title>{}</title></rect>",
            in_svg(&title)
        );
        if width >= WORD {
            let (x, y) = (from + 5.0, if band.health == Health::Healthy { y + 10.0 } else { y + 14.0 });
            let _ = write!(svg, "<text class=\"word on-{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{word}</text>");
        }
    }

    fn ticks(&self, svg: &mut String, bottom: f64) {
        let all = self.strip.to.duration_since(self.strip.from);
        let y = bottom + 18.0;
        let _ =
            write!(svg, "<line class=\"axis\" x1=\"{SIDE}\" x2=\"{}\" y1=\"{bottom}\" y2=\"{bottom}\"/>", WIDTH - SIDE);
        for tick in 0..=TICKS {
            let at = self.strip.from + (all / TICKS) * tick;
            let anchor = match tick {
                0 => "start",
                TICKS => "end",
                _ => "middle",
            };
            let zone = if tick == TICKS { " UTC" } else { "" };
            let (x, time) = (self.x(at), at.strftime("%H:%M:%S"));
            let _ = write!(
                svg,
                "<text class=\"tick\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.0}\">{time}{zone}</text>"
            );
        }
    }

    /// Numbered as in the list below the picture.
    fn marks(&self, svg: &mut String, bottom: f64) {
        let mut last = [f64::NEG_INFINITY; LEVELS];
        for (index, mark) in self.strip.marks.items.iter().enumerate() {
            let x = self.x(mark.at);
            let level = last.iter().position(|last| x - last >= MARK).unwrap_or(index % LEVELS);
            last[level] = x;
            let y = MARK * level as f64 + MARK / 2.0 + 1.0;
            let _ = write!(
                svg,
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y:.1}\" y2=\"{bottom:.1}\"/>\
                 <circle class=\"mark\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"8\"/>\
                 <text class=\"number\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{}<title>{}</title></text>",
                y + 3.5,
                index + 1,
                in_svg(mark.text.as_str())
            );
        }
    }
}
