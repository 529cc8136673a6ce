//! Entries that older versions wrote, in today's form: what is open outlives the program that
//! opened it.

use serde_json::{Value, json};

/// Turns the `undo` of an entry into today's form, if an older version wrote it.
pub(super) fn renewed(entry: &mut Value) {
    let Some(undo) = entry.get_mut("undo").filter(|undo| undo.is_object()) else { return };
    let (kind, keys) = match undo["undo"].as_str() {
        Some("delete_redis_keys") => ("redis_fill", ["port", "prefix"]),
        // Any fault that a statement undoes: they undo alike.
        Some("run_statement") => ("lock_table", ["port", "statement"]),
        Some("unmount") => ("fill_disk", ["mount_point", "image"]),
        _ => return,
    };
    let state: serde_json::Map<String, Value> =
        keys.iter().map(|key| ((*key).to_owned(), undo[*key].clone())).collect();
    *undo =
        json!({ "undo": "fault", "container": undo["container"], "kind": kind, "state": state });
}

/// Entries in each form that a version of the past wrote for a fault or a run, oldest first: 1 to 7
/// since the first, 8 to 10 since there are drills of causes, 11 to 13 since a fault writes down a
/// state of its own. The last line closes 13.
#[cfg(test)]
pub(crate) const OLDER: &str = include_str!("older/recorded.jsonl");

#[cfg(test)]
mod tests {
    use super::super::{Journal, Undo};
    use super::OLDER;

    #[test]
    fn what_each_version_wrote_is_read() {
        let home = tempfile::tempdir().expect("folder");
        let journal = Journal::at(home.path());
        std::fs::write(journal.file(), OLDER).expect("written");
        let fault = |container: &str, kind: &str, state| Undo::Fault {
            container: container.into(),
            kind: kind.into(),
            state,
        };
        let entries = journal.open_entries().expect("reads");
        let undo: Vec<_> = entries.into_iter().filter_map(|entry| entry.undo).collect();
        let rule = ["-D", "INPUT", "-p", "tcp", "--dport", "25", "-j", "DROP"];
        let drop_table = "DROP TABLE IF EXISTS firedrill_grown";
        let wanted = [
            Undo::RemoveRun { run: "run-a".into() },
            Undo::StartContainer { container: "c0ffee01".into() },
            Undo::Unpause { container: "c0ffee02".into() },
            Undo::EndHelper { pid: 4_194_000, start_ticks: 77_777 },
            Undo::DeleteContainerRules {
                container: "c0ffee02".into(),
                rules: vec![rule.map(str::to_owned).to_vec()],
            },
            Undo::DeleteHostRules { rules: Vec::new() },
            fault(
                "c0ffee03",
                "redis_fill",
                serde_json::json!({ "port": 6379, "prefix": "firedrill:run-a:" }),
            ),
            fault(
                "c0ffee04",
                "lock_table",
                serde_json::json!({ "port": 5432, "statement": drop_table }),
            ),
            Undo::RestoreFile {
                path: "/work/alerts.yml".into(),
                content: "original".into(),
                reload: "http://127.0.0.1:40123/-/reload".into(),
                access: None,
            },
            fault(
                "c0ffee04",
                "fill_disk",
                serde_json::json!({
                    "mount_point": "/var/lib/postgresql/data/full",
                    "image": "/tmp/firedrill-no-such-image",
                }),
            ),
            fault(
                "c0ffee05",
                "redis_fill",
                serde_json::json!({ "port": 6379, "prefix": "firedrill:run-b:" }),
            ),
            fault(
                "c0ffee06",
                "grow_database",
                serde_json::json!({ "port": 5432, "statement": drop_table }),
            ),
        ];
        assert_eq!(undo, wanted);
    }

    /// What needs no more than older versions knew is written as they read it.
    #[test]
    fn a_plain_reload_is_written_as_ever() {
        let undo = Undo::RestoreFile {
            path: "/work/alerts.yml".into(),
            content: "original".into(),
            reload: "http://127.0.0.1:40123/-/reload".into(),
            access: None,
        };
        let line = OLDER.lines().nth(8).expect("a line");
        let written = serde_json::to_string(&undo).expect("writes");
        assert!(line.contains(&written), "{written}");
    }
}
