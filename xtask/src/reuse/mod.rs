//! Nothing is built twice: what of a plan is published already, made from the same inputs.
//!
//! The keys of what is published stand in the signed records at the tags of a cell. They are compared with those of the
//! checkout: a cell all of whose inputs are the same keeps its index, its signatures and its tags. `docs/reuse.md`.

mod bases;
mod difference;
mod history;
mod inputs_now;
mod published;
mod pulls;
mod verdict;

use anyhow::Result;
use std::collections::BTreeMap;

use crate::base::error::UserError;
use crate::base::ids::{CellId, Digest, Platform};
use crate::build::context_hash::Snapshots;
use crate::plan::difference::Difference;
use crate::plan::{Cell, Kept, Plan, Reuse, SigningMethod};
use crate::publish::attestation_store::AttestationStore;
use crate::publish::signing::Signing;
use crate::reuse::bases::BaseImages;
use crate::reuse::difference::Differing;
use crate::reuse::history::History;
use crate::reuse::inputs_now::InputsNow;
use crate::reuse::published::{Candidate, Holding};
use crate::session::Session;
use crate::session::comparison::{Asked, Comparison};
use crate::tools::Tool;

/// What is published, compared with a plan.
#[derive(Debug)]
pub struct PublishedImages {
    session: Session,
}

impl PublishedImages {
    /// As a session sees it.
    pub fn new(session: &Session) -> Self {
        Self { session: session.clone() }
    }

    /// [`Self::found_records`]; what is in the way of that is a reason to build, unless an answer is demanded.
    fn records(&self, plan: &Plan, asked: Asked) -> Result<Option<AttestationStore>> {
        let found = self.found_records(plan, asked);
        let (false, Err(error)) = (asked.demanded, &found) else { return found };
        self.session.runner.check_interrupted()?;
        self.session.ui.warn(format!("building everything: cannot verify published records: {error:#}"));
        Ok(None)
    }

    /// Where the records are; none, and a line that says why, where they cannot be read from here.
    fn found_records(&self, plan: &Plan, asked: Asked) -> Result<Option<AttestationStore>> {
        let session = &self.session;
        let none = |why: &str| {
            session.ui.note(format!("not comparing with the registry, building everything: {why}"));
            Ok(None)
        };
        let stack = match (&plan.sign, asked.for_work) {
            (SigningMethod::None { .. }, _) => return none("the images are not signed"),
            (SigningMethod::Local, true) => session.stack(plan)?,
            (SigningMethod::Local, false) => match session.local().running()? {
                Some(stack) => Some(stack),
                None if asked.demanded => {
                    return Err(UserError::failed(
                        "compare the plan with the registry: the local stack does not run",
                    )
                    .help("start it: cargo xtask local up")
                    .help("or compare with another registry: --to publish, --to HOST/PATH")
                    .into());
                }
                None => return none("the local stack does not run (cargo xtask local up)"),
            },
            _ => None,
        };
        // Which may still take minutes to be made.
        if plan.sign == SigningMethod::Local && !asked.demanded && !session.local().has_keys() {
            return none("nothing has been signed with the local key yet");
        }
        if !asked.demanded && session.tools.look(Tool::Cosign)?.is_none() {
            return none("cosign not found");
        }
        let signing = Signing::of(session, (&plan.sign, &plan.formerly), Some(&plan.event), stack.as_ref())?;
        Ok(signing.map(|signing| AttestationStore::new(signing, &session.layout)))
    }

    /// What a run of a plan would change. `compared`: the plan, as it has just been compared with what is published.
    ///
    /// # Errors
    /// If a registry does not tell what it holds, or if the local stack would have to be started.
    pub fn difference(&self, compared: &Plan) -> Result<Difference> {
        let asked = Asked { for_work: false, reuse: true, demanded: true };
        let signed = !matches!(compared.sign, SigningMethod::None { .. });
        let store = if signed && !compared.cells.is_empty() { self.records(compared, asked)? } else { None };
        Differing::new(&self.session, compared, store.as_ref())?.all()
    }

    fn snapshots(&self) -> Snapshots {
        Snapshots::of_checkout(&self.session.layout, None)
    }

    /// Fills in what becomes of each cell.
    fn judge(&self, plan: &mut Plan, bases: &BaseImages, holdings: &[Holding]) -> Result<()> {
        let session = &self.session;
        let snapshots = self.snapshots();
        let now = InputsNow::gather(&plan.cells.iter().collect::<Vec<_>>(), &snapshots);
        let history = History::of(session, plan)?;
        let mut kept: BTreeMap<CellId, Vec<(Platform, Digest)>> = BTreeMap::new();
        for (n, holding) in holdings.iter().enumerate() {
            let Some(cell) = plan.cells.get(n) else { continue };
            let reuse = match &holding.candidates {
                Err(why) => {
                    session
                        .ui
                        .warn(format!("building {}: cannot read its published records: {why}", cell.id));
                    Reuse::New { why: format!("has tags whose records cannot be read: {why}") }
                }
                Ok(candidates) => {
                    let compare = |candidate: &Candidate| now.changes(plan, cell, candidate, bases, &kept);
                    let judged = verdict::of(cell, candidates, holding, compare);
                    self.completed(plan, cell, judged, candidates, &history)
                }
            };
            if let Reuse::Kept(Kept { children, .. }) = &reuse {
                let images = children.iter().map(|child| (child.platform.clone(), child.digest.clone()));
                kept.insert(cell.id.clone(), images.collect());
            }
            if let Some(cell) = plan.cells.get_mut(n) {
                cell.reuse = Some(reuse);
            }
        }
        Ok(())
    }

    /// With what only the history of the checkout and the registry can tell.
    fn completed(
        &self,
        plan: &Plan,
        cell: &Cell,
        judged: Reuse,
        candidates: &[Candidate],
        history: &History<'_>,
    ) -> Reuse {
        let of = |digest: &Digest| candidates.iter().find(|candidate| candidate.digest == *digest);
        match judged {
            Reuse::Kept(kept) => {
                let Some(candidate) = of(&kept.digest) else { return Reuse::Kept(kept) };
                if let Some(gone) = published::gone(&self.session.registry(), cell, candidate) {
                    return Reuse::Changed { digest: kept.digest, inputs: vec![gone] };
                }
                let renewed = history.since(plan, cell, &candidate.claim.revision);
                Reuse::Kept(Kept { renewed, ..kept })
            }
            Reuse::Changed { digest, inputs } => {
                let revision = of(&digest).map(|candidate| candidate.claim.revision.as_str());
                let inputs =
                    inputs.into_iter().flat_map(|input| history.files(cell, revision, input)).collect();
                Reuse::Changed { digest, inputs }
            }
            new => new,
        }
    }
}

impl Comparison for PublishedImages {
    fn compare(&self, mut plan: Plan, asked: Asked) -> Result<Plan> {
        // Nothing has to be started to learn nothing.
        if plan.cells.is_empty() {
            return Ok(plan);
        }
        let session = &self.session;
        let store = if asked.reuse { self.records(&plan, asked)? } else { None };
        let holdings = match &store {
            Some(store) => {
                published::read(&session.registry(), &plan, store, &session.runner, asked.demanded)?
            }
            None => Vec::new(),
        };
        let mut bases = BaseImages::new(session, &plan)?;
        bases.pin(&mut plan, &session.layout.root);
        if store.is_some() {
            bases.resolve(published::images(&holdings));
            self.judge(&mut plan, &bases, &holdings)?;
        }
        if !asked.reuse {
            let why = "is built because of --no-reuse".to_owned();
            plan.cells.iter_mut().for_each(|cell| cell.reuse = Some(Reuse::New { why: why.clone() }));
        }
        session.runner.check_interrupted()?;
        plan.seal()
    }

    fn still_holds(&self, plan: &Plan) -> bool {
        let snapshots = self.snapshots();
        let kept: Vec<&Cell> = plan.cells.iter().filter(|cell| cell.kept().is_some()).collect();
        let now = InputsNow::gather(&kept, &snapshots);
        kept.into_iter().all(|cell| cell.kept().is_some_and(|kept| now.holds(cell, kept)))
    }
}
