//! What was read of one signal as a line, with the threshold across it.

use std::fmt::Write as _;

use belay_core::reading::Health;
use belay_plan::visible::in_svg;
use jiff::Timestamp;

use crate::{
    model::{ReadingPoint, SignalBand, SignalReadings},
    shown::Shown,
    words,
};

/// With the space below it.
pub(crate) const HEIGHT: f64 = 104.0;
const PLOT: f64 = 92.0;
/// The line stays so far away from the edges.
const INSET: f64 = 10.0;
/// Up to so many points are drawn as dots, too.
const DOTS_MAX: usize = 80;

/// Where it stands in the picture.
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) right: f64,
    pub(crate) top: f64,
}

/// `x`: where a time is.
pub(crate) fn draw(
    svg: &mut String,
    readings: &SignalReadings,
    bands: &[SignalBand],
    frame: &Frame,
    x: &dyn Fn(Timestamp) -> f64,
) {
    let (least, greatest) = (readings.least.min(readings.threshold), readings.greatest.max(readings.threshold));
    // Halves first: the difference of two numbers may be greater than any number.
    let range = greatest / 2.0 - least / 2.0;
    let y = |value: f64| {
        let part = if range > 0.0 { (value / 2.0 - least / 2.0) / range } else { 0.5 };
        frame.top + PLOT - INSET - part * (PLOT - 2.0 * INSET)
    };
    let (left, right, top) = (frame.left, frame.right, frame.top);
    let _ = write!(
        svg,
        "<rect class=\"plot\" x=\"{left}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{PLOT}\"/>",
        right - left
    );
    let at = y(readings.threshold);
    let _ = write!(svg, "<line class=\"limit\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
    for gap in &readings.gaps {
        let (from, to) = (x(gap.from), x(gap.to));
        let _ = write!(
            svg,
            "<rect class=\"gap\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{PLOT}\"><title>not on record: Belay was restarted</title></rect>",
            to - from
        );
    }
    for stretch in stretches(readings, bands) {
        let points: Vec<String> =
            stretch.iter().map(|point| format!("{:.1},{:.1}", x(point.at), y(point.value))).collect();
        let _ = write!(svg, "<polyline class=\"readings\" points=\"{}\"/>", points.join(" "));
    }
    if readings.points.len() <= DOTS_MAX {
        for point in &readings.points {
            let title = format!(
                "{} at {}",
                words::with_unit(&words::value(point.value), unit(readings)),
                point.at.strftime("%H:%M:%S UTC")
            );
            let _ = write!(
                svg,
                "<circle class=\"reading\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"2\"><title>{}</title></circle>",
                x(point.at),
                y(point.value),
                in_svg(&title)
            );
        }
    }
    labels(svg, readings, frame, at);
}

/// What is healthy at the threshold, and how far the values reach, at the right edge.
fn labels(svg: &mut String, readings: &SignalReadings, frame: &Frame, limit: f64) {
    let mut label = |class: &str, x: f64, y: f64, anchor: &str, text: &str| {
        let _ = write!(
            svg,
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            in_svg(text)
        );
    };
    // Below the line where there is no room above it.
    let above = limit - 4.0;
    let y = if above < frame.top + 12.0 { limit + 12.0 } else { above };
    let besides = readings.besides.as_ref().map(|besides| format!(", and {besides}")).unwrap_or_default();
    label(
        "limit",
        frame.left + 5.0,
        y,
        "start",
        &format!("healthy: {}{besides}", words::limit(readings.healthy.as_str(), unit(readings))),
    );
    let greatest = words::with_unit(&words::rounded(readings.greatest), unit(readings));
    let range = format!("{} to {greatest}", words::rounded(readings.least));
    label("range", frame.right, frame.top - 6.0, "end", &range);
}

fn unit(readings: &SignalReadings) -> Option<&str> {
    readings.unit.as_ref().map(Shown::as_str)
}

/// The line breaks where nothing was known.
fn stretches<'p>(readings: &'p SignalReadings, bands: &[SignalBand]) -> Vec<&'p [ReadingPoint]> {
    let (points, gaps) = (&readings.points, &readings.gaps);
    let unknown: Vec<&SignalBand> = bands.iter().filter(|band| band.health == Health::Unknown).collect();
    let apart = |one: &ReadingPoint, next: &ReadingPoint| {
        let lost = gaps.iter().any(|gap| one.at <= gap.from && gap.to <= next.at);
        !lost && !unknown.iter().any(|band| band.from < next.at && one.at < band.to && band.from >= one.at)
    };
    points.chunk_by(apart).collect()
}
