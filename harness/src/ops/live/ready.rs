//! What a stack is started from: the machine looked at, images tried, and the plan made of what can
//! be had.

use super::containers::{self, Obtained};
use super::{LiveStack, Times};
use crate::declaration::PortBinding;
use crate::engine::Engine;
use crate::journal::Journal;
use crate::ops::options::{Options, run_id};
use crate::plan::Plan;
use crate::plan::preflight;
use crate::plan::subject::LoadedStack;
use crate::process::clock::RunClock;
use crate::process::exit::Exit;
use crate::process::failure::{Failure, UserError};
use crate::process::interrupt::Interrupt;
use crate::process::progress::Progress;
use crate::stack;
use crate::stack::reaper::Reaper;
use std::collections::BTreeMap;
use std::sync::Mutex;
use verdict::history;
use verdict::history::run::{Deviation, DeviationKind};

/// Brings a stack up with the plan that `plan` makes of it once it is known which images can be
/// had: an optional service without its image is left out of both.
///
/// # Errors
/// The plan can't be made, or as [`LiveStack::up`].
pub async fn up_planned(
    options: &Options,
    plan: impl Fn(&Options) -> Result<Plan, Failure>,
) -> Result<(LiveStack, Plan), Failure> {
    // What is wrong with the files is told before anything is obtained.
    let planned = plan(options)?;
    let ready = Ready::obtain(options, &planned).await?;
    let planned = if ready.options.unavailable == options.unavailable {
        planned
    } else {
        plan(&ready.options)?
    };
    Ok((ready.up().await?, planned))
}

/// Everything that a stack is started from: the engine, the images that can be had, and the stack
/// as it is read without the services whose image can't be.
pub(super) struct Ready {
    options: Options,
    engine: Engine,
    read: LoadedStack,
    progress: Progress,
    interrupt: Interrupt,
    images: BTreeMap<String, String>,
    /// Image of our own binary.
    own: String,
    deviations: Vec<Deviation>,
    clock: RunClock,
    images_took: (history::At, history::At),
}

impl Ready {
    /// Looks at the machine, and obtains images; what the plan's faults need of this machine is
    /// looked at before.
    pub(super) async fn obtain(options: &Options, plan: &Plan) -> Result<Ready, Failure> {
        let interrupt = Interrupt::listen().map_err(|e| {
            Failure::new(Exit::Defect, format!("signals can't be listened to: {e}"))
        })?;
        let clock = RunClock::begin();
        let progress = Progress::new(options.common.quiet);
        progress.say(&format!("seed {}", options.seed));
        let read = options.read()?;
        options.check_report()?;
        read.stack.logins_are_there()?;
        if read.subject.declaration.ports == PortBinding::Fixed {
            stack::ports_are_free(&read.stack)?;
        }
        let stopped = || Failure::new(Exit::Interrupted, "interrupted; nothing was started");
        let engine = interrupt
            .unless(crate::stack::provision::engine(options.common.provision, &|line: &str| {
                progress.say(line)
            }))
            .await
            .ok_or_else(stopped)?;
        let engine = engine?;
        let fit = interrupt
            .unless(preflight::require(&engine, &preflight::needs(plan)))
            .await
            .ok_or_else(stopped)?;
        fit?;
        let images_from = clock.now();
        let obtained = interrupt
            .unless(containers::images(options, &engine, &read, &progress))
            .await
            .ok_or_else(stopped)??;
        let images_took = (images_from, clock.now());
        let Obtained { mut images, own, differs, unavailable } = obtained;
        let (mut options, mut read) = (options.clone(), read);
        if !unavailable.is_empty() {
            options.unavailable.extend(unavailable);
            read = options.read()?;
            images.retain(|service, _| read.stack.topology.services.contains_key(service));
        }
        let deviations = read.deviations.iter().cloned().chain(differs).collect();
        Ok(Ready {
            options,
            engine,
            read,
            progress,
            interrupt,
            images,
            own,
            deviations,
            clock,
            images_took,
        })
    }

    pub(super) async fn up(self) -> Result<LiveStack, Failure> {
        let Ready {
            options,
            engine,
            read,
            progress,
            interrupt,
            images,
            own,
            mut deviations,
            clock,
            images_took,
        } = self;
        let journal = Journal::of_user();
        let run = run_id(options.seed);
        let reaper = if options.common.keep {
            None
        } else {
            Some(Reaper::spawn(&run).map_err(|e| Failure::new(Exit::Defect, e))?)
        };
        interrupt.reaper_watches(reaper.is_some());
        let up_from = clock.now();
        progress.say(&format!("run {run}: {} services", read.subject.services.len()));
        let brought = interrupt
            .unless(containers::bring(
                &engine,
                &journal,
                &read,
                &run,
                (&images, &own),
                options.common.keep,
                &progress,
            ))
            .await;
        let Some(brought) = brought else {
            stack::remove_run(Some(&engine), &journal, &run).await.map_err(|e| {
                let advice =
                    e.advice().within("interrupted, and what was started could not be removed");
                Failure::new(Exit::Interrupted, advice).hint("firedrill down --all tries again")
            })?;
            if let Some(reaper) = reaper {
                reaper.dismiss();
            }
            return Err(Failure::new(
                Exit::Interrupted,
                "interrupted; what was started is removed",
            ));
        };
        let containers::BroughtUp { running, additions, prologue } = brought?;
        deviations.extend(
            running
                .deviations
                .iter()
                .map(|d| Deviation::new(DeviationKind::System, &d.what, &d.why)),
        );
        let times = Times { clock, images: images_took, up: (up_from, clock.now()) };
        progress.say(&format!("up after {:.1} s", running.up_s));
        Ok(LiveStack {
            options,
            engine,
            running,
            additions,
            read,
            journal,
            reaper,
            progress,
            interrupt,
            images,
            deviations,
            prologue: Mutex::new(prologue),
            times,
        })
    }
}
