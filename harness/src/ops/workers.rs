//! Workers of a load as containers in the networks of a stack that is up, so that they reach its
//! services by name and share what the network is like in there. They are a run of their own:
//! journalled, watched by a reaper, removed with the load; the stack stays.

mod serving;

pub use serving::{PORT, ours, serve, token};

use crate::engine::label::{self, Owner};
use crate::engine::spec::{Attachment, ContainerSpec, FileSpec};
use crate::engine::{Engine, EngineError};
use crate::image::{Catalogue, Images};
use crate::journal::{Journal, Undo};
use crate::ops::options::run_id;
use crate::ops::settings::Common;
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::process::home::Home;
use crate::stack::reaper::Reaper;
use crate::stack::{Running, StackError, remove_run};
use loadgen::fleet::{Place, Token};
use std::time::{Duration, Instant};

/// Where a worker finds its token.
const TOKEN_PATH: &str = "/etc/firedrill/worker-token";
/// The user that workers run as: nobody.
const NOBODY: u64 = 65534;
/// Limits of each: a processor, and memory for 20,000 connections and half a million arrivals that
/// wait. The limit of open files is the engine's own: not every host may raise it, and a worker
/// that comes short of it says so.
const NANO_CPUS: i64 = 1_000_000_000;
const MEMORY: i64 = 512 << 20;
/// How long a worker may take until it listens.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Workers that listen.
#[derive(Debug)]
pub struct WorkerContainers {
    pub run: String,
    /// Where they listen.
    pub places: Vec<Place>,
    /// The secret that they know.
    pub token: Token,
    engine: Engine,
    journal: Journal,
    reaper: Reaper,
}

/// The image of our own program.
///
/// # Errors
/// It can't be made.
pub async fn own_image(engine: &Engine, common: &Common) -> Result<String, Failure> {
    let catalogue = Catalogue::load(&Home::find().images())?;
    let images = Images::new(engine.docker(), &catalogue, common.report.join("images"));
    let program =
        crate::process::program::program().map_err(|e| Failure::foreign(Exit::Defect, e))?;
    Ok(images.ensure_own("firedrill", &program, &[]).await?.reference)
}

impl WorkerContainers {
    /// Starts so many of them and waits until they listen. Nothing is left if one does not; if this
    /// is dropped before it returns, or its process is killed, the reaper removes what is there.
    ///
    /// # Errors
    /// The journal can't be written, or a container does not become ready.
    pub async fn up(
        engine: &Engine,
        journal: &Journal,
        stack: &Running,
        image: &str,
        count: u32,
        seed: u64,
    ) -> Result<WorkerContainers, StackError> {
        let run = run_id(seed);
        let what = format!("workers of load {run} in the networks of stack {}", stack.stack);
        journal.open(&run, &stack.stack, &what, Undo::RemoveRun { run: run.clone() })?;
        let reaper = Reaper::spawn(&run)?;
        match start(engine, stack, image, count, &run).await {
            Ok((places, token)) => Ok(WorkerContainers {
                run,
                places,
                token,
                engine: engine.clone(),
                journal: journal.clone(),
                reaper,
            }),
            Err(error) => {
                if remove_run(Some(engine), journal, &run).await.is_ok() {
                    reaper.dismiss();
                }
                Err(error)
            }
        }
    }

    /// Removes them.
    ///
    /// # Errors
    /// Something could not be removed; the reaper tries again.
    pub async fn down(self) -> Result<(), StackError> {
        remove_run(Some(&self.engine), &self.journal, &self.run).await?;
        self.reaper.dismiss();
        Ok(())
    }
}

async fn start(
    engine: &Engine,
    stack: &Running,
    image: &str,
    count: u32,
    run: &str,
) -> Result<(Vec<Place>, Token), StackError> {
    let secret = Token::draw().and_then(|text| Ok((Token::new(&text)?, text)));
    let (token, text) = secret.map_err(|e| EngineError::Unfit {
        what: e.to_string(),
        hint: "a kernel with getrandom is needed".into(),
    })?;
    let subnets = engine.subnets_with(label::RUN, Some(&stack.run)).await?;
    let specs: Vec<ContainerSpec> =
        (1..=count).map(|n| spec(stack, image, n, run, &text, &subnets)).collect();
    // All are started before the first is waited for.
    let made = specs.iter().map(|spec| async move {
        let id = engine.create(spec).await?;
        engine.start(&id).await.map(|()| id)
    });
    let ids = futures::future::try_join_all(made).await?;
    let mut places = Vec::new();
    for (spec, id) in specs.iter().zip(ids) {
        places.push(Place {
            name: spec.service.clone(),
            address: listening(engine, &spec.service, &id).await?,
        });
    }
    Ok((places, token))
}

/// A worker's container: our own program, as nobody, without any capability, which drives the
/// stack's networks only.
fn spec(
    stack: &Running,
    image: &str,
    number: u32,
    run: &str,
    token: &str,
    subnets: &[String],
) -> ContainerSpec {
    let owner = Owner {
        run: run.into(),
        stack: stack.stack.clone(),
        project: format!("firedrill-load-{run}"),
    };
    let service = format!("firedrill-worker-{number}");
    let listen = format!("0.0.0.0:{}", PORT);
    let command =
        ["worker", "--listen", &listen, "--token-file", TOKEN_PATH].map(str::to_owned).into_iter();
    let mut labels = owner.labels();
    labels.insert(label::SERVICE.into(), service.clone());
    ContainerSpec {
        name: format!("{}-{service}-1", owner.project),
        image: image.into(),
        command: Some(
            command.chain(subnets.iter().flat_map(|s| ["--allow".into(), s.clone()])).collect(),
        ),
        labels,
        user: Some(format!("{NOBODY}:{NOBODY}")),
        networks: stack
            .networks
            .iter()
            .map(|n| Attachment {
                network: n.clone(),
                aliases: vec![service.clone()],
                ..Attachment::default()
            })
            .collect(),
        cap_drop: vec!["ALL".into()],
        security_opt: vec!["no-new-privileges".into()],
        nano_cpus: NANO_CPUS,
        memory: MEMORY,
        pids_limit: 64,
        files: vec![FileSpec {
            path: TOKEN_PATH.into(),
            content: token.into(),
            mode: 0o400,
            uid: NOBODY,
            gid: NOBODY,
        }],
        service,
        ..ContainerSpec::default()
    }
}

/// Waits until a worker says that it listens; returns where it does, as this machine reaches it.
async fn listening(engine: &Engine, service: &str, id: &str) -> Result<String, StackError> {
    let began = Instant::now();
    loop {
        let (seen, said) = (engine.inspect(id).await?, engine.log_tail(id, 15).await?);
        if let Some(address) =
            seen.ip().filter(|_| said.iter().any(|line| line.starts_with("listening on ")))
        {
            return Ok(format!("{address}:{}", PORT));
        }
        let late = began.elapsed() > READY_WITHIN;
        if !seen.running || late {
            let seen = match seen.running {
                true => format!("it does not listen within {} s", READY_WITHIN.as_secs()),
                false => format!("it ended with {} {}", seen.exit_code, seen.error),
            };
            return Err(StackError::NotReady { service: service.into(), seen, log_tail: said });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
