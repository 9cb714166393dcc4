//! The Dockerfiles of a matrix, each read once.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::matrix::PlatformDef;
use crate::matrix::cells::CellSpec;
use crate::plan::dockerfile_labels::Stages;
use crate::plan::inputs::Inputs;
use crate::plan::pairs::Pair;

/// Reads them when they are asked for.
pub(super) struct Dockerfiles<'a> {
    inputs: &'a Inputs<'a>,
    /// By their path.
    read: RefCell<BTreeMap<String, Rc<Stages>>>,
}

impl<'a> Dockerfiles<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>) -> Self {
        Self { inputs, read: RefCell::default() }
    }

    /// The keys of the labels that the Dockerfile of a build sets.
    pub(super) fn labels(
        &self,
        spec: &CellSpec<'_>,
        platform: &PlatformDef,
        args: &[Pair],
    ) -> BTreeSet<String> {
        let image = spec.image;
        let stages = self.stages(&format!("{}/{}", image.context, image.dockerfile.of(&platform.name)));
        let target = &platform.platform;
        let mut given = BTreeMap::from([
            ("TARGETPLATFORM", target.as_str()),
            ("TARGETOS", target.os()),
            ("TARGETARCH", target.architecture()),
            ("TARGETVARIANT", target.variant().unwrap_or_default()),
        ]);
        given.extend(args.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())));
        let contexts = image.contexts.iter().map(|context| context.name.as_str());
        let contexts = contexts.chain(spec.needs.iter().map(|(name, _)| name.as_str()));
        let target = image.target.as_ref().map(|target| target.value.as_str());
        stages.labels(target, &given, &contexts.map(str::to_ascii_lowercase).collect())
    }

    /// One that cannot be read sets nothing: `build` says what is wrong with it.
    fn stages(&self, path: &str) -> Rc<Stages> {
        if let Some(known) = self.read.borrow().get(path) {
            return Rc::clone(known);
        }
        let found = (self.inputs.read)(path).map(|text| Stages::of(&text)).unwrap_or_default();
        let found = Rc::new(found);
        self.read.borrow_mut().insert(path.to_owned(), Rc::clone(&found));
        found
    }
}
