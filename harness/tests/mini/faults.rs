//! Each fault against real containers: it bites, seen from outside and by its own claim; it is
//! written down before; healed, it leaves; healed again, nothing happens. Aimed at nothing, it says
//! so. And machines on which drills can't run.
//!
//! All cases share one stack of small containers, one after the other. No time is asserted, only
//! what is longer or more than before.

mod aimless;
mod bites;
mod crash;
mod instances;
mod stage;
mod unfit;

use libtest_mimic::Failed;
use stage::{Outcome, Stage};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use support::images;
use support::module::{Test, Tests};

type Case = for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// The stack, once a case has asked for it.
type Shared = Arc<tokio::sync::Mutex<Option<Result<Stage, String>>>>;

pub fn tests() -> Tests {
    firedrill::process::program::use_program(env!("CARGO_BIN_EXE_firedrill"));
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("runtime"),
    );
    let shared = Shared::default();
    let cases: [(&str, Case); 25] = [
        ("stop_ends_the_container_in_order", |s| Box::pin(bites::stop(s))),
        ("kill_ends_it_at_once", |s| Box::pin(bites::kill(s))),
        ("pause_freezes_it", |s| Box::pin(bites::pause(s))),
        ("restart_makes_it_begin_anew", |s| Box::pin(bites::restart(s))),
        ("cpu_pressure_takes_processor_time", |s| Box::pin(bites::cpu(s))),
        ("cpu_pressure_takes_a_share_of_a_small_limit", |s| Box::pin(bites::cpu_limited(s))),
        ("memory_pressure_fills_the_limit_and_kills_nobody", |s| Box::pin(bites::memory(s))),
        ("refuse_connections_refuses_one_client", |s| Box::pin(bites::refusal(s))),
        ("partition_lets_one_client_hang", |s| Box::pin(bites::partition(s))),
        ("cut_takes_every_packet_both_ways", |s| Box::pin(bites::cut_both_ways(s))),
        ("cut_takes_every_packet_one_way", |s| Box::pin(bites::cut_one_way(s))),
        ("packet_delay_delays_one_client", |s| Box::pin(bites::delay(s))),
        ("redis_fill_evicts_and_keeps_what_must_stay", |s| Box::pin(bites::fill(s))),
        ("one_instance_is_hit_and_the_other_is_not", |s| Box::pin(instances::one(s))),
        ("a_service_is_hit_in_each_of_its_instances", |s| Box::pin(instances::each(s))),
        ("a_connection_is_cut_to_one_instance_or_to_each", |s| Box::pin(instances::ends(s))),
        ("a_container_that_does_not_run_is_not_disturbed", |s| Box::pin(aimless::not_running(s))),
        ("a_service_that_is_not_there_is_named", |s| Box::pin(aimless::nobody(s))),
        ("a_port_that_nobody_uses_is_not_disturbed", |s| Box::pin(aimless::unused_port(s))),
        ("what_another_fault_has_cut_is_not_claimed", |s| Box::pin(aimless::cut_already(s))),
        ("pressure_where_there_is_none_to_make_is_refused", |s| Box::pin(aimless::no_pressure(s))),
        ("a_redis_that_never_evicts_is_refused", |s| Box::pin(aimless::never_evicts(s))),
        ("a_helper_that_was_killed_leaves_what_heal_mends", |s| Box::pin(crash::killed_helpers(s))),
        ("a_cut_is_mended_when_its_harness_is_gone", |s| Box::pin(crash::cut_off(s))),
        ("a_helper_that_was_told_nothing_ends_with_its_harness", |s| Box::pin(crash::orphans(s))),
    ];
    let mut tests: Vec<Test> = Vec::new();
    for (name, case) in cases {
        let (shared, runtime) = (shared.clone(), runtime.clone());
        tests.push(images::trial(name, stage::IMAGES, move || {
            runtime.block_on(on_stage(&shared, case))
        }));
    }
    for (name, case) in unfit::CASES {
        tests.push(images::needing(name, images::no_engine, move || {
            case().map_err(|e| Failed::from(e.to_string()))
        }));
    }
    Tests::one_by_one(tests).at_last(move || {
        let Some(Ok(stage)) = runtime.block_on(shared.lock()).take() else { return Ok(()) };
        let left = runtime.block_on(stage.leave());
        left.map_err(|e| format!("the stack was not left clean: {e}"))
    })
}

/// Runs a case, and sees that it leaves no fault behind, whatever came of it.
async fn on_stage(shared: &Shared, case: Case) -> Result<(), Failed> {
    let mut held = shared.lock().await;
    if held.is_none() {
        *held = Some(Stage::set().await.map_err(|e| e.to_string()));
    }
    let stage = match held.as_ref() {
        Some(Ok(stage)) => stage,
        Some(Err(why)) => return Err(Failed::from(format!("the stack did not come up: {why}"))),
        None => return Err(Failed::from("no stack")),
    };
    let ended = case(stage).await.map_err(|e| Failed::from(e.to_string()));
    let clean = stage.clean().await.map_err(|e| Failed::from(format!("it left something: {e}")));
    ended.and(clean)
}
