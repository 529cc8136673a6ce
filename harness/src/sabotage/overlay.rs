//! Putting a sabotage over a running stack, and taking it off again.

use super::{Apply, Request, Sabotage};
use crate::cli::Failure;
use crate::drill::bring_up::{Live, rendered};
use crate::exit::Exit;
use crate::stack::{self, StackError, WorkCopy, work_copy};
use crate::subject;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

impl Live {
    /// Breaks the running stack's monitoring.
    ///
    /// # Errors
    /// The overlay does not fit the stack, or the stack can't take it over.
    pub async fn apply(&self, sabotage: &Sabotage) -> Result<(), Failure> {
        let broken = tempfile::tempdir().map_err(|e| Failure::new(Exit::Unfit, e))?;
        work_copy::copy(&self.read.stack.folder, broken.path()).map_err(failed)?;
        for change in &sabotage.changes {
            let path = broken.path().join(&change.file);
            let text = std::fs::read_to_string(&path)
                .map_err(|e| Failure::new(Exit::Usage, format!("sabotage {}: {}: {e}", sabotage.name, change.file)))?;
            let text = change.apply(&text).map_err(|e| Failure::new(Exit::Usage, format!("sabotage {}: {e}", sabotage.name)))?;
            std::fs::write(&path, text).map_err(|e| Failure::new(Exit::Unfit, e))?;
        }
        let scaled = self.scaled(broken.path(), sabotage);
        self.take_over(broken.path(), &scaled, sabotage).await
    }

    /// Takes a sabotage back.
    ///
    /// # Errors
    /// The stack can't take it over.
    pub async fn restore(&self, sabotage: &Sabotage) -> Result<(), Failure> {
        self.take_over(&self.read.stack.folder, &rendered(&self.read), sabotage).await
    }

    /// The broken stack's monitoring files at the stack's time scale; nothing if they can't be parsed, as a sabotage may want
    /// it, or if none of them is changed.
    fn scaled(&self, broken: &Path, sabotage: &Sabotage) -> BTreeMap<String, String> {
        let healthy = rendered(&self.read);
        if !sabotage.changes.iter().any(|c| healthy.contains_key(&c.file)) {
            return BTreeMap::new();
        }
        subject::read(&broken.to_string_lossy(), &self.options.home, Some(self.read.scaled.scale)).map(|r| rendered(&r)).unwrap_or_default()
    }

    /// Writes the changed files of a source folder into the work copy, those at the time scale as they are there, and lets the
    /// stack take them over.
    async fn take_over(&self, source: &Path, scaled: &BTreeMap<String, String>, sabotage: &Sabotage) -> Result<(), Failure> {
        let work = self.running.work_copy();
        let files: BTreeSet<&str> = sabotage.changes.iter().map(|c| c.file.as_str()).collect();
        for file in files {
            let text = match scaled.get(file) {
                Some(text) => text.clone(),
                None => std::fs::read_to_string(source.join(file)).map_err(|e| Failure::new(Exit::Usage, format!("{file}: {e}")))?,
            };
            work.write(file, text).map_err(failed)?;
        }
        for apply in &sabotage.apply {
            match apply {
                Apply::Reload(service) => self.reload(service).await?,
                Apply::Recreate(service) => self.recreate(service).await?,
                Apply::Request(request) => self.request(request, &work).await?,
            }
        }
        Ok(())
    }

    /// Asks a server to reload, by HTTP. That it refuses is for the verdicts to find.
    async fn reload(&self, service: &str) -> Result<(), Failure> {
        let roles = &self.read.subject.declaration.roles;
        let all = [&roles.metrics, &roles.alerting, &roles.dashboards, &roles.collector];
        let role = all.into_iter().flatten().find(|r| r.service == service);
        let url = role.and_then(|r| self.running.url(service, r.port)).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{service} has no role with a published port, so it can't be asked to reload"))
        })?;
        let answered = reqwest::Client::new().post(format!("{url}/-/reload")).timeout(Duration::from_secs(10)).send().await;
        answered.map(drop).map_err(|e| Failure::new(Exit::Unknown, format!("{service} does not answer: {e}")))
    }

    async fn request(&self, request: &Request, work: &WorkCopy) -> Result<(), Failure> {
        let usage = |what: String| Failure::new(Exit::Usage, what);
        let parsed = request.to.rsplit_once(':').and_then(|(s, p)| self.running.url(s, p.parse().ok()?));
        let url = parsed.ok_or_else(|| usage(format!("{} has no published port", request.to)))?;
        let method = request.method.parse().map_err(|_| usage(format!("{} is no method", request.method)))?;
        let mut call = reqwest::Client::new()
            .request(method, format!("{url}{}", request.path))
            .timeout(Duration::from_secs(20))
            .header("content-type", "application/json");
        if let Some(body) = &request.body {
            call = call.body(work.read(body).map_err(failed)?);
        }
        let answer = call.send().await.map_err(|e| Failure::new(Exit::Unknown, e))?;
        let status = answer.status();
        // What a request removes may be gone already.
        if status.is_success() || (request.method == "DELETE" && status.as_u16() == 404) {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Unknown,
            format!("{} {}{} was answered {status}: {}", request.method, request.to, request.path, answer.text().await.unwrap_or_default()),
        ))
    }

    /// Makes a service's container anew from the work copy's Compose file, at its old ports, with what was added to the old one.
    async fn recreate(&self, service: &str) -> Result<(), Failure> {
        stack::recreate(&self.engine, &self.read.stack, &self.running, service, self.additions.get(service)).await.map_err(failed)
    }
}

fn failed(e: StackError) -> Failure {
    Failure::new(e.exit(), e)
}
