//! Rules: their durations, and their expressions by way of their exponents.

use std::collections::BTreeMap;

use super::exponent::{Finding, Rewriting};
use super::quantity::{Kind, Quantity};
use super::series::{Knowledge, Unit};
use super::{Literal, Reason, Work};
use crate::monitoring::{PrometheusServer, Rule, RuleKind, duration, promql, rules};
use crate::yaml::Node;

/// Recorded series may be built on one another; deeper chains than this are not known to exist.
const ROUNDS: usize = 20;

impl Work<'_> {
    /// Scales the rule files of a Prometheus server.
    pub(super) fn rules(&mut self, server: &mut PrometheusServer) {
        let knowledge = self.knowledge(server);
        for file in &mut server.rules {
            let groups = file.view.clone();
            for (group_at, group) in groups.iter().enumerate() {
                let Some(group_node) = file
                    .doc
                    .root
                    .get_non_null_mut("groups")
                    .and_then(|groups| groups.items_mut().get_mut(group_at))
                else {
                    continue;
                };
                for key in ["interval", "query_offset"] {
                    self.scale_key(group_node, key, &format!("group `{}`: {key}", group.name));
                }
                for (rule_at, rule) in group.rules.iter().enumerate() {
                    let Some(node) = group_node
                        .get_non_null_mut("rules")
                        .and_then(|rules| rules.items_mut().get_mut(rule_at))
                    else {
                        continue;
                    };
                    for key in ["for", "keep_firing_for"] {
                        self.scale_key(node, key, &format!("alert `{}`: {key}", rule.name));
                    }
                    self.rule(rule, node, &knowledge);
                }
            }
            match rules::read(&file.doc) {
                Ok(view) => file.view = view,
                Err(error) => self.reasons.push(Reason {
                    subject: error.place.key.clone(),
                    place: Some(error.place.clone()),
                    seen: String::new(),
                    why: format!("after scaling it no longer reads: {}", error.problem),
                    hint: "this is a defect of firedrill: use time scale 1 and report it".into(),
                    largest_n: 1.0,
                }),
            }
        }
    }

    fn scale_key(&mut self, node: &mut Node, key: &str, what: &str) {
        // What does not parse was refused when the file was read.
        if let Some(from) =
            node.get_non_null(key).and_then(Node::text).and_then(|text| duration::parse(text).ok())
        {
            let to = self.divided(from, what, None);
            node.set(key, Node::plain(duration::format(to)));
        }
    }

    fn rule(&mut self, rule: &Rule, node: &mut Node, knowledge: &Knowledge) {
        let subject = if rule.is_alert() {
            format!("alert `{}`", rule.name)
        } else {
            format!("recording rule `{}`", rule.name)
        };
        let mut rewriting = Rewriting {
            scale: self.scale.n,
            knowledge,
            declared: self.scale.declared.exponents.get(&rule.name).copied(),
            findings: Vec::new(),
        };
        let (expr, _) = rewriting.walk(rule.expr.clone());
        for finding in rewriting.findings {
            let place = rule.expr_place.clone();
            match finding {
                Finding::Literal { before, after, exponent, why } => {
                    self.literals.push(Literal {
                        rule: rule.name.clone(),
                        before,
                        after,
                        exponent,
                        why,
                        place,
                    });
                }
                Finding::Left { what, value, why } => {
                    self.left(format!("{subject}: {what}"), value, why, Some(place))
                }
                Finding::Rounded { wanted_ms, got, from } => {
                    self.rounded(
                        &format!("{subject}: {} in its expression", duration::format(from)),
                        wanted_ms,
                        got,
                        "",
                    );
                }
                Finding::Problem { why, hint, largest } => self.reasons.push(Reason {
                    subject: subject.clone(),
                    place: Some(place),
                    seen: rule.text.clone(),
                    why,
                    hint,
                    largest_n: largest,
                }),
            }
        }
        if expr != rule.expr {
            let text = promql::print(&expr);
            if promql::parse(&text).as_ref() == Ok(&expr) {
                node.set("expr", Node::string(text));
            } else {
                self.reasons.push(Reason {
                    subject: subject.clone(),
                    place: Some(rule.expr_place.clone()),
                    seen: rule.text.clone(),
                    why: format!("it can't be printed so that it parses again: `{text}`"),
                    hint: "this is a defect of firedrill: use time scale 1 and report it".into(),
                    largest_n: 1.0,
                });
            }
        }
        if let RuleKind::Alert { annotations, .. } = &rule.kind {
            for (key, text) in node.get_non_null("annotations").map_or(&[][..], Node::entries) {
                let Some(text) = text.text() else { continue };
                if annotations.contains_key(&key.name)
                    && text.contains("query ")
                    && text.contains('[')
                {
                    let why = "a query inside a template is text for people and decides nothing";
                    self.left(
                        format!("{subject}: annotation `{}`", key.name),
                        text,
                        why,
                        Some(rule.place.clone()),
                    );
                }
            }
        }
    }

    /// What names and rules tell about series, recorded ones included.
    fn knowledge(&self, server: &PrometheusServer) -> Knowledge {
        let mut knowledge = Knowledge::default();
        knowledge.stated.clone_from(&self.scale.declared.series);
        let all: Vec<&Rule> = server
            .rules
            .iter()
            .flat_map(|file| &file.view)
            .flat_map(|group| &group.rules)
            .collect();
        for rule in &all {
            knowledge.learn(&rule.expr);
        }
        for _ in 0..ROUNDS {
            let mut recorded: BTreeMap<String, Quantity> = BTreeMap::new();
            for rule in all.iter().filter(|rule| !rule.is_alert()) {
                let declared = self.scale.declared.exponents.get(&rule.name).copied();
                let mut rewriting = Rewriting {
                    scale: self.scale.n,
                    knowledge: &knowledge,
                    declared,
                    findings: Vec::new(),
                };
                let (_, quantity) = rewriting.walk(rule.expr.clone());
                let quantity = match (&quantity.kind, declared) {
                    (Kind::Undecided(_), Some(exponent)) => {
                        Quantity::new(Kind::Power(exponent), Unit::NONE)
                    }
                    (Kind::Constant, _) => Quantity::power(0.0),
                    _ => quantity,
                };
                match recorded.get(&rule.name) {
                    Some(other) if other.kind != quantity.kind => {
                        let joined = other.clone().join(quantity, "is recorded from");
                        recorded.insert(rule.name.clone(), joined);
                    }
                    _ => {
                        recorded.insert(rule.name.clone(), quantity);
                    }
                }
            }
            if recorded == knowledge.recorded {
                break;
            }
            knowledge.recorded = recorded;
        }
        knowledge
    }
}
