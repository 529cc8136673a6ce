//! Carrying out what the journal says is to be undone. Each is idempotent, and one that fails keeps
//! no other from being tried.

use super::Remains;
use crate::backend::{self, Access, Client, Redirects};
use crate::engine::containment;
use crate::engine::{Engine, EngineError};
use crate::journal::{Entry, Journal, JournalError, Undo};
use crate::process::failure::UserError;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Url;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// What healing did.
#[derive(Debug, Default)]
pub struct Healed {
    /// Entries that were undone and closed.
    pub undone: Vec<Entry>,
    /// Entries that could not be undone and stay open, with the reason.
    pub failed: Vec<(Entry, String)>,
}

/// Undoes what is open, newest first, and closes it: all faults of all runs, or of one. Stacks stay
/// up.
///
/// # Errors
/// [`JournalError`] when the journal itself can't be read or written.
pub async fn heal(
    journal: &Journal,
    engine: Option<&Engine>,
    run: Option<&str>,
) -> Result<Healed, JournalError> {
    let open = newest_first(journal, |entry| {
        let mends = entry.undo.as_ref().is_some_and(|undo| !undo.removes_stack());
        mends && run.is_none_or(|run| run == entry.run)
    })?;
    // What the harness asked for just before it was killed may still be under way, in the engine or
    // in a child of it, and take effect after it was undone. So all is undone again a little later,
    // and only then closed.
    try_all(engine, &open).await;
    if !open.is_empty() {
        tokio::time::sleep(SETTLE).await;
    }
    undo_and_close(journal, engine, open).await
}

/// Undoes these entries, as far as they are open, newest first, and closes them: what a harness
/// that lives does for itself.
///
/// # Errors
/// [`JournalError`] when the journal itself can't be read or written.
pub async fn undo(
    journal: &Journal,
    engine: Option<&Engine>,
    entries: &[u64],
) -> Result<Healed, JournalError> {
    let open = newest_first(journal, |entry| entries.contains(&entry.id))?;
    undo_and_close(journal, engine, open).await
}

fn newest_first(
    journal: &Journal,
    wanted: impl Fn(&Entry) -> bool,
) -> Result<Vec<Entry>, JournalError> {
    Ok(journal.open_entries()?.into_iter().rev().filter(wanted).collect())
}

async fn undo_and_close(
    journal: &Journal,
    engine: Option<&Engine>,
    open: Vec<Entry>,
) -> Result<Healed, JournalError> {
    let mut healed = Healed::default();
    let results = try_all(engine, &open).await;
    for (entry, result) in open.into_iter().zip(results) {
        match result {
            Ok(()) => {
                journal.close(entry.id)?;
                healed.undone.push(entry);
            }
            Err(why) => healed.failed.push((entry, why)),
        }
    }
    Ok(healed)
}

/// Time in which a request of a harness that was killed takes effect.
const SETTLE: Duration = Duration::from_millis(500);

/// Carries out all of them. One may hinder another (a paused server does not delete its keys), so
/// those that fail are tried again as long as others succeed.
async fn try_all(engine: Option<&Engine>, entries: &[Entry]) -> Vec<Result<(), String>> {
    let mut results: Vec<Result<(), String>> =
        entries.iter().map(|_| Err("not tried".to_owned())).collect();
    loop {
        let mut progress = false;
        for (entry, result) in
            entries.iter().zip(&mut results).filter(|(_, result)| result.is_err())
        {
            if let Some(undo) = &entry.undo {
                *result = carry_out(engine, undo).await;
                progress |= result.is_ok();
            }
        }
        if !progress || results.iter().all(Result::is_ok) {
            return results;
        }
    }
}

/// Carries out one undo. Undoing what is not there succeeds.
///
/// # Errors
/// Why it could not be done, in words.
pub async fn carry_out(engine: Option<&Engine>, undo: &Undo) -> Result<(), String> {
    let engine = || engine.ok_or_else(|| "no container engine answers".to_owned());
    match undo {
        Undo::StartContainer { container } => start(engine()?, container).await,
        Undo::Unpause { container } => gone_is_fine(engine()?.unpause(container).await),
        Undo::EndHelper { pid, start_ticks } => end_helper(*pid, *start_ticks).await,
        Undo::DeleteContainerRules { container, rules } => match engine()?.inspect(container).await
        {
            // A container that does not run has no network namespace left, and no rule in it.
            Ok(seen) if seen.running => delete_rules(Some(seen.pid), rules).await,
            Ok(_) => Ok(()),
            Err(error) => gone_is_fine(Err(error)),
        },
        Undo::DeleteHostRules { rules } => delete_rules(None, rules).await,
        Undo::Fault { container, kind, state } => {
            let undo = super::named(kind).and_then(|kind| kind.undo);
            let undo = undo.ok_or_else(|| {
                format!("this program knows no fault {kind} that leaves something to undo")
            })?;
            let remains = match engine()?.inspect(container).await {
                Ok(seen) => {
                    Some(Remains { name: seen.name.clone(), pid: seen.running.then_some(seen.pid) })
                }
                Err(error) => gone_is_fine(Err(error)).map(|()| None)?,
            };
            undo(remains, state.clone()).await
        }
        Undo::RestoreFile { path, content, reload, access } => {
            restore(path, content, reload, access.as_deref()).await
        }
        Undo::RemoveRun { .. } => Err("a stack is taken away by `firedrill down`".into()),
    }
}

/// Starts a container and makes sure that it runs: one that was killed a moment ago still counts as
/// running for the engine, which then sees nothing to start.
async fn start(engine: &Engine, container: &str) -> Result<(), String> {
    let mut waited = Duration::ZERO;
    loop {
        let seen = match engine.start(container).await {
            Ok(()) => engine.inspect(container).await,
            Err(error) => Err(error),
        };
        match seen {
            Ok(seen) if seen.running && is_alive(seen.pid) => return Ok(()),
            Ok(seen) if waited > Duration::from_secs(10) => {
                return Err(format!(
                    "container {} does not stay up: it ended with {} {}",
                    seen.name, seen.exit_code, seen.error
                ));
            }
            Ok(_) => {}
            Err(error) => return gone_is_fine(Err(error)),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        waited += Duration::from_millis(50);
    }
}

/// Gives a file of a work copy its content back and has it reloaded. A work copy that is gone needs
/// nothing, and a server that is gone will read the file when it comes.
async fn restore(
    path: &Path,
    content: &str,
    reload: &str,
    access: Option<&Access>,
) -> Result<(), String> {
    if !path.is_file() {
        return Ok(());
    }
    // In place: a container into which that very file is mounted must see it.
    std::fs::write(path, content).map_err(|e| format!("{}: {e}", path.display()))?;
    let url = Url::parse(reload).map_err(|e| format!("{reload}: {e}"))?;
    let access = match access {
        Some(access) => access.of_whole_paths(),
        None => Access::plain(url.port_or_known_default().unwrap_or_default()),
    };
    let client = Client::new(&access, Redirects::Followed).map_err(|why| why.to_string())?;
    match client.reload(url.path()).await {
        Ok((status, _)) if status.is_success() => Ok(()),
        Ok((status, _)) => Err(format!("{reload} was answered {status}")),
        Err(error) if backend::is_refused(&error) => Ok(()),
        Err(error) => Err(format!("{reload}: {}", backend::innermost(&error))),
    }
}

fn gone_is_fine(result: Result<(), EngineError>) -> Result<(), String> {
    match result {
        Err(error) if !error.is_absent() => Err(error.advice().to_string()),
        _ => Ok(()),
    }
}

/// Deletes rules in a namespace or on the host, each as often as it is there.
async fn delete_rules(pid: Option<i32>, rules: &[Vec<String>]) -> Result<(), String> {
    let mut failed = Vec::new();
    for rule in rules {
        if let Err(why) = containment::delete_rule(pid, rule).await {
            failed.push(why);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
}

/// Ends a process of ours with all that it started, if it still is the process that was meant.
async fn end_helper(pid: i32, start_ticks: u64) -> Result<(), String> {
    if pid <= 1 || start_ticks_of(pid) != Some(start_ticks) {
        return Ok(());
    }
    let mut family = BTreeSet::from([pid]);
    let mut waited = Duration::ZERO;
    loop {
        family.extend(descendants(&family));
        let alive: Vec<i32> = family.iter().copied().filter(|pid| is_alive(*pid)).collect();
        if alive.is_empty() {
            return Ok(());
        }
        if waited > Duration::from_secs(5) {
            return Err(format!("processes {alive:?} do not end"));
        }
        for pid in alive {
            // It may have ended meanwhile; the next look tells.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        waited += Duration::from_millis(20);
    }
}

/// Start time of a process in clock ticks since boot: field 22 of its `stat`. `None` if there is no
/// such process.
pub fn start_ticks_of(pid: i32) -> Option<u64> {
    stat(pid)?.get(19)?.parse().ok()
}

/// Fields of `/proc/<pid>/stat` after the command, which may hold blanks and parentheses: state is
/// the first.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|fields| !matches!(fields.first().map(String::as_str), Some("Z" | "X")))
}

/// Processes whose parent or session is one of `family`.
fn descendants(family: &BTreeSet<i32>) -> BTreeSet<i32> {
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            stat(*pid).is_some_and(|fields| {
                let field = |at: usize| fields.get(at).and_then(|field| field.parse::<i32>().ok());
                [field(1), field(3)]
                    .into_iter()
                    .flatten()
                    .any(|relative| family.contains(&relative))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tests::{Guarded, PASSWORD, without_one};
    use crate::backend::{Kept, Login};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    #[tokio::test]
    async fn a_file_gets_its_content_back_and_its_server_is_told() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("alerts.yml");
        std::fs::write(&path, "changed").expect("written");
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
        let reload = format!("http://{}/-/reload", server.local_addr().expect("address"));
        let undo = Undo::RestoreFile {
            path: path.clone(),
            content: "original".into(),
            reload,
            access: None,
        };
        let answered = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in ["500 No", "200 OK"] {
                let (mut link, _) = server.accept().await.expect("connection");
                let mut request = vec![0; 1024];
                let read = link.read(&mut request).await.expect("request");
                asked.push(String::from_utf8_lossy(&request[..read]).into_owned());
                link.write_all(
                    format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                        .as_bytes(),
                )
                .await
                .expect("answer");
            }
            asked
        });
        // A server that refuses runs with the changed rules: that is not healed.
        assert!(carry_out(None, &undo).await.expect_err("refused").contains("500"));
        assert_eq!(std::fs::read_to_string(&path).expect("file"), "original");
        carry_out(None, &undo).await.expect("restored");
        assert!(answered.await.expect("server").iter().all(|a| a.starts_with("POST /-/reload ")));
        carry_out(None, &undo).await.expect("the server is gone");
        std::fs::remove_file(&path).expect("removed");
        carry_out(None, &undo).await.expect("the work copy is gone");
        assert!(!path.exists());
    }

    /// A journal holds how the server is asked, and none of its secrets; without one of the keys the
    /// server does not reload, and that is not healed.
    #[tokio::test]
    async fn a_file_is_restored_at_a_server_that_does_not_answer_everybody() {
        let server = Guarded::serve("/prom").await;
        let folder = tempfile::tempdir().expect("folder");
        let (journal, path) = (Journal::at(folder.path()), folder.path().join("alerts.yml"));
        for access in server.accesses() {
            let undo = |access: Option<Access>| Undo::RestoreFile {
                path: path.clone(),
                content: "original".into(),
                reload: format!("https://server:{}/prom/-/reload", server.port),
                access: access.map(Box::new),
            };
            for (key, less) in without_one(&access) {
                std::fs::write(&path, "changed").expect("written");
                let healed = carry_out(None, &undo(Some(less))).await;
                // The URL has the prefix.
                assert_eq!(healed.is_ok(), key == "prefix", "without {key}: {healed:?}");
            }
            assert!(carry_out(None, &undo(None)).await.is_err(), "by nothing but the URL");
            server.asked();
            let Login::Basic { password: Some(Kept::File(_)), .. } = &access.login else {
                continue;
            };
            std::fs::write(&path, "changed").expect("written");
            journal.open("r", "s", "rule", undo(Some(access))).expect("opens");
            let written = std::fs::read_to_string(journal.file()).expect("journal");
            assert!(written.contains("/password\"") && !written.contains(PASSWORD), "{written}");
            let healed = heal(&journal, None, None).await.expect("heals");
            assert!(healed.failed.is_empty() && healed.undone.len() == 1, "{healed:?}");
            assert_eq!(server.asked(), ["POST /prom/-/reload"; 2]);
            assert_eq!(std::fs::read_to_string(&path).expect("file"), "original");
        }
    }

    /// What each version before wrote is undone as it would have been: without an engine, what needs
    /// none; and what only one kind of fault does is understood by that.
    #[tokio::test]
    async fn what_older_versions_wrote_is_healed() {
        let home = tempfile::tempdir().expect("folder");
        let journal = Journal::at(home.path());
        let mut helper = Command::new("sleep").arg("60").process_group(0).spawn().expect("starts");
        let pid = helper.id() as i32;
        let path = home.path().join("alerts.yml");
        std::fs::write(&path, "changed").expect("written");
        let held = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
        let gone = held.local_addr().expect("address");
        drop(held);
        let text = crate::journal::OLDER
            .replace("4194000", &pid.to_string())
            .replace("77777", &start_ticks_of(pid).expect("runs").to_string())
            .replace("/work/alerts.yml", &path.to_string_lossy())
            .replace("127.0.0.1:40123", &gone.to_string());
        std::fs::write(journal.file(), text).expect("written");
        let healed = heal(&journal, None, None).await.expect("heals");
        let undone: Vec<&str> = healed.undone.iter().map(|entry| entry.what.as_str()).collect();
        assert_eq!(
            undone,
            ["rule of Down (drill late)", "fault cut on web", "fault pressure on web"]
        );
        assert!(!is_alive(pid), "the helper was not ended");
        helper.wait().expect("reaped");
        assert_eq!(std::fs::read_to_string(&path).expect("file"), "original");
        for (entry, why) in &healed.failed {
            assert_eq!(why, "no container engine answers", "{}", entry.what);
            let Some(Undo::Fault { kind, state, .. }) = &entry.undo else { continue };
            let undo = crate::fault::named(kind).and_then(|kind| kind.undo).expect("it undoes");
            // Its container is gone, so there is nothing to do; a state that it does not understand
            // it would refuse.
            undo(None, state.clone()).await.unwrap_or_else(|e| panic!("{}: {e}", entry.what));
            let nonsense = serde_json::json!({ "nonsense": 1 });
            assert!(undo(None, nonsense).await.is_err(), "{kind} understands anything");
        }
        assert_eq!(healed.failed.len(), 8, "{:?}", healed.failed);
        let left = journal.open_entries().expect("reads");
        assert!(left.iter().any(|entry| entry.undo.as_ref().is_some_and(Undo::removes_stack)));
    }

    #[tokio::test]
    async fn a_helper_ends_with_its_children_and_a_recycled_id_is_left_alone() {
        let mut helper = Command::new("sh")
            .args(["-c", "sleep 60 & sleep 60; true"])
            .process_group(0)
            .spawn()
            .expect("starts");
        let pid = helper.id() as i32;
        let ticks = start_ticks_of(pid).expect("runs");
        let children = loop {
            let children = descendants(&BTreeSet::from([pid]));
            if children.iter().filter(|child| **child != pid).count() >= 2 {
                break children;
            }
            tokio::task::yield_now().await;
        };
        carry_out(None, &Undo::EndHelper { pid, start_ticks: ticks + 1 })
            .await
            .expect("another process");
        assert!(is_alive(pid));
        carry_out(None, &Undo::EndHelper { pid, start_ticks: ticks }).await.expect("ends");
        assert!(!is_alive(pid) && children.iter().all(|child| !is_alive(*child)));
        helper.wait().expect("reaped");
        carry_out(None, &Undo::EndHelper { pid, start_ticks: ticks }).await.expect("again");
    }
}
