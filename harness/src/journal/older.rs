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

#[cfg(test)]
mod tests {
    use super::super::{Journal, Undo};

    #[test]
    fn what_version_0_1_wrote_is_read() {
        let home = tempfile::tempdir().expect("folder");
        let journal = Journal::at(home.path());
        let line = |id: u64, undo: &str| {
            format!(
                "{{\"id\":{id},\"run\":\"r\",\"stack\":\"s\",\"what\":\"w\",\"undo\":{undo}}}\n"
            )
        };
        let text = line(
            1,
            r#"{"undo":"delete_redis_keys","container":"c","port":6379,"prefix":"p"}"#,
        ) + &line(
            2,
            r#"{"undo":"run_statement","container":"c","port":5432,"statement":"DROP TABLE t"}"#,
        ) + &line(
            3,
            r#"{"undo":"unmount","container":"c","mount_point":"/data","image":"/tmp/i"}"#,
        ) + &line(4, r#"{"undo":"start_container","container":"c"}"#);
        std::fs::write(journal.file(), text).expect("written");
        let fault = |kind: &str, state| {
            Some(Undo::Fault { container: "c".into(), kind: kind.into(), state })
        };
        let undo: Vec<_> =
            journal.open_entries().expect("reads").into_iter().map(|entry| entry.undo).collect();
        let wanted = [
            fault("redis_fill", serde_json::json!({ "port": 6379, "prefix": "p" })),
            fault("lock_table", serde_json::json!({ "port": 5432, "statement": "DROP TABLE t" })),
            fault("fill_disk", serde_json::json!({ "mount_point": "/data", "image": "/tmp/i" })),
            Some(Undo::StartContainer { container: "c".into() }),
        ];
        assert_eq!(undo, wanted);
    }
}
