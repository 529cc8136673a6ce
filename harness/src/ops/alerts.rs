//! Every alert of a stack, from its cause to whoever must be notified, and to the end of it.

use crate::ops::options::Options;
use crate::plan::Plan;
use crate::plan::features::{self, Selection};
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use std::sync::Arc;
use verdict::check::roll_call::Required;

/// Every drill of the stack's scenarios folder, and for every alert that firedrill.yaml declares
/// that it fires, reaches its receivers and resolves: one that no drill is about can't be judged,
/// which the roll-call tells.
///
/// # Errors
/// The stack's files or the features are wrong.
pub fn plan(options: &Options) -> Result<Plan, Failure> {
    let read = options.read()?;
    let subject = Arc::new(read.subject);
    let told = options.home.features().join("commands");
    let mut plan = features::plan(&told, &subject, &Selection::default())
        .map_err(|e| Failure::new(Exit::Usage, e))?;
    plan.mutation = true;
    let declared = subject.declaration.alerts.iter();
    let claims = ["fires", "reaches", "resolves"];
    // An alert about what is left out can't fire, whether or not a drill would raise it.
    let required = declared
        .filter(|a| {
            subject
                .about_left_out(a)
                .is_none_or(|(service, _)| !subject.unavailable.contains(service))
        })
        .flat_map(|a| claims.map(|claim| Required::new(format!("alert.{}.{claim}", a.name), 1)))
        .collect();
    plan.call(required, &subject.unavailable);
    Ok(plan)
}
