//! Features: what is expected, told in Gherkin. Reading them builds the [`Plan`]; judging it answers them, one test case for
//! each scenario, which fails at its `Then` line.

use crate::plan::{LeftOut, Plan, Subject};
use crate::steps::Telling;
use cucumber::World as _;
use cucumber::feature::Ext as _;
use cucumber::gherkin;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is asked for by tags.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Tag expressions of the user, without `@`; a scenario is taken if it has one of them. Empty takes all but `nightly`.
    pub tags: Vec<String>,
}

/// Why features can't be turned into a plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read or is not Gherkin.
    #[error("{path}: {what}\nhint: {hint}")]
    Unreadable {
        /// File.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A step can't be understood.
    #[error("{place}: {what}\nhint: {hint}")]
    Step {
        /// `file:line`.
        place: String,
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The plan as a whole is not sound.
    #[error("{0}")]
    Plan(String),
    /// Nothing is selected.
    #[error("no scenario is selected by {0}\nhint: the tags are on the features' and scenarios' first lines")]
    NothingSelected(String),
}

/// Reads the feature files of a folder and builds the plan from those scenarios that are selected and apply to the stack.
///
/// A feature or scenario tagged `@stack:NAME` applies to that stack only; one tagged `@stack:other` to those stacks that no
/// other feature names.
///
/// # Errors
/// See [`Error`].
pub fn plan(folder: &Path, subject: &Arc<Subject>, selection: &Selection) -> Result<Plan, Error> {
    let features = read(folder)?;
    let name = &subject.declaration.stack;
    let named = features.iter().any(|f| f.tags.iter().any(|t| *t == format!("stack:{name}")) || scenarios(f).any(|(_, s)| s.tags.iter().any(|t| *t == format!("stack:{name}"))));
    let collection = Telling::collection();
    let mut plan = Plan { budgets: subject.budgets.clone(), ..Plan::default() };
    let mut selected = 0;
    for feature in &features {
        for (background, scenario) in scenarios(feature) {
            let tags: Vec<&str> = feature.tags.iter().chain(&scenario.tags).map(|t| t.trim_start_matches('@')).collect();
            if !applies(&tags, name, named) {
                continue;
            }
            if let Some(reason) = left_out(&tags, selection) {
                plan.left_out.push(LeftOut { feature: feature.name.clone(), scenario: scenario.name.clone(), reason });
                continue;
            }
            selected += 1;
            let mut telling = Telling { subject: Some(subject.clone()), plan, feature: feature.name.clone(), scenario: scenario.name.clone(), ..Telling::default() };
            for step in background.iter().chain(&scenario.steps) {
                tell(&collection, &mut telling, feature, step)?;
            }
            plan = telling.plan;
            // What the other steps expect stays; what has no subject is listed as skipped. The roll-call tells an owner's choice from
            // an expectation that got lost.
            if let Some(reason) = telling.absent {
                plan.left_out.push(LeftOut { feature: feature.name.clone(), scenario: scenario.name.clone(), reason });
            }
        }
    }
    if selected == 0 {
        return Err(Error::NothingSelected(if selection.tags.is_empty() { format!("stack {name}") } else { selection.tags.join(",") }));
    }
    plan.finish().map_err(Error::Plan)?;
    Ok(plan)
}

fn applies(tags: &[&str], stack: &str, named: bool) -> bool {
    let stacks: Vec<&str> = tags.iter().filter_map(|t| t.strip_prefix("stack:")).collect();
    stacks.is_empty() || stacks.contains(&stack) || (stacks.contains(&"other") && !named)
}

fn left_out(tags: &[&str], selection: &Selection) -> Option<String> {
    if selection.tags.is_empty() {
        return tags.contains(&"nightly").then(|| "@nightly: a slow drill; run it with --tags nightly".to_owned());
    }
    let taken = tags.iter().any(|t| selection.tags.iter().any(|w| w == t));
    (!taken).then(|| format!("not selected by --tags {}", selection.tags.join(",")))
}

fn scenarios(feature: &gherkin::Feature) -> impl Iterator<Item = (Vec<gherkin::Step>, &gherkin::Scenario)> {
    let steps = |b: &Option<gherkin::Background>| b.as_ref().map(|b| b.steps.clone()).unwrap_or_default();
    let own = steps(&feature.background);
    let direct = {
        let own = own.clone();
        feature.scenarios.iter().map(move |s| (own.clone(), s))
    };
    let ruled = feature.rules.iter().flat_map(move |r| {
        let mut background = own.clone();
        background.extend(steps(&r.background));
        r.scenarios.iter().map(move |s| (background.clone(), s))
    });
    direct.chain(ruled)
}

fn read(folder: &Path) -> Result<Vec<gherkin::Feature>, Error> {
    let unreadable = |path: &Path, what: String| Error::Unreadable { path: path.into(), what, hint: "a feature file is Gherkin: Feature, Scenario, Given, When, Then".into() };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|e| unreadable(folder, e.to_string()))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "feature"))
        .collect();
    paths.sort();
    let mut features = Vec::new();
    for path in paths {
        let feature = gherkin::Feature::parse_path(&path, gherkin::GherkinEnv::default()).map_err(|e| unreadable(&path, e.to_string()))?;
        features.push(feature.expand_examples().map_err(|e| unreadable(&path, e.to_string()))?);
    }
    Ok(features)
}

fn tell(collection: &cucumber::step::Collection<Telling>, telling: &mut Telling, feature: &gherkin::Feature, step: &gherkin::Step) -> Result<(), Error> {
    let file = feature.path.as_deref().and_then(Path::file_name).map(|f| f.to_string_lossy().into_owned()).unwrap_or_default();
    let place = format!("{file}:{}", step.position.line);
    let error = |what: String, hint: &str| Error::Step { place: place.clone(), what, hint: hint.into() };
    telling.place.clone_from(&place);
    telling.step = format!("{} {}", step.keyword.trim(), step.value);
    match collection.find(step) {
        Ok(Some((function, _, _, context))) => {
            // Steps only build the plan: they never wait for anything, so one poll is enough.
            futures::executor::block_on(function(telling, context));
            match telling.wrong.take() {
                Some((what, hint)) => Err(error(what, &hint)),
                None => Ok(()),
            }
        }
        Ok(None) => Err(error(format!("no step is called {:?}", step.value), "the steps are in harness/src/steps, one file for each domain")),
        Err(ambiguous) => Err(error(format!("{:?} matches several steps: {ambiguous}", step.value), "make one of the steps more precise")),
    }
}
