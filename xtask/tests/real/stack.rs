//! The local stack itself.

use std::net::TcpListener;

use crate::checkout::{Checkout, wait};

/// Started twice, killed, robbed of its port: it comes back.
pub fn comes_back(checkout: &Checkout) {
    checkout.xtask(&["local", "up"]).ok();
    let state = || -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(checkout.local().join("state.json")).unwrap()).unwrap()
    };
    let pids = |state: &serde_json::Value| -> Vec<i64> {
        state["processes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|process| process["pid"].as_i64().unwrap())
            .collect()
    };
    let before = pids(&state());
    checkout.xtask(&["local", "up"]).ok();
    assert_eq!(pids(&state()), before, "a second `up` starts nothing");
    // One of the two dies.
    let victim = rustix::process::Pid::from_raw(i32::try_from(before[1]).unwrap()).unwrap();
    rustix::process::kill_process(victim, rustix::process::Signal::KILL).unwrap();
    wait("BuildKit is dead", || checkout.status()["running"] == false);
    checkout.xtask(&["build", "--cell", "php-base"]).ok();
    assert_ne!(pids(&state()), before);
    // Its port is taken while it is down.
    let registry = checkout.registry();
    checkout.xtask(&["local", "down"]).ok();
    assert_eq!(checkout.status()["running"], false);
    let thief = TcpListener::bind(&registry).unwrap();
    let done = checkout.xtask(&["local", "up"]).ok();
    assert!(done.stderr.contains("was taken by another program"), "{}", done.all());
    assert_ne!(checkout.registry(), registry);
    drop(thief);
    // The images are still there, and a new plan knows the new address.
    checkout.xtask(&["quickstart"]).ok();
}

/// Two checkouts at once have two registries, two builders, two keys.
pub fn two_checkouts(checkout: &Checkout) {
    let other = Checkout::new("other");
    let done = other.xtask(&["local", "up"]).ok();
    let (one, two) = (checkout.status(), other.status());
    for field in ["registry", "builder", "public_key"] {
        assert_ne!(one[field], two[field], "{field}");
    }
    let shared = done.stderr.contains("taken from the cache of this user");
    assert_eq!(two["offline_bases"], shared, "stand-ins are made once: {}", done.all());
    drop(other);
    assert_eq!(checkout.status()["running"], true);
}
