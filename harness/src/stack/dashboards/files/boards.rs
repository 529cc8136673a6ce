//! Dashboards from the folders that providers name.

use super::{Files, Place, listed, text_of};
use crate::dashboards::panels::{PanelModel, panels};
use crate::dashboards::query::Context;
use crate::dashboards::variables;
use config::yaml::{ConfigError, Mark, Node};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Types of data source whose queries are asked.
pub(crate) const ASKED: [&str; 2] = ["prometheus", "elasticsearch"];

/// A dashboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Board {
    pub file: PathBuf,
    /// Uid; empty if the file states none.
    pub uid: String,
    pub title: String,
    pub json: Value,
    text: Arc<str>,
}

/// Reads the dashboards of a file's providers.
pub(super) fn read(file: &Node, place: &Place, into: &mut Vec<Board>) -> Result<(), ConfigError> {
    for provider in listed(file, "providers")? {
        let kind =
            provider.get("type").and_then(Node::text_of_value).unwrap_or_else(|| "file".into());
        if kind != "file" {
            continue;
        }
        let options = provider.get("options");
        let path = options.and_then(|o| o.get("path").or_else(|| o.get("folder")));
        let Some(path) = path else {
            let hint =
                "add `options: {path: …}`, the folder of its dashboards inside of the container";
            return Err(ConfigError::at(&provider.mark, "a provider without a path", hint));
        };
        let inside = place.filled(path)?;
        let Some(folder) = place.outside(Path::new(&inside)) else {
            return Err(ConfigError::at(
                &path.mark,
                format!("path: nothing of the stack's folder is mounted at {inside}"),
                "mount its folder into the dashboards' service, or state it in firedrill.yaml: `paths: {\"…inside…\": folder}` beside `provisioning`",
            ));
        };
        if !folder.exists() {
            let what = format!("path: {inside} is {}, which does not exist", folder.display());
            return Err(ConfigError::at(
                &path.mark,
                what,
                "name the folder that holds the dashboards",
            ));
        }
        let mut found = Vec::new();
        json_files(&folder, &mut found).map_err(|(path, error)| {
            ConfigError::of(&path, format!("can't be read: {error}"), "check its permissions")
        })?;
        found.sort();
        for file in found {
            let board = board(&file)?;
            if let Some(same) = into
                .iter()
                .find(|b| !b.uid.is_empty() && b.uid == board.uid && b.file != board.file)
            {
                return Err(ConfigError::at(
                    &board.mark(&["\"uid\""], &board.uid),
                    format!("dashboard {} is in {} too", board.uid, same.file.display()),
                    "give each dashboard a uid of its own: Grafana takes neither",
                ));
            }
            if !into.iter().any(|b| b.file == board.file) {
                into.push(board);
            }
        }
    }
    Ok(())
}

fn json_files(at: &Path, into: &mut Vec<PathBuf>) -> Result<(), (PathBuf, std::io::Error)> {
    let failed = |e| (at.to_path_buf(), e);
    if at.is_file() {
        into.push(at.to_path_buf());
        return Ok(());
    }
    for entry in std::fs::read_dir(at).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_json = path.extension().is_some_and(|e| e == "json");
        // A link to a folder above would never end.
        if path.is_dir() && !path.is_symlink() {
            json_files(&path, into)?;
        } else if path.is_file() && is_json {
            into.push(path);
        }
    }
    Ok(())
}

fn board(file: &Path) -> Result<Board, ConfigError> {
    let text = text_of(file)?;
    let json: Value = serde_json::from_str(&text).map_err(|e| {
        let mark = Mark { file: Arc::from(file), line: e.line() as u64 };
        let told = e.to_string();
        let told = told.split(" at line ").next().unwrap_or(&told);
        ConfigError::at(
            &mark,
            format!("no JSON: {told} (column {})", e.column()),
            "correct it; Grafana would not show this dashboard",
        )
    })?;
    let text_at = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    let board = Board {
        file: file.to_path_buf(),
        uid: text_at("uid"),
        title: text_at("title"),
        text: text.into(),
        json,
    };
    if board.title.is_empty() {
        let mark = Mark { file: Arc::from(file), line: 1 };
        return Err(ConfigError::at(
            &mark,
            "a dashboard without a title",
            "add \"title\"; Grafana would not show this dashboard",
        ));
    }
    Ok(board)
}

impl Board {
    /// Its panels with queries.
    pub(crate) fn panels(&self) -> Vec<PanelModel> {
        panels(&self.json)
    }

    /// Where something is first written that begins with one of these words, on a line that holds a
    /// further one.
    fn mark(&self, words: &[&str], beside: &str) -> Mark {
        let line = self
            .text
            .lines()
            .position(|l| l.contains(beside) && words.iter().any(|w| l.contains(w)));
        Mark { file: Arc::from(self.file.as_path()), line: line.map_or(0, |at| at as u64 + 1) }
    }

    /// Whether each variable that its queries use is defined.
    pub(super) fn check(&self, files: &Files) -> Result<(), ConfigError> {
        let defined = variables::variables(&self.json);
        let sources = files.sources.iter().map(|s| s.source.clone()).collect();
        let context = Context::new(sources, &self.json, 0.0, 1.0);
        let known = |name: &str, text: &str| {
            name.starts_with("__")
                || name == "timeFilter"
                || name.chars().all(|c| c.is_ascii_digit())
                || defined.iter().any(|v| v.name == name)
                || context.inputs.iter().any(|input| input == name)
                // A group of a regular expression, which PromQL names alike.
                || text.contains(&format!("?P<{name}>"))
                || text.contains(&format!("?<{name}>"))
        };
        let undefined = |what: &str, text: &str| {
            let Some(name) = variables::names(text).find(|name| !known(name, text)) else {
                return Ok(());
            };
            let references = [format!("${name}"), format!("${{{name}"), format!("[[{name}")];
            let known: Vec<&str> = defined.iter().map(|v| v.name.as_str()).collect();
            Err(ConfigError::at(
                &self.mark(&references.each_ref().map(String::as_str), ""),
                format!(
                    "{what} of dashboard {} uses the variable {name}, which nothing defines",
                    self.title
                ),
                crate::yaml::suggest(name, known, "variables"),
            ))
        };
        for variable in &defined {
            let what = format!("variable {}", variable.name);
            undefined(&what, &variable.query)?;
            undefined(&what, &variable.datasource.to_string())?;
        }
        for panel in self.panels() {
            let what = format!("panel {}", panel.title);
            for (_, target) in panel.shown() {
                let reference = panel.reference(target);
                undefined(&what, &reference.to_string())?;
                // What is asked of others is not known here, nor what a dollar sign means to them.
                let kind = context
                    .source(reference)
                    .map(|s| s.r#type)
                    .ok()
                    .or_else(|| reference["type"].as_str().map(str::to_owned));
                if kind.is_none_or(|kind| ASKED.contains(&kind.as_str())) {
                    let fields = target.as_object().into_iter().flatten();
                    let asked = fields.filter(|(key, _)| {
                        !["legendFormat", "alias", "datasource", "refId"].contains(&key.as_str())
                    });
                    for (_, value) in asked {
                        undefined(&what, &texts(value))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// All texts within a value, one a line.
fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(all) => all.iter().map(texts).collect(),
        Value::Object(fields) => fields.values().map(texts).collect(),
        _ => String::new(),
    }
}
