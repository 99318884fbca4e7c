//! Chance that can be had again: the same seed, the same numbers.

use std::sync::{Mutex, PoisonError};

use belay_ports::Entropy;

/// SplitMix64: small, and good enough for choosing what goes wrong.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, without it.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    /// True in so many of a thousand cases.
    pub fn per_mille(&mut self, share: u32) -> bool {
        self.below(1000) < u64::from(share)
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> Option<&'t T> {
        let index = usize::try_from(self.below(from.len() as u64)).unwrap_or(0);
        from.get(index)
    }

    /// Chance of its own for another part, which does not depend on how much this one is used.
    pub fn fork(&mut self) -> Self {
        Self(self.draw())
    }
}

/// The engine's entropy in a simulation.
pub struct SeededEntropy(Mutex<Chance>);

impl SeededEntropy {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(Chance::new(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn draw(&self) -> u32 {
        let mut chance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        u32::try_from(chance.draw() >> 32).unwrap_or(0)
    }
}
