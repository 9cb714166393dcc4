//! The local stack itself.

use std::net::TcpListener;
use std::process::Command;

use crate::checkout::{Checkout, run, wait};

/// Started twice, killed, robbed of its port: it comes back.
pub fn comes_back(checkout: &Checkout) {
    checkout.xtask(&["local", "up"]).ok();
    let containers = checkout.status()["mode"] == "containers";
    let services = || if containers { ids(checkout) } else { pids(checkout) };
    let kill = |services: &[String]| {
        if containers {
            docker(&["kill", &format!("{}-registry", builder(checkout))]);
            return;
        }
        let victim = rustix::process::Pid::from_raw(services[1].parse().unwrap()).unwrap();
        rustix::process::kill_process(victim, rustix::process::Signal::KILL).unwrap();
    };
    let before = services();
    assert_eq!(before.len(), 2, "{before:?}");
    checkout.xtask(&["local", "up"]).ok();
    assert_eq!(services(), before, "a second `up` starts nothing");
    // One of the two dies.
    kill(&before);
    wait("it is dead", || checkout.status()["running"] == false);
    checkout.xtask(&["build", "--cell", "php-base"]).ok();
    assert_ne!(services(), before);
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

/// The processes of a stack: the registry and BuildKit.
fn pids(checkout: &Checkout) -> Vec<String> {
    let state = std::fs::read(checkout.local().join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
    state["processes"].as_array().unwrap().iter().map(|process| process["pid"].to_string()).collect()
}

/// Its containers, those that run.
fn ids(checkout: &Checkout) -> Vec<String> {
    let filter = format!("name={}", builder(checkout));
    let list = docker(&["ps", "--quiet", "--no-trunc", "--filter", &filter]);
    list.lines().map(str::to_owned).collect()
}

fn builder(checkout: &Checkout) -> String {
    checkout.status()["builder"].as_str().unwrap().to_owned()
}

fn docker(args: &[&str]) -> String {
    run(Command::new("docker").args(args)).ok().stdout
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
