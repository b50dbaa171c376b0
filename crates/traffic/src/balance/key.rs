//! Keys of consistent hashing.

/// The key of a text for [`Hints::with_key`](crate::cluster::Hints::with_key): a user's id, a
/// cookie's value, a client's address. The same in every process of every platform and version.
///
/// # Source
///
/// FNV-1a, 64 bits (draft-eastlake-fnv), then the finalizer of SplitMix64 (Steele, Lea, Flood,
/// 2014), which spreads keys that differ in their last byte only.
pub fn hash_key(text: impl AsRef<[u8]>) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(text.as_ref().iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// Spreads the bits of a number over all 64.
pub(crate) fn mix(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
