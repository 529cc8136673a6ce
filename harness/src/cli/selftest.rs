//! `firedrill selftest`: breaks the stack's monitoring in known ways, and sees each convicted with the right cause.

use super::{Common, Failure};
use crate::drill::bring_up::{Live, Options, settled};
use crate::exit::Exit;
use crate::report::Report;
use crate::sabotage;
use crate::stack::suggest;

/// Arguments of `selftest`.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Name of a stack under compose/stacks, or a folder with a Compose file and a firedrill.yaml.
    #[arg(default_value = "email")]
    stack: String,
    /// Only this sabotage (a file in the stack's sabotage folder, without .yaml); may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// This many, drawn by seed; all without it.
    #[arg(long, value_name = "N", conflicts_with = "only")]
    count: Option<usize>,
}

/// Tries the catalogue on one running stack; the healthy stack must be acquitted first.
pub async fn run(arguments: &Arguments, common: &Common) -> Result<Exit, Failure> {
    let options = Options::new(&arguments.stack, common);
    let folder = options.sabotage_folder()?;
    let catalogue = sabotage::read_all(&folder)?;
    if let Some(unknown) = arguments.only.iter().find(|n| !catalogue.contains_key(*n)) {
        return Err(Failure::new(
            Exit::Usage,
            format!("there is no sabotage {unknown}\nhint: {}", suggest(unknown, catalogue.keys().map(String::as_str), "sabotages")),
        ));
    }
    let chosen: Vec<String> = match arguments.count {
        Some(count) => sabotage::subset(&catalogue, options.seed, count),
        None => catalogue.keys().filter(|n| arguments.only.is_empty() || arguments.only.contains(n)).cloned().collect(),
    };
    if chosen.is_empty() {
        return Err(Failure::new(Exit::Usage, "no sabotage is selected\nhint: the catalogue is the folder `sabotage` of the stack"));
    }
    // What the files say wrongly is found before a stack is up for it.
    let plan = |options: &Options| {
        let mut plan = options.plan()?;
        for name in &chosen {
            catalogue[name].check(&folder, &plan)?;
        }
        // What is about a service that is left out is told with the others, and not tried.
        let gone = |name: &&String| catalogue[*name].left_out(&plan);
        if let Some(reason) = chosen.iter().map(|name| gone(&name)).collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().next()) {
            return Err(Failure::new(Exit::Unfit, format!("no sabotage can be tried: {reason}\nhint: firedrill images obtains images")));
        }
        let verdicts = chosen.iter().filter(|name| gone(name).is_none()).map(|n| catalogue[n].expect.verdict.clone()).collect();
        plan.only_verdicts(&verdicts);
        Ok(plan)
    };
    let (live, healthy) = settled(&options, plan).await?;
    let tried = match healthy {
        Ok(healthy) => try_all(&live, &chosen, &catalogue, &healthy.report).await,
        Err(failure) => Err(failure),
    };
    super::verify::leave(live, common.keep, tried).await
}

async fn try_all(
    live: &Live,
    chosen: &[String],
    catalogue: &std::collections::BTreeMap<String, sabotage::Sabotage>,
    healthy: &Report,
) -> Result<Exit, Failure> {
    let (mut missed, mut tried) = (0, 0);
    let plan = live.options.plan()?;
    let acquitted = healthy.exit() == Exit::Pass;
    println!(
        "{} healthy stack: {} passed, {} failed, {} unknown",
        if acquitted { "acquitted" } else { "NOT ACQUITTED" },
        healthy.summary.passed,
        healthy.summary.failed,
        healthy.summary.unknown
    );
    if !acquitted {
        print!("{}", crate::report::text::render(healthy));
        missed += 1;
    }
    for name in chosen {
        let sabotage = &catalogue[name];
        if let Some(why) = sabotage.left_out(&plan) {
            println!("left out {name}: {why}");
            continue;
        }
        tried += 1;
        let outcome = sabotage::try_on(live, sabotage).await?;
        println!(
            "{} {name}: {} ({:.0} s)",
            if outcome.convicted { "convicted" } else { "NOT CONVICTED" },
            sabotage.summary,
            outcome.seconds
        );
        outcome.told.lines().for_each(|l| println!("    {l}"));
        missed += usize::from(!outcome.convicted);
    }
    println!(
        "{} of {} convicted, healthy stack {}",
        tried + usize::from(!acquitted) - missed,
        tried,
        if acquitted { "acquitted" } else { "not acquitted" }
    );
    Ok(if missed == 0 { Exit::Pass } else { Exit::Fail })
}
