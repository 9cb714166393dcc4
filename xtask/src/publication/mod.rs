//! The rules of a publication: which records may be joined, what an index must hold, which tags may move.
//!
//! Pure. `commands/merge.rs` asks the outside and applies them in order.

pub mod attached;
pub mod garbage;
pub mod index;
pub mod records;
pub mod sources;
pub mod tags;
