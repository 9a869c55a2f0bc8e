//! Numbers that look thrown and are the same in every run (SplitMix64).

use uuid::Uuid;

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides.max(1)
    }

    /// From a quarter of it to one and three quarters of it; 1 at least.
    pub fn about(&mut self, length_us: i64) -> i64 {
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (length_us as f64 * (0.25 + 1.5 * share)).max(1.0) as i64
    }

    /// As bytes that are encrypted: from `least` to below `least + spread` of them.
    pub fn bytes(&mut self, least: u64, spread: u64) -> Vec<u8> {
        let length = usize::try_from(least + self.roll(spread)).unwrap_or_default();
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }

    /// A UUIDv7 of a time.
    pub fn id(&mut self, at_us: i64) -> Uuid {
        let millis = u64::try_from(at_us / 1000).unwrap_or_default();
        let (one, two) = (self.next().to_le_bytes(), self.next().to_le_bytes());
        let mut random = [0; 10];
        random[..8].copy_from_slice(&one);
        random[8..].copy_from_slice(&two[..2]);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}
