//! Putting a sabotage over a running stack, and taking it off again.

use super::{Apply, Request, Sabotage, SilenceSpec};
use crate::ops::live::{LiveStack, rendered};
use crate::plan::subject::{self, Asked};
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::stack::{self, WorkCopy};
use config::monitoring::matcher::{LabelMatcher, MatcherOp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

impl LiveStack {
    /// Breaks the running stack's monitoring.
    ///
    /// # Errors
    /// The overlay does not fit the stack, or the stack can't take it over.
    pub async fn apply(&self, sabotage: &Sabotage) -> Result<(), Failure> {
        let broken = tempfile::tempdir().map_err(|e| Failure::foreign(Exit::Unfit, e))?;
        let of = format!("sabotage {}", sabotage.name);
        super::broken_copy(&self.read.stack.folder, broken.path(), &of, sabotage.all_changes())?;
        let scaled = self.scaled(broken.path(), sabotage);
        self.take_over(broken.path(), &scaled, sabotage, true).await
    }

    /// Takes a sabotage back.
    ///
    /// # Errors
    /// The stack can't take it over.
    pub async fn restore(&self, sabotage: &Sabotage) -> Result<(), Failure> {
        self.take_over(&self.read.stack.folder, &rendered(&self.read), sabotage, false).await
    }

    /// The broken stack's monitoring files at the stack's time scale; nothing if they can't be
    /// parsed, as a sabotage may want it, or if none of them is changed.
    fn scaled(&self, broken: &Path, sabotage: &Sabotage) -> BTreeMap<String, String> {
        let healthy = rendered(&self.read);
        if !sabotage.all_changes().any(|c| healthy.contains_key(&c.file)) {
            return BTreeMap::new();
        }
        let asked = Asked { time_scale: Some(self.read.scaled.scale), ..self.options.asked() };
        subject::read_asked(&broken.to_string_lossy(), &self.options.home, &asked)
            .map(|r| rendered(&r))
            .unwrap_or_default()
    }

    /// Writes the changed files of a source folder into the work copy, those at the time scale as
    /// they are there, and lets the stack take them over. Files that are to be replaced have their
    /// turn among the steps; healthy ones come back with all.
    async fn take_over(
        &self,
        source: &Path,
        scaled: &BTreeMap<String, String>,
        sabotage: &Sabotage,
        breaks: bool,
    ) -> Result<(), Failure> {
        let work = self.running.work_copy();
        let text = |file: &str| match scaled.get(file) {
            Some(text) => Ok(text.clone()),
            None => std::fs::read_to_string(source.join(file))
                .map_err(|e| Failure::new(Exit::Usage, format!("{file}: {e}"))),
        };
        let written: Box<dyn Iterator<Item = _>> = if breaks {
            Box::new(sabotage.changes.iter())
        } else {
            Box::new(sabotage.all_changes())
        };
        for file in written.map(|c| c.file.as_str()).collect::<BTreeSet<_>>() {
            work.write(file, text(file)?)?;
        }
        for apply in &sabotage.apply {
            match apply {
                Apply::Reload(service) => self.reload(service).await?,
                // What does not run has nothing to take over: whoever judges its files reads them
                // anew each time.
                Apply::Recreate(service) if self.running.left_out.contains_key(service) => {}
                Apply::Recreate(service) => self.recreate(service).await?,
                Apply::Request(request) => self.request(request, &work).await?,
                Apply::Replace(change) if breaks => {
                    let new = format!("{}.new", change.file);
                    work.write(&new, text(&change.file)?)?;
                    std::fs::rename(work.path(&new), work.path(&change.file))
                        .map_err(|e| Failure::new(Exit::Unfit, format!("{new}: {e}")))?;
                }
                Apply::Replace(_) => {}
                Apply::Silence(silence) if breaks => self.silence(silence).await?,
                Apply::Silence(silence) => self.expire(silence).await?,
            }
        }
        Ok(())
    }

    /// Asks a server to reload, by HTTP. That it refuses is for the verdicts to find.
    async fn reload(&self, service: &str) -> Result<(), Failure> {
        let roles = &self.read.subject.declaration.roles;
        let role = roles.servers().find(|r| r.service == service);
        let url = role.and_then(|r| self.running.url(service, r.port)).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                format!(
                    "{service} has no role with a published port, so it can't be asked to reload"
                ),
            )
        })?;
        let answered = reqwest::Client::new()
            .post(format!("{url}/-/reload"))
            .timeout(Duration::from_secs(10))
            .send()
            .await;
        answered
            .map(drop)
            .map_err(|e| Failure::new(Exit::Unknown, format!("{service} does not answer: {e}")))
    }

    /// Address of the alert manager's API.
    fn manager(&self) -> Result<String, Failure> {
        let role = self.read.subject.declaration.roles.alerting.iter().next();
        let url = role.and_then(|r| self.running.url(&r.service, r.port));
        url.map(|url| format!("{url}/api/v2")).ok_or_else(|| {
            Failure::new(Exit::Usage, "no alert manager is declared with a published port")
        })
    }

    async fn silence(&self, left: &SilenceSpec) -> Result<(), Failure> {
        let parsed =
            LabelMatcher::parse_list(&left.matchers).map_err(|e| Failure::new(Exit::Usage, e))?;
        let matchers: Vec<_> = parsed
            .iter()
            .map(|m| {
                let is_regex = matches!(m.op, MatcherOp::Matches | MatcherOp::MatchesNot);
                let is_equal = matches!(m.op, MatcherOp::Equal | MatcherOp::Matches);
                serde_json::json!({"name": m.name, "value": m.value, "isRegex": is_regex, "isEqual": is_equal})
            })
            .collect();
        let now = jiff::Timestamp::now();
        let body = serde_json::json!({
            "matchers": matchers,
            "createdBy": left.created_by,
            "comment": "to be removed tomorrow",
            "startsAt": now.to_string(),
            "endsAt": (now + jiff::SignedDuration::from_hours(24)).to_string(),
        });
        let call = reqwest::Client::new()
            .post(format!("{}/silences", self.manager()?))
            .timeout(Duration::from_secs(10))
            .json(&body);
        call.send()
            .await
            .and_then(|a| a.error_for_status())
            .map(drop)
            .map_err(|e| Failure::foreign(Exit::Unknown, e))
    }

    /// Expires every silence of whoever left one behind.
    async fn expire(&self, left: &SilenceSpec) -> Result<(), Failure> {
        let unknown = |e: reqwest::Error| Failure::foreign(Exit::Unknown, e);
        let (client, manager) = (reqwest::Client::new(), self.manager()?);
        let asked = client
            .get(format!("{manager}/silences"))
            .timeout(Duration::from_secs(10))
            .send()
            .await
            .map_err(unknown)?;
        let all: Vec<serde_json::Value> = asked.json().await.map_err(unknown)?;
        for silence in all.iter().filter(|s| {
            s["createdBy"] == left.created_by.as_str() && s["status"]["state"] != "expired"
        }) {
            let id = silence["id"].as_str().unwrap_or_default();
            let call =
                client.delete(format!("{manager}/silence/{id}")).timeout(Duration::from_secs(10));
            call.send().await.and_then(|a| a.error_for_status()).map_err(unknown)?;
        }
        Ok(())
    }

    async fn request(&self, request: &Request, work: &WorkCopy) -> Result<(), Failure> {
        let usage = |what: String| Failure::new(Exit::Usage, what);
        let parsed =
            request.to.rsplit_once(':').and_then(|(s, p)| self.running.url(s, p.parse().ok()?));
        let url = parsed.ok_or_else(|| usage(format!("{} has no published port", request.to)))?;
        let method = request
            .method
            .parse()
            .map_err(|_| usage(format!("{} is no method", request.method)))?;
        let mut call = reqwest::Client::new()
            .request(method, format!("{url}{}", request.path))
            .timeout(Duration::from_secs(20))
            .header("content-type", "application/json");
        if let Some(body) = &request.body {
            call = call.body(work.read(body)?);
        }
        let answer = call.send().await.map_err(|e| Failure::foreign(Exit::Unknown, e))?;
        let status = answer.status();
        // What a request removes may be gone already.
        if status.is_success() || (request.method == "DELETE" && status.as_u16() == 404) {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Unknown,
            format!(
                "{} {}{} was answered {status}: {}",
                request.method,
                request.to,
                request.path,
                answer.text().await.unwrap_or_default()
            ),
        ))
    }

    /// Makes a service's container anew from the work copy's Compose file, at its old ports, with
    /// what was added to the old one.
    async fn recreate(&self, service: &str) -> Result<(), Failure> {
        stack::recreate(
            &self.engine,
            &self.read.stack,
            &self.running,
            service,
            self.additions.get(service),
        )
        .await
        .map_err(Failure::from)
    }
}
