//! Orders over named nodes: what comes before what, what waits for itself. Nothing here recurses, so that a long chain
//! of steps cannot exhaust the stack.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

/// Each node with the nodes it waits for. Edges to unknown nodes are ignored.
#[derive(Debug, Default)]
pub(crate) struct Order<'n> {
    before: IndexMap<&'n str, Vec<&'n str>>,
}

impl<'n> Order<'n> {
    pub(crate) fn node(&mut self, name: &'n str) {
        self.before.entry(name).or_default();
    }

    /// `name` waits for `other`.
    pub(crate) fn edge(&mut self, name: &'n str, other: &'n str) {
        self.before.entry(name).or_default().push(other);
    }

    /// The nodes by layers: each node is one layer behind the last of those that it waits for. Nodes that wait
    /// for themselves are in none.
    pub(crate) fn layers(&self) -> Vec<Vec<&'n str>> {
        let mut waiting: HashMap<&str, usize> = HashMap::new();
        let mut behind: HashMap<&str, Vec<&'n str>> = HashMap::new();
        for (name, before) in &self.before {
            let before: HashSet<&str> =
                before.iter().copied().filter(|other| self.before.contains_key(other)).collect();
            waiting.insert(name, before.len());
            for other in before {
                behind.entry(other).or_default().push(name);
            }
        }
        let mut layers = Vec::new();
        let mut layer: Vec<&'n str> = self.before.keys().copied().filter(|name| waiting[name] == 0).collect();
        while !layer.is_empty() {
            let mut next = Vec::new();
            for follower in layer.iter().flat_map(|name| behind.get(name).into_iter().flatten()) {
                if let Some(count) = waiting.get_mut(follower) {
                    *count -= 1;
                    if *count == 0 {
                        next.push(*follower);
                    }
                }
            }
            // In the order of the file, whatever the hash maps say.
            next.sort_by_key(|name| self.before.get_index_of(name));
            layers.push(std::mem::replace(&mut layer, next));
        }
        layers
    }

    /// Every cycle found, as the path from a node back to itself; cycles that share a node are one.
    pub(crate) fn cycles(&self) -> Vec<Vec<&'n str>> {
        let ordered: HashSet<&str> = self.layers().into_iter().flatten().collect();
        let mut seen: HashSet<&str> = ordered.clone();
        let mut cycles = Vec::new();
        for start in self.before.keys().filter(|name| !ordered.contains(*name)) {
            // Every node left waits for another one left, so a walk ends in a cycle or in what was walked before.
            let mut path: Vec<&'n str> = Vec::new();
            let mut node = Some(*start);
            while let Some(name) = node.filter(|name| seen.insert(name)) {
                path.push(name);
                let next = self.before[name].iter().copied().filter(|other| self.before.contains_key(other));
                let mut next = next.filter(|other| !ordered.contains(other));
                node = next.next();
                if let Some(position) = path.iter().position(|name| Some(*name) == node) {
                    let mut cycle = path.split_off(position);
                    cycle.push(cycle[0]);
                    cycles.push(cycle);
                    break;
                }
            }
        }
        cycles
    }

    /// Everything that these nodes wait for, themselves included.
    pub(crate) fn closure(&self, names: impl IntoIterator<Item = &'n str>) -> HashSet<&'n str> {
        let mut found = HashSet::new();
        let mut open: Vec<&'n str> = names.into_iter().filter(|name| self.before.contains_key(name)).collect();
        while let Some(name) = open.pop() {
            if found.insert(name) {
                open.extend(self.before[name].iter().copied().filter(|other| self.before.contains_key(other)));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order<'n>(edges: &[(&'n str, &'n str)]) -> Order<'n> {
        let mut order = Order::default();
        for (name, other) in edges {
            order.node(other);
            order.edge(name, other);
        }
        order
    }

    #[test]
    fn layers_follow_the_longest_way() {
        let order = order(&[("b", "a"), ("c", "b"), ("c", "a"), ("d", "a")]);
        assert_eq!(order.layers(), [vec!["a"], vec!["b", "d"], vec!["c"]]);
    }

    #[test]
    fn each_cycle_is_found_once() {
        let order = order(&[("a", "b"), ("b", "c"), ("c", "a"), ("x", "a"), ("y", "y"), ("z", "free")]);
        assert_eq!(order.cycles(), [vec!["b", "c", "a", "b"], vec!["y", "y"]]);
    }

    #[test]
    fn a_long_chain_is_no_problem() {
        let names: Vec<String> = (0..100_000).map(|number| format!("n{number}")).collect();
        let mut order = Order::default();
        for pair in names.windows(2) {
            order.edge(&pair[0], &pair[1]);
        }
        order.node(&names[99_999]);
        assert_eq!(order.layers().len(), 100_000);
        assert_eq!(order.closure([names[0].as_str()]).len(), 100_000);
    }
}
