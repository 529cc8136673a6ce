//! What `/api/ds/query` answers: frames of columns.

use super::super::boards::Answer;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// An answer, with one result for each query.
#[derive(Debug, Deserialize)]
pub(super) struct Results {
    #[serde(default)]
    pub(super) results: BTreeMap<String, Outcome>,
    /// What is said in place of results when the request itself is refused.
    pub(super) message: Option<String>,
}

/// The result of one query.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Outcome {
    error: Option<String>,
    #[serde(default)]
    frames: Vec<Frame>,
}

#[derive(Debug, Deserialize)]
struct Frame {
    schema: Schema,
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Schema {
    #[serde(default)]
    fields: Vec<Field>,
}

#[derive(Debug, Deserialize)]
struct Field {
    r#type: String,
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    #[serde(default)]
    values: Vec<Vec<Value>>,
}

impl Outcome {
    /// What it says about the panel.
    pub(super) fn answer(self) -> Answer {
        Answer { frames: self.frames(), values: self.values(), error: self.error }
    }

    /// Frames with at least one row.
    fn frames(&self) -> u64 {
        self.frames
            .iter()
            .filter(|f| f.data.values.first().is_some_and(|column| !column.is_empty()))
            .count() as u64
    }

    /// Values that are numbers; of frames that have no column of numbers (log lines, tables of
    /// names), their rows.
    fn values(&self) -> u64 {
        self.frames.iter().map(Frame::values).sum()
    }
}

impl Frame {
    fn values(&self) -> u64 {
        let columns = || self.schema.fields.iter().zip(&self.data.values);
        if columns().any(|(field, _)| field.r#type == "number") {
            let numbers = columns().filter(|(field, _)| field.r#type == "number");
            return numbers
                .map(|(_, values)| values.iter().filter(|v| v.is_number()).count() as u64)
                .sum();
        }
        self.data.values.iter().map(Vec::len).max().unwrap_or(0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_and_times_and_gaps_do_not() {
        let text = r#"{"results":{"A":{"status":200,"frames":[
            {"schema":{"refId":"A","fields":[{"name":"Time","type":"time"},{"name":"Value","type":"number"}]},"data":{"values":[[1,2,3],[1.5,null,0]],"entities":[null,{"NaN":[1]}]}},
            {"schema":{"refId":"A","fields":[{"name":"Time","type":"time"},{"name":"Value","type":"number"}]},"data":{"values":[[],[]]}}]},
            "B":{"status":200,"frames":[{"schema":{"fields":[{"name":"line","type":"string"}]},"data":{"values":[["a","b"]]}}]},
            "C":{"status":400,"error":"bad","frames":[]}, "D":{"frames":[{"schema":{"fields":[]},"data":{"values":[]}}]}}}"#;
        let got: Results = serde_json::from_str(text).unwrap();
        let of = |id: &str| (got.results[id].frames(), got.results[id].values());
        assert_eq!((of("A"), of("B"), of("C"), of("D")), ((1, 2), (1, 2), (0, 0), (0, 0)));
        assert_eq!(got.results["C"].error.as_deref(), Some("bad"));
    }
}
