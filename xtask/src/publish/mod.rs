//! From digest records to tags: which records may be joined, what is signed, and which tags may move.

pub mod attestation_store;
pub mod attested;
pub mod garbage;
pub mod image_tests;
pub mod index;
pub mod pinned_index;
pub mod publisher;
pub mod records;
pub mod statements;
pub mod tag_rules;
pub mod tagging;
