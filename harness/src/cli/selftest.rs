//! `firedrill selftest`: breaks the stack's monitoring in known ways, and sees each convicted with the right cause.

use super::{Common, Failure};
use crate::drill::bring_up::{Live, Options};
use crate::exit::Exit;
use crate::sabotage;

/// Arguments of `selftest`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Stack.
    #[arg(default_value = "email")]
    stack: String,
    /// Only these sabotages.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// This many, drawn by seed; all without it.
    #[arg(long, value_name = "N", conflicts_with = "only")]
    count: Option<usize>,
}

/// Tries the catalogue on one running stack; the healthy stack must be acquitted first.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let options = Options::new(&arguments.stack, common);
    let catalogue = sabotage::read_all(&options.sabotage_folder()?)?;
    if let Some(unknown) = arguments.only.iter().find(|n| !catalogue.contains_key(*n)) {
        return Err(Failure::new(Exit::Usage, format!("no sabotage {unknown:?}\nhint: there are {}", catalogue.keys().cloned().collect::<Vec<_>>().join(", "))));
    }
    let chosen: Vec<String> = match arguments.count {
        Some(count) => sabotage::subset(&catalogue, options.seed, count),
        None => catalogue.keys().filter(|n| arguments.only.is_empty() || arguments.only.contains(n)).cloned().collect(),
    };
    if chosen.is_empty() {
        return Err(Failure::new(Exit::Usage, "no sabotage is selected\nhint: the catalogue is the folder `sabotage` of the stack"));
    }
    let live = Live::up(&options).await?;
    let verdicts = chosen.iter().map(|n| catalogue[n].expect.verdict.clone()).collect();
    let tried = try_all(&live, &chosen, &catalogue, verdicts).await;
    let removed = if common.keep { live.keep().await } else { live.down().await };
    let exit = tried?;
    removed?;
    Ok(exit)
}

async fn try_all(live: &Live, chosen: &[String], catalogue: &std::collections::BTreeMap<String, sabotage::Sabotage>, verdicts: std::collections::BTreeSet<String>) -> Result<Exit, Failure> {
    let mut plan = live.options.plan()?;
    plan.only_verdicts(&verdicts);
    let healthy = live.run(&plan).await?.report;
    let mut missed = 0;
    let acquitted = healthy.exit() == Exit::Pass;
    println!("{} healthy stack: {} passed, {} failed, {} unknown", if acquitted { "acquitted" } else { "NOT ACQUITTED" }, healthy.summary.passed, healthy.summary.failed, healthy.summary.unknown);
    if !acquitted {
        print!("{}", crate::report::text::render(&healthy));
        missed += 1;
    }
    for name in chosen {
        let sabotage = &catalogue[name];
        let outcome = sabotage::try_on(live, sabotage).await?;
        println!("{} {name}: {} ({:.0} s)", if outcome.convicted { "convicted" } else { "NOT CONVICTED" }, sabotage.summary, outcome.seconds);
        outcome.told.lines().for_each(|l| println!("    {l}"));
        missed += usize::from(!outcome.convicted);
    }
    println!("{} of {} convicted, healthy stack {}", chosen.len() + usize::from(!acquitted) - missed, chosen.len(), if acquitted { "acquitted" } else { "not acquitted" });
    Ok(if missed == 0 { Exit::Pass } else { Exit::Fail })
}
