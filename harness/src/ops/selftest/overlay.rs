//! Putting a sabotage over a running stack, and taking it off again.

use super::{Apply, Request, Sabotage, SilenceSpec};
use crate::backend::{Access, Client, Redirects, innermost};
use crate::ops::live::{LiveStack, rendered};
use crate::plan::subject::{self, Asked};
use crate::process::exit::Exit;
use crate::process::failure::Failure;
use crate::stack::{self, WorkCopy};
use config::monitoring::matcher::{LabelMatcher, MatcherOp};
use reqwest::Method;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// How long a server may take to answer.
const ASKED: Duration = Duration::from_secs(10);

fn client(access: &Access) -> Result<Client, Failure> {
    Client::new(access, Redirects::Followed).map_err(Failure::usage)
}

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
                Apply::Silence(left) if breaks => silence(&self.manager()?, left).await?,
                Apply::Silence(left) => expire(&self.manager()?, left).await?,
            }
        }
        Ok(())
    }

    /// Asks a server to reload, by HTTP. That it refuses is for the verdicts to find.
    async fn reload(&self, service: &str) -> Result<(), Failure> {
        let roles = &self.read.subject.declaration.roles;
        let role = roles.servers().find(|r| r.service == service);
        let access = role.and_then(|r| self.running.access(r)).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                format!(
                    "{service} has no role with a published port, so it can't be asked to reload"
                ),
            )
        })?;
        reload(&client(&access)?, service).await
    }

    /// Who asks the alert manager.
    fn manager(&self) -> Result<Client, Failure> {
        let role = self.read.subject.declaration.roles.alerting.iter().next();
        let access = role.and_then(|r| self.running.access(r)).ok_or_else(|| {
            Failure::new(Exit::Usage, "no alert manager is declared with a published port")
        })?;
        client(&access)
    }

    async fn request(&self, asked: &Request, work: &WorkCopy) -> Result<(), Failure> {
        let roles = &self.read.subject.declaration.roles;
        let access = asked
            .to
            .rsplit_once(':')
            .and_then(|(s, p)| self.running.access_to(roles, s, s, p.parse().ok()?));
        let access = access.ok_or_else(|| {
            Failure::new(Exit::Usage, format!("{} has no published port", asked.to))
        })?;
        let body = asked.body.as_ref().map(|file| work.read(file)).transpose()?;
        // Its path is written whole.
        request(&client(&access.of_whole_paths())?, asked, body).await
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

/// Has a server reload. That it refuses is for the verdicts to find.
async fn reload(client: &Client, service: &str) -> Result<(), Failure> {
    client.reload("/-/reload").await.map(drop).map_err(|e| {
        Failure::new(Exit::Unknown, format!("{service} does not answer: {}", innermost(&e)))
    })
}

fn unknown(error: reqwest::Error) -> Failure {
    Failure::foreign(Exit::Unknown, innermost(&error))
}

/// Leaves a silence behind.
async fn silence(manager: &Client, left: &SilenceSpec) -> Result<(), Failure> {
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
    let call = manager.request(Method::POST, "/api/v2/silences", &[]).timeout(ASKED).json(&body);
    call.send().await.and_then(|a| a.error_for_status()).map(drop).map_err(unknown)
}

/// Expires every silence of whoever left one behind.
async fn expire(manager: &Client, left: &SilenceSpec) -> Result<(), Failure> {
    let asked = manager.request(Method::GET, "/api/v2/silences", &[]).timeout(ASKED);
    let asked = asked.send().await.and_then(|a| a.error_for_status()).map_err(unknown)?;
    let all: Vec<serde_json::Value> = asked.json().await.map_err(unknown)?;
    for silence in all
        .iter()
        .filter(|s| s["createdBy"] == left.created_by.as_str() && s["status"]["state"] != "expired")
    {
        let path = format!("/api/v2/silence/{}", silence["id"].as_str().unwrap_or_default());
        let call = manager.request(Method::DELETE, &path, &[]).timeout(ASKED);
        call.send().await.and_then(|a| a.error_for_status()).map_err(unknown)?;
    }
    Ok(())
}

/// Sends what a sabotage asks for.
async fn request(client: &Client, asked: &Request, body: Option<String>) -> Result<(), Failure> {
    let method = asked
        .method
        .parse()
        .map_err(|_| Failure::new(Exit::Usage, format!("{} is no method", asked.method)))?;
    let mut call = client
        .request(method, &asked.path, &[])
        .timeout(Duration::from_secs(20))
        .header("content-type", "application/json");
    if let Some(body) = body {
        call = call.body(body);
    }
    let answer = call.send().await.map_err(unknown)?;
    let status = answer.status();
    // What a request removes may be gone already.
    if status.is_success() || (asked.method == "DELETE" && status.as_u16() == 404) {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Unknown,
        format!(
            "{} {}{} was answered {status}: {}",
            asked.method,
            asked.to,
            asked.path,
            answer.text().await.unwrap_or_default()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::{Guarded, without_one};

    /// Each thing that an overlay asks of a server is asked as its role says, and not without one of
    /// the keys.
    #[tokio::test]
    async fn servers_are_asked_as_their_roles_say() {
        let server = Guarded::serve("/prom").await;
        let left = SilenceSpec { matchers: r#"alertname="X""#.into(), created_by: "me".into() };
        let asked = |path: &str| Request {
            method: "PUT".into(),
            to: "server:9090".into(),
            path: path.into(),
            body: None,
        };
        for access in server.accesses() {
            let whole = client(&access).expect("a client");
            reload(&whole, "server").await.expect("reloads");
            silence(&whole, &left).await.expect("silences");
            expire(&whole, &left).await.expect("expires");
            let paths = client(&access.of_whole_paths()).expect("a client");
            request(&paths, &asked("/prom/thing"), Some("{}".into())).await.expect("is sent");
            assert_eq!(
                server.asked(),
                [
                    "POST /prom/-/reload",
                    "POST /prom/api/v2/silences",
                    "GET /prom/api/v2/silences",
                    "DELETE /prom/api/v2/silence/left",
                    "PUT /prom/thing",
                ]
            );
            for (key, less) in without_one(&access) {
                let Ok(less) = client(&less) else { continue };
                assert!(silence(&less, &left).await.is_err(), "silence without {key}");
                assert!(expire(&less, &left).await.is_err(), "expire without {key}");
                assert!(
                    request(&less, &asked("/thing"), None).await.is_err(),
                    "request without {key}"
                );
                // What is refused is for the verdicts to find.
                let _ = reload(&less, "server").await;
            }
            let reloads = server.asked().iter().filter(|a| a.contains("reload")).count();
            assert_eq!(reloads, 0, "reloaded by nobody whom it knows");
        }
    }
}
