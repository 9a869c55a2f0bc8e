//! How much memory values take beyond themselves: what is kept in memory between requests is bounded by it. Counted for the worst case:
//! trees with as few entries in a node as there may be.

/// Counters, lengths and what an allocator adds.
const ALLOCATION: usize = 24;
/// Entries that a node of a `BTreeMap` has place for, and has at least.
const NODE_PLACES: usize = 11;
const NODE_LEAST: usize = 5;
/// Pointers to the nodes below, and to the node above.
const NODE_POINTERS: usize = 112;

/// A `String` or an `Arc<str>` of so many bytes.
pub fn text(length: usize) -> usize {
    length + ALLOCATION
}

/// A `Vec` with place for so many items of so many bytes.
pub fn list(places: usize, item: usize) -> usize {
    if places == 0 { 0 } else { places * item + ALLOCATION }
}

/// A `BTreeMap` or `BTreeSet` of so many entries, each of so many bytes.
pub fn tree(entries: usize, entry: usize) -> usize {
    entries.div_ceil(NODE_LEAST) * (NODE_PLACES * entry + NODE_POINTERS)
}
