//! The tool against the real thing: BuildKit, a registry, cosign.
//!
//! One stack is shared by all scenarios, so they run one after the other in
//! this order. `cargo test -p xtask-images --test real -- NAME…` runs those whose name
//! contains a NAME. What is missing is a failure, never a skip: who is not root says so by
//! `--without-root`, and hears which scenarios are left to root.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "tests may panic, print, and start what they test"
)]

mod adopted;
mod attacks;
mod bases;
mod build;
mod campaign;
mod checkout;
mod contents;
mod contexts;
mod diff;
mod engine;
mod examples;
mod github;
#[path = "../github/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests of the model use what the scenarios do not")]
mod github_model;
mod hub;
mod input;
mod kit;
mod merge;
mod on_github;
mod policy;
mod readme;
mod registries;
mod registry;
mod registry_client;
#[path = "../init/repositories.rs"]
mod repositories;
mod reuse;
mod shim;
mod sigstore;
mod stack;
mod tools;
mod workflow;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use checkout::Checkout;

type Scenario = (&'static str, fn(&Checkout));

/// In order: `quickstart` leaves a published matrix to the others.
const SCENARIOS: &[Scenario] = &[
    ("quickstart_agrees_with_other_clients", build::quickstart),
    ("each_mode_gets_its_dependencies", build::dependencies),
    ("two_builds_then_merge", build::two_builds_then_merge),
    ("two_runners_share_a_plan", build::two_runners_share_a_plan),
    ("a_failing_build_stops_no_other", build::failing_build),
    ("nothing_is_pushed_with_no_push", build::no_push),
    ("contexts_of_one_name_are_not_mixed_up", build::same_names),
    ("a_context_is_what_is_sent", contexts::sent),
    ("builds_of_other_files_are_not_merged", contexts::other_files),
    ("nothing_is_asked_twice", build::nothing_twice),
    ("ctrl_c_leaves_nothing", build::ctrl_c),
    ("a_foreign_arch_has_to_be_asked_for", build::foreign_arch),
    ("images_are_what_their_platform_says", contents::machines),
    ("a_log_of_a_job_commands_nothing", github::logs),
    ("the_cache_of_github_is_found_again", github::cache),
    ("nothing_is_kept_that_would_be_another", reuse::no_wrong_reuse),
    ("a_late_run_of_what_was_reverted_moves_no_tag", reuse::late::late_run),
    ("wrong_records_are_refused", merge::wrong_records),
    ("records_are_what_their_jobs_said", merge::record_hashes),
    ("a_killed_merge_goes_on", merge::killed),
    ("an_older_plan_moves_no_tag", merge::older_plan),
    ("what_is_foreseen_happens", diff::before_and_after),
    ("a_failing_test_publishes_nothing", merge::failing_test),
    ("a_base_that_failed_ships_in_nothing", bases::failed_base),
    ("a_publication_is_rolled_back", merge::rolled_back),
    ("several_repositories_are_published_each_wholly", registries::several),
    ("a_private_registry_asks_for_both", registries::private),
    ("garbage_goes_and_nothing_else", registries::garbage),
    ("publications_survive_faults", campaign::sample),
    ("a_publication_survives_a_full_disk", campaign::full_disk),
    ("wrong_input_is_told", input::wrong_input),
    ("a_full_disk_loses_nothing", input::full_disk),
    ("a_dead_registry_is_named", input::dead_registry),
    ("a_missing_tool_is_named", input::missing_tool),
    ("tools_are_built_in_a_foreign_workspace", input::foreign_workspace),
    ("a_second_checkout_takes_what_the_first_has_built", tools::second_checkout),
    ("a_build_that_fails_stops_the_others", tools::failing_build),
    ("what_is_built_beside_leaves_nothing", tools::interrupted),
    ("images_are_built_while_cosign_compiles", tools::beside),
    ("policies_fit_their_schemas", policy::policies_fit_their_schemas),
    ("a_policy_asks_whose_run_it_was", policy::whose_run_it_was),
    ("the_stack_comes_back", stack::comes_back),
    ("two_checkouts_do_not_meet", stack::two_checkouts),
    ("an_example_with_upstream_branches", examples::snipe_it),
    ("an_example_with_two_kinds_of_images", examples::qm_nmr_calc),
    ("an_example_with_an_sbom", examples::multi_arch_of_madness),
    ("an_example_along_axes", examples::home_assistant),
    ("the_workflow_serves_every_event", on_github::events),
    ("three_runs_at_once_lose_no_release", on_github::at_once),
    ("the_workflow_survives_failures", on_github::failures),
    ("what_failed_runs_again_by_the_same_plan", on_github::again),
    ("a_record_that_is_gone_is_named", on_github::expired),
    ("the_workflow_refuses_what_was_replaced", on_github::replaced),
    ("three_hundred_cells_have_a_job_each", on_github::three_hundred),
    ("the_workflow_publishes_on_a_push", workflow::push),
    ("the_workflow_pushes_nothing_for_a_pull_request", workflow::pull_request),
    ("every_command_of_the_readme_works", readme::commands),
    ("the_proxy_spoils_what_it_is_told_to", kit::faults),
    ("registries_are_asked_and_answer", registry_client::requests),
    ("referrers_are_found_by_the_api", registry_client::referrers),
    ("tokens_are_got_for_whom_they_are_for", registry_client::tokens),
    ("passwords_and_authorities_are_found_where_docker_has_them", registry_client::helpers),
    ("keyless_signatures_bear_an_identity", sigstore::identities),
    ("keyless_provenance_is_what_gh_demands", sigstore::github_cli),
    ("nobody_borrows_our_identity", attacks::borrowed),
    ("nobody_gets_around_the_promise", attacks::attacks),
    ("the_same_on_a_docker_engine", engine::quickstart),
    ("init_serves_other_repositories", adopted::repositories),
    ("an_update_keeps_what_a_repository_has_changed", adopted::update),
];

/// What only root can do, by the name of the scenario.
const NEEDS_ROOT: &[(&str, &str)] = &[
    ("a_private_registry_asks_for_both", "it runs BuildKit as a process that sees another /etc/hosts"),
    ("a_publication_survives_a_full_disk", "it mounts a file system that is full"),
    ("a_full_disk_loses_nothing", "it mounts a file system that is full"),
    ("the_same_on_a_docker_engine", "it starts a Docker Engine"),
];

fn main() -> ExitCode {
    let (options, wanted): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|arg| arg.starts_with('-'));
    let mut chosen: Vec<&Scenario> = SCENARIOS
        .iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())))
        .collect();
    if let Err(refusal) = leave_to_root(&mut chosen, options.iter().any(|option| option == "--without-root"))
    {
        println!("{refusal}");
        return ExitCode::FAILURE;
    }
    let checkout = Checkout::new("main");
    let mut failed = Vec::new();
    for (name, run) in &chosen {
        println!("---- {name}");
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| run(&checkout)));
        let verdict = if result.is_ok() { "ok" } else { "FAILED" };
        println!("---- {name}: {verdict} ({:.1} s)", began.elapsed().as_secs_f64());
        if result.is_err() {
            failed.push(*name);
        }
    }
    drop(checkout);
    for name in &failed {
        println!("failed: {name}");
    }
    println!("{} passed, {} failed", chosen.len() - failed.len(), failed.len());
    if failed.is_empty() && !chosen.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes out what needs root, if that was asked for, and says so.
///
/// # Errors
/// If it was not asked for, and this user is not root.
fn leave_to_root(chosen: &mut Vec<&Scenario>, asked: bool) -> Result<(), String> {
    let known = |name: &str| SCENARIOS.iter().any(|(scenario, _)| *scenario == name);
    assert!(NEEDS_ROOT.iter().all(|(name, _)| known(name)), "NEEDS_ROOT names what is no scenario");
    let is_chosen = |name: &str| chosen.iter().any(|(scenario, _)| *scenario == name);
    let left: Vec<_> = NEEDS_ROOT.iter().filter(|(name, _)| is_chosen(name)).collect();
    if left.is_empty() || (!asked && rustix::process::geteuid().is_root()) {
        return Ok(());
    }
    let list: String = left.iter().map(|(name, why)| format!("\n  {name}: {why}")).collect();
    if !asked {
        return Err(format!(
            "these scenarios need root, and this user is not:{list}\nrun all of them as root, or the others with --without-root"
        ));
    }
    println!("left to root:{list}");
    chosen.retain(|(scenario, _)| left.iter().all(|(name, _)| name != scenario));
    Ok(())
}
