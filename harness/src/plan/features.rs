//! Features: what is expected, told in Gherkin. Reading them builds the [`Plan`]; judging it
//! answers them, one test case for each scenario, which fails at its `Then` line.

use crate::declaration::Declaration;
use crate::plan::steps::StepWorld;
use crate::plan::{LeftOut, Plan, PlanContext};
use crate::process::exit::Exit;
use crate::process::failure::{Advice, UserError};
use crate::yaml::suggest;
use cucumber::World as _;
use cucumber::feature::Ext as _;
use cucumber::gherkin;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Tag of what is about servers that stand in for each other.
const REDUNDANT: &str = "redundant";

/// What is asked for by tags.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Tag expressions of the user, without `@`; a scenario is taken if it has one of them. Empty
    /// takes all but `nightly`.
    pub tags: Vec<String>,
}

/// Why features can't be turned into a plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read or is not Gherkin.
    #[error("{}{}: {what}", path.display(), if *line == 0 { String::new() } else { format!(":{line}") })]
    Unreadable {
        path: PathBuf,
        /// Line, from 1; 0 if the whole file is meant.
        line: usize,
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// A step can't be understood.
    #[error("{place}: {what}")]
    Step {
        place: String,
        /// What is wrong.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The plan as a whole is not sound.
    #[error("{}", .0.what)]
    Plan(Advice),
    /// No scenario has this tag.
    #[error("no scenario of stack {stack} has the tag {tag}")]
    UnknownTag {
        /// Tag that was asked for.
        tag: String,
        stack: String,
        /// What to do.
        hint: String,
    },
    /// No scenario is about the stack.
    #[error("no scenario in {folder} applies to stack {stack}")]
    NothingApplies {
        stack: String,
        /// Folder of the features.
        folder: PathBuf,
    },
    /// All that is about the stack is left out.
    #[error("all scenarios of stack {0} are left out")]
    AllLeftOut(String),
}

impl UserError for Error {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Error::Unreadable { hint, .. }
            | Error::Step { hint, .. }
            | Error::UnknownTag { hint, .. } => hint.clone(),
            Error::Plan(e) => return e.hints.clone(),
            Error::NothingApplies { stack, .. } => format!(
                "tag one @stack:{stack}, or @stack:other for every stack without features of its own"
            ),
            Error::AllLeftOut(_) => "those tagged @nightly run with --tags nightly".into(),
        };
        vec![hint]
    }
}

/// Reads the feature files of a folder and builds the plan from those scenarios that are selected
/// and apply to the stack.
///
/// A feature or scenario tagged `@stack:NAME` applies to that stack only; one tagged `@stack:other`
/// to those stacks that no other feature names; one tagged `@redundant` to those with several
/// servers of one role.
///
/// # Errors
/// See [`Error`].
pub fn plan(
    folder: &Path,
    subject: &Arc<PlanContext>,
    selection: &Selection,
) -> Result<Plan, Error> {
    let mut plan = collect(folder, subject, Some(selection))?;
    for optional in &subject.declaration.optional {
        if let Some((service, reason)) = subject.is_left_out(&optional.service) {
            plan.skip(&optional.verdicts, service, &reason);
        }
    }
    plan.finish().map_err(Error::Plan)?;
    Ok(plan)
}

/// Ids of all verdicts that any scenario about the stack asks for, whatever its tags.
///
/// # Errors
/// See [`Error`].
pub fn verdicts(folder: &Path, subject: &Arc<PlanContext>) -> Result<BTreeSet<String>, Error> {
    let plan = collect(folder, subject, None)?;
    let told = plan.expectations.iter().map(|p| p.expectation.checker().id());
    Ok(told.chain(plan.left_out.iter().flat_map(|left| left.verdicts.iter().cloned())).collect())
}

/// What the selected scenarios expect, or all of them.
fn collect(
    folder: &Path,
    subject: &Arc<PlanContext>,
    selection: Option<&Selection>,
) -> Result<Plan, Error> {
    let features = read(folder)?;
    let name = &subject.declaration.stack;
    let named = features.iter().any(|f| {
        f.tags.iter().any(|t| *t == format!("stack:{name}"))
            || scenarios(f).any(|(_, s)| s.tags.iter().any(|t| *t == format!("stack:{name}")))
    });
    if let Some(selection) = selection {
        check_tags(&features, &subject.declaration, named, selection)?;
    }
    let collection = StepWorld::collection();
    let (budgets, apart, absent) =
        (subject.budgets.clone(), subject.apart.clone(), subject.absent.clone());
    let mut plan = Plan { budgets, apart, absent, ..Plan::default() };
    let mut selected = 0;
    for feature in &features {
        for (background, scenario) in scenarios(feature) {
            let tags: Vec<&str> = feature
                .tags
                .iter()
                .chain(&scenario.tags)
                .map(|t| t.trim_start_matches('@'))
                .collect();
            if !applies(&tags, &subject.declaration, named) {
                continue;
            }
            if let Some(reason) = selection.and_then(|s| left_out(&tags, s)) {
                plan.left_out.push(LeftOut {
                    feature: feature.name.clone(),
                    scenario: scenario.name.clone(),
                    reason,
                    ..LeftOut::default()
                });
                continue;
            }
            selected += 1;
            let mut telling = StepWorld {
                subject: Some(subject.clone()),
                plan,
                feature: feature.name.clone(),
                scenario: scenario.name.clone(),
                ..StepWorld::default()
            };
            for step in background.iter().chain(&scenario.steps) {
                tell(&collection, &mut telling, feature, step)?;
            }
            plan = telling.plan;
            // What the other steps expect stays; what has no subject is listed as skipped. The
            // roll-call tells an owner's choice from an expectation that got lost.
            if let Some(reason) = telling.absent {
                plan.left_out.push(LeftOut {
                    feature: feature.name.clone(),
                    scenario: scenario.name.clone(),
                    reason,
                    ..LeftOut::default()
                });
            }
        }
    }
    if selected == 0 {
        return Err(if plan.left_out.is_empty() {
            Error::NothingApplies { stack: name.clone(), folder: folder.into() }
        } else {
            Error::AllLeftOut(name.clone())
        });
    }
    Ok(plan)
}

/// The line at which the parser stopped, which it tells in words only ("Error at 3:5: …"); 0 if it
/// does not.
fn line_of(error: &impl std::fmt::Display) -> usize {
    let told = error.to_string();
    told.split(|c: char| !c.is_ascii_digit()).find_map(|number| number.parse().ok()).unwrap_or(0)
}

/// Each tag that is asked for must be on a scenario that applies: a misspelt one would leave out
/// silently what it was meant for.
fn check_tags(
    features: &[gherkin::Feature],
    declaration: &Declaration,
    named: bool,
    selection: &Selection,
) -> Result<(), Error> {
    let mut known = BTreeSet::new();
    for feature in features {
        for (_, scenario) in scenarios(feature) {
            let tags: Vec<&str> = feature
                .tags
                .iter()
                .chain(&scenario.tags)
                .map(|t| t.trim_start_matches('@'))
                .collect();
            if applies(&tags, declaration, named) {
                known.extend(tags);
            }
        }
    }
    let Some(tag) = selection.tags.iter().find(|t| !known.contains(t.trim_start_matches('@')))
    else {
        return Ok(());
    };
    Err(Error::UnknownTag {
        tag: tag.clone(),
        stack: declaration.stack.clone(),
        hint: suggest(tag, known, "tags"),
    })
}

fn applies(tags: &[&str], declaration: &Declaration, named: bool) -> bool {
    if tags.contains(&REDUNDANT) && !declaration.roles.are_redundant() {
        return false;
    }
    let stack = declaration.stack.as_str();
    let stacks: Vec<&str> = tags.iter().filter_map(|t| t.strip_prefix("stack:")).collect();
    stacks.is_empty() || stacks.contains(&stack) || (stacks.contains(&"other") && !named)
}

fn left_out(tags: &[&str], selection: &Selection) -> Option<String> {
    if selection.tags.is_empty() {
        return tags
            .contains(&"nightly")
            .then(|| "@nightly: a slow drill; run it with --tags nightly".to_owned());
    }
    let taken = tags.iter().any(|t| selection.tags.iter().any(|w| w.trim_start_matches('@') == *t));
    (!taken).then(|| format!("not selected by --tags {}", selection.tags.join(",")))
}

fn scenarios(
    feature: &gherkin::Feature,
) -> impl Iterator<Item = (Vec<gherkin::Step>, &gherkin::Scenario)> {
    let steps =
        |b: &Option<gherkin::Background>| b.as_ref().map(|b| b.steps.clone()).unwrap_or_default();
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
    let gherkin = "a line begins with Feature:, Rule:, Background:, Scenario:, Scenario Outline:, Examples:, Given, When, Then, And, But, | or @";
    let unreadable = |path: &Path, line: usize, what: String| Error::Unreadable {
        path: path.into(),
        line,
        what,
        hint: gherkin.into(),
    };
    let not_gherkin = |path: &Path, e: gherkin::ParseFileError| match e {
        gherkin::ParseFileError::Reading { source, .. } => {
            unreadable(path, 0, format!("can't be read: {source}"))
        }
        gherkin::ParseFileError::Parsing { error: Some(error), source, .. } => unreadable(
            path,
            line_of(&source),
            format!(
                "this is no Gherkin: {}",
                error.to_string().trim_end_matches('.').to_lowercase()
            ),
        ),
        gherkin::ParseFileError::Parsing { source, .. } => {
            unreadable(path, line_of(&source), "this is no Gherkin".into())
        }
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(|e| unreadable(folder, 0, e.to_string()))?
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "feature"))
        .collect();
    paths.sort();
    let mut features = Vec::new();
    for path in paths {
        let feature = gherkin::Feature::parse_path(&path, gherkin::GherkinEnv::default())
            .map_err(|e| not_gherkin(&path, e))?;
        features.push(feature.expand_examples().map_err(|e| unreadable(&path, 0, e.to_string()))?);
    }
    Ok(features)
}

fn tell(
    collection: &cucumber::step::Collection<StepWorld>,
    telling: &mut StepWorld,
    feature: &gherkin::Feature,
    step: &gherkin::Step,
) -> Result<(), Error> {
    let file = feature
        .path
        .as_deref()
        .and_then(Path::file_name)
        .map(|f| f.to_string_lossy().into_owned())
        .unwrap_or_default();
    let place = format!("{file}:{}", step.position.line);
    let whole = feature
        .path
        .as_deref()
        .map(|p| format!("{}:{}", p.display(), step.position.line))
        .unwrap_or_else(|| place.clone());
    let error =
        |what: String, hint: &str| Error::Step { place: whole.clone(), what, hint: hint.into() };
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
        Ok(None) => Err(error(
            format!("there is no step \"{}\"", step.value),
            "take the words and the keyword (Given, When, Then) of a step that exists: harness/src/plan/steps has one file for each domain, features/ shows them in use",
        )),
        Err(ambiguous) => Err(error(
            format!("{:?} matches several steps: {ambiguous}", step.value),
            "make one of the steps more precise",
        )),
    }
}
