//! From digest records to tags: which records may be joined, what is signed, and which tags may move.

pub mod attestation_store;
pub mod attested;
pub mod collector;
pub mod garbage;
pub mod gates;
pub mod holders;
pub mod holding;
pub mod index;
pub mod pinned_index;
pub mod preview;
pub mod provenance;
pub mod publisher;
pub mod records;
pub mod repository_tags;
pub mod rollback;
pub mod signing;
pub mod statements;
pub mod steps;
pub mod tag_access;
pub mod tag_protocol;
pub mod tag_rules;
pub mod tagging;
pub mod untagging;
pub mod verification;
pub mod yielding;
