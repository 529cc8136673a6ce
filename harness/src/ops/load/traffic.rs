//! The load of traffic that a file states, without a stack.

use super::course::{Defaults, LoadProfile};
use super::place::{Named, Place, Secured, Spoken, named};
use super::{Arguments, Running, stack, usage};
use crate::ops::workers::ours;
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::yaml;
use loadgen::traffic::stated::StatedTraffic;
use loadgen::traffic::{Mistake, Traffic};
use loadgen::{Arrival, Workload};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use verdict::history::load::LoadSummary;

/// How long it is driven unless told otherwise.
const DURATION: Duration = Duration::from_secs(60);

/// Drives it: paths without a place are asked at this URL.
pub(super) async fn drive(
    file: &Path,
    url: &str,
    arguments: &Arguments,
    running: &Running,
) -> Result<LoadSummary, Failure> {
    let Named::Place(place @ Place { spoken: Spoken::Http, secured: Secured::No, .. }) =
        named(url)?
    else {
        return Err(usage("journeys speak plain HTTP so far").hint("name a URL with http://"));
    };
    if arguments.fleet.asked() {
        return Err(usage("workers drive one URL only so far").hint("leave out --workers"));
    }
    let mut stated: StatedTraffic = yaml::read(file)?;
    stated.http.get_or_insert_with(|| place.at());
    let traffic = Traffic::read(&stated).map_err(|Mistake { keys, what, hint }| {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        yaml::error_at(file, &keys, what, hint)
    })?;
    let journeys = match arguments.journey.as_slice() {
        [] => traffic.weights(),
        named => {
            let known = stated.journey_names();
            named.iter().map(|text| stack::journey(text, &known)).collect::<Result<_, _>>()?
        }
    };
    let course = LoadProfile::of(
        arguments,
        Defaults { rate: Some(stated.rate), arrival: Arrival::Poisson, duration: Some(DURATION) },
    )?;
    let workload = Workload {
        rate: stated.rate,
        arrival: Arrival::Poisson,
        traffic: Arc::new(traffic),
        journeys,
        places: BTreeMap::new(),
        seed: running.seed,
        stream: "load".into(),
    };
    let networks = ours().await;
    for place in workload.traffic.places() {
        loadgen::check_target(place, &networks)
            .await
            .map_err(|e| Failure::of_load(Exit::Usage, e))?;
    }
    course
        .follow(arguments, running, async |paced| {
            stack::drive_workload(&workload, &networks, paced, arguments, running).await
        })
        .await
}
