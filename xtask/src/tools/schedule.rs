//! Which tools are built side by side, and which one after the other.

use crate::tools::catalog::Tool;
use crate::tools::go::Urgency;

/// Tools that are built one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) urgency: Urgency,
    pub(super) tools: Vec<Tool>,
}

/// Two chains: a package that two builds compile at the same time is compiled twice, so what shares most of its packages
/// goes one after the other, and linking, which keeps one processor busy, overlaps with the other chain.
///
/// What the stack consists of comes first. cosign, which takes as long as all of it, is called last, so it is compiled
/// with what the first chain leaves, and goes on while images are built.
pub(super) fn chains(missing: &[Tool]) -> Vec<Chain> {
    let (later, now): (Vec<Tool>, Vec<Tool>) = missing.iter().partition(|tool| **tool == Tool::Cosign);
    let mut now = now;
    now.sort_by_key(|tool| place(*tool));
    now.dedup();
    // Alone, it has nothing to give way to.
    let urgency = if now.is_empty() { Urgency::Now } else { Urgency::Later };
    let chains = [
        Chain { urgency: Urgency::Now, tools: now },
        Chain { urgency, tools: later.into_iter().take(1).collect() },
    ];
    chains.into_iter().filter(|chain| !chain.tools.is_empty()).collect()
}

/// The order within a chain: BuildKit compiles most of what buildx and the registry need.
fn place(tool: Tool) -> usize {
    let order = [Tool::Buildkitd, Tool::Buildx, Tool::Registry, Tool::Buildctl];
    order.iter().position(|one| *one == tool).unwrap_or(order.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_first_is_built_first() {
        let chain = |urgency, tools: &[Tool]| Chain { urgency, tools: tools.to_vec() };
        let (now, later) = (Urgency::Now, Urgency::Later);
        let stack = [Tool::Buildkitd, Tool::Buildx, Tool::Registry];
        assert_eq!(
            chains(&[Tool::Cosign, Tool::Registry, Tool::Buildx, Tool::Buildkitd]),
            [chain(now, &stack), chain(later, &[Tool::Cosign])]
        );
        assert_eq!(chains(&[Tool::Buildx, Tool::Buildx]), [chain(now, &[Tool::Buildx])]);
        assert_eq!(chains(&[Tool::Cosign]), [chain(now, &[Tool::Cosign])]);
        assert_eq!(chains(&[]), []);
    }
}
