//! The services of both applications against the real PostgreSQL, Redis, Postfix, Dovecot and Jaeger: what they do when
//! all is well, and what they do while one of these is gone, silent or slow, and after it has come
//! back.

mod app;
mod backends;
mod faults;
mod gate;
mod healthy;
mod laboratory;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

use app::{App, Outcome};
use backends::Backends;
use libtest_mimic::{Arguments, Failed};
use support::images;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

type Test = for<'a> fn(&'a App) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each test drives several processes: two at a time is what a small machine bears.
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(2).min(2));
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => Arc::new(runtime),
            Err(error) => {
                eprintln!("no runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
    let backends: Arc<OnceCell<Arc<Backends>>> = Arc::default();
    let trials =
        healthy::TESTS.iter().chain(faults::TESTS).chain(laboratory::TESTS).map(|(name, test)| {
            let (runtime, backends) = (runtime.clone(), backends.clone());
            images::trial(name, backends::IMAGES, move || run(&runtime, &backends, *test)).into()
        });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // Containers are removed from within the runtime.
    let started = backends.initialized();
    let left = runtime.block_on(async {
        drop(backends);
        if started { backends::left().await } else { Ok(0) }
    });
    match left {
        Ok(0) => conclusion.exit_code(),
        left => {
            eprintln!("containers of the tests are left: {left:?}");
            ExitCode::FAILURE
        }
    }
}

fn run(runtime: &Runtime, backends: &OnceCell<Arc<Backends>>, test: Test) -> Result<(), Failed> {
    let failed = |error: Box<dyn std::error::Error>| Failed::from(error.to_string());
    runtime.block_on(async {
        let backends = backends
            .get_or_try_init(async || Backends::start().await.map(Arc::new))
            .await
            .map_err(failed)?;
        let app = App::new(backends.clone()).await.map_err(failed)?;
        test(&app).await.map_err(|error| {
            // The folder goes with the app: what the services said is worth more than that.
            let mut text = error.to_string();
            let logs = std::fs::read_dir(app.folder.path()).into_iter().flatten().flatten();
            for file in logs.map(|entry| entry.path()) {
                let name = file.file_stem().unwrap_or_default().display();
                let log = std::fs::read_to_string(&file).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(8).collect();
                text.push_str(&format!(
                    "\n--- last lines of {name}, newest first\n{}",
                    last.join("\n")
                ));
            }
            Failed::from(text)
        })
    })
}
