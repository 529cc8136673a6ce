//! Which labels the results of an expression may carry, as far as the expression tells.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::{
    T_BOTTOMK, T_COUNT_VALUES, T_LIMIT_RATIO, T_LIMITK, T_LOR, T_TOPK,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorMatchCardinality, VectorSelector,
};

use config::monitoring::promql;

/// Labels of the results of an expression, the name of the series left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Labels {
    /// Whether others than the known ones may be there.
    pub(crate) open: bool,
    /// Labels that may be there, with their value where it is fixed.
    pub(crate) known: BTreeMap<String, Option<String>>,
    /// Labels that can't be there.
    pub(crate) gone: BTreeSet<String>,
}

/// Labels of recorded series, by name.
pub(crate) type Recorded = BTreeMap<String, Labels>;

impl Labels {
    /// Whether a label may be there.
    pub(crate) fn may_carry(&self, name: &str) -> bool {
        self.known.contains_key(name) || (self.open && !self.gone.contains(name))
    }

    fn keep(&self, names: &[String]) -> Labels {
        let known = names
            .iter()
            .filter(|name| self.may_carry(name))
            .map(|name| (name.clone(), self.known.get(name).cloned().flatten()));
        Labels { open: false, known: known.collect(), gone: BTreeSet::new() }
    }

    fn without(mut self, names: &[String]) -> Labels {
        for name in names {
            self.known.remove(name);
            self.gone.insert(name.clone());
        }
        self
    }

    fn with(mut self, name: &str, value: Option<String>) -> Labels {
        self.gone.remove(name);
        self.known.insert(name.to_owned(), value);
        self
    }

    /// What either may carry.
    fn or(self, other: Labels) -> Labels {
        let mut known = BTreeMap::new();
        for name in self.known.keys().chain(other.known.keys()) {
            let (one, two) =
                (self.known.get(name).cloned().flatten(), other.known.get(name).cloned().flatten());
            known.insert(name.clone(), if one == two { one } else { None });
        }
        let gone = self
            .gone
            .iter()
            .chain(&other.gone)
            .filter(|name| !self.may_carry(name) && !other.may_carry(name))
            .cloned()
            .collect();
        Labels { open: self.open || other.open, known, gone }
    }
}

/// The labels of an expression's results.
pub(crate) fn of(expr: &Expr, recorded: &Recorded) -> Labels {
    match expr {
        Expr::Paren(paren) => of(&paren.expr, recorded),
        Expr::Unary(unary) => of(&unary.expr, recorded),
        Expr::Subquery(subquery) => of(&subquery.expr, recorded),
        Expr::VectorSelector(selector) => of_selector(selector, recorded),
        Expr::MatrixSelector(matrix) => of_selector(&matrix.vs, recorded),
        Expr::Aggregate(aggregate) => of_aggregate(aggregate, recorded),
        Expr::Call(call) => of_call(call, recorded),
        Expr::Binary(binary) => of_binary(binary, recorded),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => Labels::default(),
    }
}

fn all_matchers(selector: &VectorSelector) -> impl Iterator<Item = &Matcher> {
    selector.matchers.matchers.iter().filter(|matcher| matcher.name != "__name__")
}

fn of_selector(selector: &VectorSelector, recorded: &Recorded) -> Labels {
    let mut labels = promql::metric_name(selector)
        .and_then(|name| recorded.get(name).cloned())
        .unwrap_or(Labels { open: true, ..Labels::default() });
    for matcher in all_matchers(selector) {
        match &matcher.op {
            MatchOp::Equal if matcher.value.is_empty() => {
                labels = labels.without(std::slice::from_ref(&matcher.name))
            }
            MatchOp::Equal => labels = labels.with(&matcher.name, Some(matcher.value.clone())),
            MatchOp::Re(_) if labels.may_carry(&matcher.name) => {
                labels.known.entry(matcher.name.clone()).or_insert(None);
            }
            _ => {}
        }
    }
    labels
}

fn of_aggregate(aggregate: &AggregateExpr, recorded: &Recorded) -> Labels {
    let inner = of(&aggregate.expr, recorded);
    let op = aggregate.op.id();
    // These hand on whole series.
    if [T_TOPK, T_BOTTOMK, T_LIMITK, T_LIMIT_RATIO].contains(&op) {
        return inner;
    }
    let grouped = match &aggregate.modifier {
        Some(LabelModifier::Include(names)) => inner.keep(&names.labels),
        Some(LabelModifier::Exclude(names)) => inner.without(&names.labels),
        None => Labels::default(),
    };
    match aggregate.param.as_deref() {
        Some(Expr::StringLiteral(name)) if op == T_COUNT_VALUES => grouped.with(&name.val, None),
        _ => grouped,
    }
}

fn of_call(call: &Call, recorded: &Recorded) -> Labels {
    let text = |at: usize| match call.args.args.get(at).map(|arg| &**arg) {
        Some(Expr::StringLiteral(text)) => Some(text.val.clone()),
        _ => None,
    };
    let vector = call
        .args
        .args
        .iter()
        .rev()
        .find(|arg| matches!(arg.value_type(), ValueType::Vector | ValueType::Matrix));
    let inner = vector.map_or_else(Labels::default, |arg| of(arg, recorded));
    match call.func.name {
        "absent" | "absent_over_time" => {
            let mut labels = Labels::default();
            if let Some(selector) = vector.and_then(|arg| promql::selectors(arg).first().copied()) {
                for matcher in all_matchers(selector)
                    .filter(|matcher| matcher.op == MatchOp::Equal && !matcher.value.is_empty())
                {
                    labels = labels.with(&matcher.name, Some(matcher.value.clone()));
                }
            }
            labels
        }
        "scalar" | "vector" | "time" | "pi" => Labels::default(),
        "histogram_quantile" | "histogram_fraction" => inner.without(&["le".to_owned()]),
        "label_replace" | "label_join" => match text(1) {
            Some(name) => inner.with(&name, None),
            None => inner,
        },
        _ => inner,
    }
}

fn of_binary(binary: &BinaryExpr, recorded: &Recorded) -> Labels {
    let is_vector = |expr: &Expr| expr.value_type() == ValueType::Vector;
    match (is_vector(&binary.lhs), is_vector(&binary.rhs)) {
        (true, false) => return of(&binary.lhs, recorded),
        (false, true) => return of(&binary.rhs, recorded),
        (false, false) => return Labels::default(),
        (true, true) => {}
    }
    let left = of(&binary.lhs, recorded);
    if binary.op.id() == T_LOR {
        return left.or(of(&binary.rhs, recorded));
    }
    if binary.op.is_set_operator() {
        return left;
    }
    let modifier = binary.modifier.as_ref();
    let taken = |mut many: Labels, one: &Labels, names: &[String]| {
        for name in names {
            if one.may_carry(name) {
                many = many.with(name, one.known.get(name).cloned().flatten());
            }
        }
        many
    };
    match modifier.map(|modifier| (&modifier.card, &modifier.matching)) {
        Some((VectorMatchCardinality::ManyToOne(names), _)) => {
            taken(left, &of(&binary.rhs, recorded), &names.labels)
        }
        Some((VectorMatchCardinality::OneToMany(names), _)) => {
            taken(of(&binary.rhs, recorded), &left, &names.labels)
        }
        Some((_, Some(LabelModifier::Include(names)))) => left.keep(&names.labels),
        Some((_, Some(LabelModifier::Exclude(names)))) => left.without(&names.labels),
        _ => left,
    }
}

/// Labels of all series that rules record; those built on others need as many rounds as they are
/// deep.
pub(crate) fn recorded<'a>(
    rules: impl Iterator<Item = &'a config::monitoring::Rule> + Clone,
) -> Recorded {
    let mut all = Recorded::new();
    for _ in 0..10 {
        let mut next = Recorded::new();
        for rule in rules.clone().filter(|rule| !rule.is_alert()) {
            let mut labels = of(&rule.expr, &all);
            for (name, value) in &rule.labels {
                labels = if value.is_empty() {
                    labels.without(std::slice::from_ref(name))
                } else {
                    labels.with(name, Some(value.clone()))
                };
            }
            let joined = match next.remove(&rule.name) {
                Some(other) => labels.or(other),
                None => labels,
            };
            next.insert(rule.name.clone(), joined);
        }
        if next == all {
            break;
        }
        all = next;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expr: &str) -> String {
        let labels = of(&promql::parse(expr).unwrap(), &Recorded::new());
        let known: Vec<_> = labels
            .known
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("?")))
            .collect();
        let gone: Vec<_> = labels.gone.iter().map(|name| format!("-{name}")).collect();
        format!("{}{}{}", known.join(","), gone.join(","), if labels.open { "+" } else { "" })
    }

    #[test]
    fn labels_follow_the_expression() {
        for (expr, wanted) in [
            ("up", "+"),
            ("up{job=\"a\"}", "job=a+"),
            ("up{job=\"\"}", "-job+"),
            ("up{job=~\"a|b\"}", "job=?+"),
            ("sum(x)", ""),
            ("sum by (a, b) (x{a=\"1\"})", "a=1,b=?"),
            ("sum by (a) (sum by (b) (x))", ""),
            ("sum without (a) (x)", "-a+"),
            ("topk(3, sum by (a) (x))", "a=?"),
            ("count_values(\"v\", x)", "v=?"),
            ("absent(up{job=\"a\",x=~\"b\"})", "job=a"),
            ("up{job=\"a\"} == 0 or absent(up{job=\"a\"})", "job=a+"),
            ("a{x=\"1\"} / on (y) b", "y=?"),
            ("a{x=\"1\"} / ignoring (x) b", "-x+"),
            ("sum by (y) (a) * on (y) group_left (z) b", "y=?,z=?"),
            ("sum by (y) (a) > 3", "y=?"),
            ("3 < sum by (y) (a)", "y=?"),
            ("histogram_quantile(0.9, sum by (le, job) (rate(x[5m])))", "job=?-le"),
            ("label_replace(sum(x), \"a\", \"$1\", \"b\", \"(.*)\")", "a=?"),
            ("vector(1)", ""),
            ("time() - sum by (a) (x)", "a=?"),
        ] {
            assert_eq!(shown(expr), wanted, "{expr}");
        }
    }
}
