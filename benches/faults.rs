//! Publications under every fault, at every request. Hours long: not a test, and not a measure of speed.
//!
//! `cargo bench -p xtask-images --bench faults --profile dev -- [--every N] [--first N] [--merges N] [--only NAME]`
//!
//! Each request of a merge is spoiled in each of twelve ways (`--every 10`: each tenth request), the merge is killed at
//! each of them, cosign misbehaves, the disk is full, and 20 plans are merged at once (`--merges` times). All of it with a
//! registry without the referrers API and with one that has it (`--only fallback-tags` or `--only referrers`). docs/reliability.md has the counts. Needs what the
//! tests on the real stack need: run `cargo xtask ci` first.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a test in all but its length; it uses a part of what the tests share"
)]

#[path = "../xtask/tests/real/campaign/mod.rs"]
mod campaign;
#[path = "../xtask/tests/real/checkout.rs"]
mod checkout;
#[path = "../xtask/tests/real/kit.rs"]
mod kit;
#[path = "../xtask/tests/real/registry.rs"]
mod registry;
#[path = "../xtask/tests/real/shim.rs"]
mod shim;
#[path = "../xtask/tests/real/sigstore.rs"]
mod sigstore;

use std::process::ExitCode;

use campaign::{Campaign, FAULTS, Violations};
use checkout::Checkout;
use kit::Fault;
use sigstore::Log;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let position = args.iter().position(|arg| arg == name);
        position.map_or(default, |at| args[at + 1].parse().expect("a number"))
    };
    let (every, first, merges) = (number("--every", 1), number("--first", 1), number("--merges", 5));
    let home = Checkout::folder("faults-home", "xtask/tests/real/campaign/");
    let referrers = kit::registry(&home);
    let only = args.iter().position(|arg| arg == "--only").map(|at| args[at + 1].as_str());
    let mut clean = true;
    for (name, behind) in [("fallback-tags", None), ("referrers", Some(referrers.address()))] {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let mut campaign = Campaign::start(&format!("faults-{name}"), behind, Log::None);
        let requests = campaign.requests();
        println!("== {name}: an undisturbed merge makes {requests} requests");
        for n in (first..=requests).step_by(every) {
            for kind in FAULTS {
                campaign.spoil(&Fault { milliseconds: 700, ..Fault::at(kind, n) });
            }
            // The registry is gone from this request on.
            campaign.spoil(&Fault { times: usize::MAX >> 12, ..Fault::at("refuse", n) });
            campaign.kill(n);
        }
        campaign.shims();
        campaign.full_disk();
        for nth in 1..=5 {
            campaign.overtaken(nth);
        }
        for round in 0..merges {
            campaign.at_once(&shuffled(20, round));
        }
        let (counts, violations) = campaign.end();
        println!("== {name}: {counts:?} {violations:?}");
        clean &= violations == Violations::default();
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The numbers below `count` in an order that differs from round to round, and is the same at every run.
fn shuffled(count: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_add(u64::try_from(round).unwrap_or_default());
    for index in (1..count).rev() {
        // xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other =
            usize::try_from(state % (u64::try_from(index).unwrap_or_default() + 1)).unwrap_or_default();
        order.swap(index, other);
    }
    order
}
