//! Numbers that look like chance and can be had again.

/// xorshift64.
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// Begins with `TYMPAN_SEED`, or with a seed of its own; says which.
    #[must_use]
    pub fn seeded() -> Self {
        let given = std::env::var("TYMPAN_SEED").ok().and_then(|text| text.parse().ok());
        let seed: u64 = given.unwrap_or_else(|| u64::from(std::process::id()) | 1 << 40);
        eprintln!("TYMPAN_SEED={seed}");
        // Zero would stay zero.
        Self(seed.max(1))
    }

    /// Begins with this seed: the same numbers every time.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        // Seeds that lie close together give numbers that do not.
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number, less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
