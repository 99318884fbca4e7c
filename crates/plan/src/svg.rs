//! A plan's steps as an SVG picture: layers from left to right, an arrow along each need.
//!
//! Arrows that cross several layers get a slot of their own in each, so that they run between boxes and not behind them.

use std::{collections::HashMap, fmt::Write};

use crate::{
    graph::{Arrow, Graph, arrows, card, gate_text, last_steps},
    model::Plan,
    visible::in_svg,
};

const MARGIN: f64 = 24.0;
const LAYER_GAP: f64 = 64.0;
const BOX_GAP: f64 = 24.0;
const PADDING: f64 = 12.0;
const LINE_HEIGHT: f64 = 17.0;
/// Wider than the average letter of the fonts below, so that no text leaves its box.
const LETTER_WIDTH: f64 = 7.2;
const TITLE_LETTER_WIDTH: f64 = 8.4;

const STYLE: &str = "\
text{font:12px ui-sans-serif,Helvetica,Arial,sans-serif;fill:#334155}\
.name{font-size:14px;font-weight:600;fill:#0f172a}\
.box{fill:#fff;stroke:#64748b}\
.fallback{stroke-dasharray:5 4}\
.confirm{fill:#ecfdf5;stroke:#059669}\
.arrow{fill:none;stroke:#64748b;stroke-width:1.5}\
.head{fill:#64748b}";

/// One thing with a place: a step, the confirmation, or (without lines) a bend of an arrow.
struct Slot<'p> {
    name: &'p str,
    class: &'static str,
    lines: Vec<String>,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl<'p> Slot<'p> {
    fn new(name: &'p str, class: &'static str, lines: Vec<String>) -> Self {
        let widest = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0) as f64 * LETTER_WIDTH;
        let width = widest.max(name.chars().count() as f64 * TITLE_LETTER_WIDTH) + 2.0 * PADDING;
        let height = (lines.len() + 1) as f64 * LINE_HEIGHT + 2.0 * PADDING;
        Self { name, class, lines, x: 0.0, y: 0.0, width, height }
    }

    fn bend() -> Self {
        Self { name: "", class: "", lines: Vec::new(), x: 0.0, y: 0.0, width: 0.0, height: 0.0 }
    }

    fn is_bend(&self) -> bool {
        self.height == 0.0
    }

    fn middle(&self) -> f64 {
        self.y + self.height / 2.0
    }
}

struct Layout<'p> {
    slots: Vec<Slot<'p>>,
    layers: Vec<Vec<usize>>,
    /// The slots that an arrow runs through, first to last, and whether it is dashed.
    routes: Vec<(Vec<usize>, bool)>,
}

/// The picture of a plan.
pub fn svg(plan: &Plan) -> String {
    let mut layout = layout(plan);
    layout.sort_layers();
    let (width, height) = layout.place();
    layout.draw(width, height)
}

fn layout(plan: &Plan) -> Layout<'_> {
    const CONFIRM: &str = "confirm";
    let graph = Graph::new(plan);
    let mut layout = Layout { slots: Vec::new(), layers: Vec::new(), routes: Vec::new() };
    let mut places: HashMap<&str, (usize, usize)> = HashMap::new();
    for (depth, names) in graph.layers().into_iter().enumerate() {
        layout.layers.push(Vec::new());
        for name in names {
            let dashed = graph.is_fallback(name);
            let class = if dashed { "box fallback" } else { "box" };
            let slot = layout.add(depth, Slot::new(name, class, card(&plan.steps[name])));
            places.insert(name, (depth, slot));
        }
    }
    for Arrow { from, to, fallback } in arrows(plan) {
        layout.route(places[from], places[to], fallback);
    }
    if !plan.confirm.is_empty() {
        let depth = layout.layers.len();
        layout.layers.push(Vec::new());
        let slot = Slot::new(CONFIRM, "box confirm", plan.confirm.iter().map(gate_text).collect());
        let slot = layout.add(depth, slot);
        for name in last_steps(plan) {
            layout.route(places[name], (depth, slot), false);
        }
    }
    layout
}

impl<'p> Layout<'p> {
    fn add(&mut self, depth: usize, slot: Slot<'p>) -> usize {
        self.slots.push(slot);
        self.layers[depth].push(self.slots.len() - 1);
        self.slots.len() - 1
    }

    fn route(&mut self, (from_depth, from): (usize, usize), (to_depth, to): (usize, usize), dashed: bool) {
        let mut route = vec![from];
        for depth in from_depth + 1..to_depth {
            route.push(self.add(depth, Slot::bend()));
        }
        route.push(to);
        self.routes.push((route, dashed));
    }

    /// Puts each slot near those that point at it, which keeps most arrows from crossing.
    fn sort_layers(&mut self) {
        let mut before: HashMap<usize, Vec<usize>> = HashMap::new();
        for pair in self.routes.iter().flat_map(|(route, _)| route.windows(2)) {
            before.entry(pair[1]).or_default().push(pair[0]);
        }
        let mut rank: HashMap<usize, usize> = HashMap::new();
        for layer in &mut self.layers {
            layer.sort_by_key(|slot| match before.get(slot) {
                // In hundredths, so that whole numbers can be compared.
                Some(before) => before.iter().map(|other| rank[other] * 100).sum::<usize>() / before.len(),
                None => usize::MAX,
            });
            rank.extend(layer.iter().enumerate().map(|(position, slot)| (*slot, position)));
        }
    }

    /// Gives every slot its place, with the layers centred on each other; the size of the whole.
    fn place(&mut self) -> (f64, f64) {
        let heights: Vec<f64> = self
            .layers
            .iter()
            .map(|layer| layer.iter().map(|slot| self.slots[*slot].height + BOX_GAP).sum::<f64>() - BOX_GAP)
            .collect();
        let height = heights.iter().copied().fold(0.0, f64::max);
        let mut x = MARGIN;
        for (layer, layer_height) in self.layers.iter().zip(heights) {
            let width = layer.iter().map(|slot| self.slots[*slot].width).fold(0.0, f64::max);
            let mut y = MARGIN + (height - layer_height) / 2.0;
            for slot in layer.iter().copied() {
                let slot = &mut self.slots[slot];
                (slot.x, slot.y, slot.width) = (x, y, width);
                y += slot.height + BOX_GAP;
            }
            x += width + LAYER_GAP;
        }
        (x - LAYER_GAP + MARGIN, height + 2.0 * MARGIN)
    }

    fn draw(&self, width: f64, height: f64) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\">\n<style>{STYLE}</style>\n\
             <defs><marker id=\"head\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
             orient=\"auto\"><path class=\"head\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#f8fafc\"/>\n"
        );
        for (route, dashed) in &self.routes {
            let class = if *dashed { "arrow fallback" } else { "arrow" };
            let path = self.path(route);
            // Writing to a string cannot fail.
            let _ = writeln!(svg, "<path class=\"{class}\" marker-end=\"url(#head)\" d=\"{path}\"/>");
        }
        for slot in self.slots.iter().filter(|slot| !slot.is_bend()) {
            svg.push_str(&slot.draw());
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn path(&self, route: &[usize]) -> String {
        let mut path = String::new();
        for pair in route.windows(2) {
            let (from, to) = (&self.slots[pair[0]], &self.slots[pair[1]]);
            let (start, end) = (from.x + from.width, to.x);
            let middle = (start + end) / 2.0;
            if path.is_empty() {
                let _ = write!(path, "M{start:.1} {:.1}", from.middle());
            }
            let _ = write!(
                path,
                " C{middle:.1} {:.1} {middle:.1} {:.1} {end:.1} {:.1}",
                from.middle(),
                to.middle(),
                to.middle()
            );
            if to.is_bend() {
                let _ = write!(path, " H{:.1}", to.x + to.width);
            }
        }
        path
    }
}

impl Slot<'_> {
    fn draw(&self) -> String {
        let Self { class, x, y, width, height, .. } = self;
        let mut svg = format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"6\"/>\n"
        );
        let x = x + PADDING;
        let mut y = y + PADDING + 0.75 * LINE_HEIGHT;
        let _ = writeln!(svg, "<text class=\"name\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", in_svg(self.name));
        for line in &self.lines {
            y += LINE_HEIGHT;
            let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", in_svg(line));
        }
        svg
    }
}
