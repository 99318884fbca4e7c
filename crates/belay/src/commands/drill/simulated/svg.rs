//! The share of runs that had recovered by a time: an empirical distribution function, a curve for each scenario.

use std::{fmt::Write, time::Duration};

use belay_plan::{model::Plan, visible::in_svg};

use super::{Act, bars, many};
use crate::text;

pub(super) const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 420.0;
/// Titles begin here, and the first picture.
pub(super) const LEFT: f64 = 56.0;
pub(super) const RIGHT: f64 = 24.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 48.0;
/// A line of the legend.
const LINE: f64 = 18.0;

/// Told apart also by those who do not see all colours: Okabe and Ito's palette.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

const STYLE: &str = "\
text{font:12px ui-sans-serif,Helvetica,Arial,sans-serif;fill:#334155}\
.title{font-size:16px;font-weight:600;fill:#0f172a}\
.end{text-anchor:end}.middle{text-anchor:middle}\
.grid{stroke:#e2e8f0}.axis{stroke:#64748b}\
.curve{fill:none;stroke-width:2}\
.slow{fill:#d55e00}.quick{fill:#0072b2}.till95{fill-opacity:0.35}\
.rto{stroke:#dc2626;stroke-dasharray:6 4;stroke-width:1.5}.late{fill:#dc2626}";

/// Between the marks of a time axis, so that there are at most nine of them.
pub(super) fn mark(longest_s: f64) -> f64 {
    STEPS.into_iter().find(|step| longest_s / step <= 9.0).unwrap_or(longest_s / 8.0)
}

/// Steps between the marks of the time axis, in seconds.
const STEPS: [f64; 15] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0];

/// Where a time and a share lie in the picture.
struct Frame {
    longest_s: f64,
    bottom: f64,
    top: f64,
}

impl Frame {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.longest_s * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, share: f64) -> f64 {
        self.bottom - share * (self.bottom - self.top)
    }
}

pub(super) fn ecdf(plan: &Plan, acts: &[Act]) -> String {
    let rto = plan.objectives.rto;
    let times = acts.iter().flat_map(|act| &act.reports).filter_map(|report| report.times.total);
    let longest = times.chain(rto).max().unwrap_or(Duration::from_secs(60));
    let top = TOP + LINE * acts.len() as f64;
    let frame = Frame { longest_s: longest.as_secs_f64().max(1.0) * 1.05, top, bottom: top + HEIGHT - TOP - BOTTOM };
    let height = frame.bottom + BOTTOM + bars::height(acts);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH:.0} {height:.0}\">\n<style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#f8fafc\"/>\n\
         <text class=\"title\" x=\"{LEFT}\" y=\"30\">{}: runs that had recovered, by time from the breach</text>\n",
        in_svg(&plan.migration)
    );
    axes(&mut svg, &frame);
    if let Some(rto) = rto {
        let x = frame.x(rto.as_secs_f64());
        let (anchor, beside) = if x > WIDTH - 120.0 { ("late end", x - 6.0) } else { ("late", x + 6.0) };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(svg, "<path class=\"rto\" d=\"M{x:.1} {:.1}V{:.1}\"/>", frame.top, frame.bottom);
        let _ = writeln!(
            svg,
            "<text class=\"{anchor}\" x=\"{beside:.1}\" y=\"{:.1}\">rto {}</text>",
            frame.top - 6.0,
            text::duration(rto)
        );
    }
    for (index, act) in acts.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let y = TOP - 12.0 + LINE * index as f64;
        let _ = writeln!(svg, "<path class=\"curve\" stroke=\"{colour}\" d=\"M{LEFT} {y:.1}h18\"/>");
        let _ =
            writeln!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", LEFT + 26.0, y + 4.0, in_svg(&legend(plan, act)));
        let _ = writeln!(svg, "<path class=\"curve\" stroke=\"{colour}\" d=\"{}\"/>", curve(act, &frame));
    }
    bars::draw(&mut svg, acts, frame.bottom + BOTTOM);
    svg.push_str("</svg>\n");
    svg
}

fn legend(plan: &Plan, act: &Act) -> String {
    let runs = act.reports.len();
    let within = act.reports.iter().filter(|report| report.verdict.within_objectives).count();
    format!("{} ({within} of {runs} {})", act.summary.trim_end_matches('.'), many::within(plan))
}

/// A step up at each run; where not all recover, it ends below the top.
fn curve(act: &Act, frame: &Frame) -> String {
    let mut times: Vec<f64> =
        act.reports.iter().filter_map(|report| report.times.total).map(|time| time.as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let runs = act.reports.len().max(1) as f64;
    let mut path = format!("M{:.1} {:.1}", frame.x(0.0), frame.y(0.0));
    for (index, time) in times.iter().enumerate() {
        // Of several at the same place the last is enough.
        if times.get(index + 1).is_none_or(|next| frame.x(*next) - frame.x(*time) >= 0.05) {
            let _ = write!(path, "H{:.1}V{:.1}", frame.x(*time), frame.y((index + 1) as f64 / runs));
        }
    }
    let _ = write!(path, "H{:.1}", WIDTH - RIGHT);
    path
}

fn axes(svg: &mut String, frame: &Frame) {
    for quarter in 0..=4 {
        let share = f64::from(quarter) / 4.0;
        let y = frame.y(share);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", WIDTH - RIGHT);
        let _ =
            writeln!(svg, "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}%</text>", LEFT - 8.0, y + 4.0, quarter * 25);
    }
    let step = mark(frame.longest_s);
    let mut mark = 0.0;
    while mark <= frame.longest_s {
        let x = frame.x(mark);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {:.1}V{:.1}\"/>", frame.top, frame.bottom);
        let label = text::duration(Duration::from_secs_f64(mark));
        let _ = writeln!(svg, "<text class=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>", frame.bottom + 20.0);
        mark += step;
    }
    let (left, right) = (LEFT, WIDTH - RIGHT);
    let _ = writeln!(svg, "<path class=\"axis\" d=\"M{left} {:.1}H{right:.1}\"/>", frame.bottom);
}
