//! PromQL: parsing with an error that helps, printing that can be parsed again, and what an
//! expression looks at.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use lrpar::{Lexeme as _, Lexer as _, NonStreamingLexer as _};
use promql_parser::label::{Labels, MatchOp, Matcher, Matchers};
use promql_parser::parser::token::{
    T_ADD, T_COLON, T_DIV, T_LEFT_BRACKET, T_MOD, T_MUL, T_NUMBER, T_OFFSET, T_POW, T_SUB,
};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{
    self, AtModifier, BinModifier, Expr, LabelModifier, Offset, VectorMatchCardinality,
    VectorSelector,
};
use promql_parser::util::{escape_string, parse_str_radix};

use super::duration;

pub mod grammar;
mod known;
mod newer;

pub use newer::{Refused, refused};

/// How deep a tree may get. It is walked by functions that call themselves, the largest of which
/// takes 5 kB a level in a debug build, on threads with 2 MiB of stack.
const MOST_LEVELS: usize = 250;

/// What is inside an open bracket, between two commas.
#[derive(Default)]
struct Part {
    operators: usize,
    /// The deepest bracket in it.
    below: usize,
    /// The deepest part before it.
    before: usize,
}

impl Part {
    fn levels(&self) -> usize {
        self.before.max(self.operators + self.below)
    }
}

/// At least the levels of the tree that an expression has, told from its brackets and operators: a
/// tree that is too deep must not be made, since dropping it takes as much stack as walking it.
fn levels(text: &str) -> usize {
    let (mut open, mut part) = (Vec::new(), Part::default());
    let (mut letters, mut word, mut last) = (text.chars(), String::new(), ' ');
    while let Some(letter) = letters.next() {
        if letter.is_alphanumeric() || letter == '_' {
            word.push(letter.to_ascii_lowercase());
            last = letter;
            continue;
        }
        part.operators += usize::from(matches!(word.as_str(), "and" | "or" | "unless" | "atan2"));
        word.clear();
        match letter {
            '"' | '\'' | '`' => loop {
                match letters.next() {
                    Some('\\') if letter != '`' => drop(letters.next()),
                    Some(other) if other != letter => {}
                    _ => break,
                }
            },
            '#' => drop(letters.by_ref().find(|letter| *letter == '\n')),
            '(' | '[' | '{' => open.push(std::mem::take(&mut part)),
            ')' | ']' | '}' => {
                let around = open.pop().unwrap_or_default();
                let inside = part.levels() + 1;
                part = Part { below: around.below.max(inside), ..around };
            }
            ',' => part = Part { before: part.levels(), ..Part::default() },
            '.' | ':' => {}
            '=' if "=!<>".contains(last) => {}
            other => part.operators += usize::from(!other.is_whitespace()),
        }
        last = letter;
    }
    open.iter().rev().fold(part.levels(), |inside, around| {
        around.before.max(around.operators + around.below.max(inside + 1))
    })
}

/// Whether each number that stands for a length of time is one: the parser panics at others.
fn durations_fit(text: &str) -> Result<(), String> {
    let lexer = parser::lexer(text)?;
    let (mut last, mut after_offset) = (None, false);
    for token in lexer.iter().flatten() {
        let id = token.tok_id();
        let is_length = after_offset || matches!(last, Some(T_LEFT_BRACKET | T_COLON));
        if id == T_NUMBER && is_length {
            let written = lexer.span_str(token.span());
            let fits = parse_str_radix(written).map(Duration::try_from_secs_f64);
            if !matches!(fits, Ok(Ok(_))) {
                return Err(format!("{written} is not a duration"));
            }
        }
        // A sign may stand between the word and the number.
        after_offset = id == T_OFFSET || (after_offset && matches!(id, T_ADD | T_SUB));
        last = Some(id);
    }
    Ok(())
}

/// Parses an expression: <https://prometheus.io/docs/prometheus/latest/querying/basics/>.
///
/// # Errors
/// The parser's own words, on one line.
pub fn parse(text: &str) -> Result<Expr, String> {
    // Prometheus 3 renamed it, and the parser knows the new name only.
    static OLD_NAMES: std::sync::Once = std::sync::Once::new();
    OLD_NAMES.call_once(|| {
        let arguments = vec![ValueType::Matrix, ValueType::Scalar, ValueType::Scalar];
        let holt_winters =
            parser::Function::new("holt_winters", arguments, 0, ValueType::Vector, false);
        // It can only fail if the parser comes to know the name by itself, which is as good.
        let _ = parser::register_extra_functions(vec![holt_winters]);
    });
    let deepest = levels(text);
    if deepest > MOST_LEVELS {
        return Err(format!(
            "an expression of {deepest} levels of operators and brackets; at most {MOST_LEVELS} are read"
        ));
    }
    let readable = newer::readable(text);
    durations_fit(&readable)
        .and_then(|()| parser::parse(&readable))
        .map_err(|problem| problem.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Prints an expression so that Prometheus reads the same tree again.
///
/// The parser's own printer loses the quotes of names outside of the classic alphabet and prints
/// durations in days, so it is not used. Parentheses are nodes of the tree and come out where they
/// were.
pub fn print(expr: &Expr) -> String {
    let mut out = String::new();
    write_expr(expr, &mut out);
    out
}

fn write_expr(expr: &Expr, out: &mut String) {
    match expr {
        Expr::Aggregate(aggregate) => {
            let _ = write!(out, "{}", aggregate.op);
            match &aggregate.modifier {
                Some(LabelModifier::Include(labels)) => {
                    let _ = write!(out, " by ({}) ", label_list(labels));
                }
                Some(LabelModifier::Exclude(labels)) => {
                    let _ = write!(out, " without ({}) ", label_list(labels));
                }
                None => {}
            }
            out.push('(');
            if let Some(param) = &aggregate.param {
                write_expr(param, out);
                out.push_str(", ");
            }
            write_expr(&aggregate.expr, out);
            out.push(')');
        }
        Expr::Unary(unary) => {
            out.push('-');
            write_expr(&unary.expr, out);
        }
        Expr::Binary(binary) => {
            write_expr(&binary.lhs, out);
            let _ = write!(out, " {}", binary.op);
            if let Some(modifier) = &binary.modifier {
                write_modifier(modifier, out);
            }
            out.push(' ');
            write_expr(&binary.rhs, out);
        }
        Expr::Paren(paren) => {
            out.push('(');
            write_expr(&paren.expr, out);
            out.push(')');
        }
        Expr::Subquery(subquery) => {
            write_expr(&subquery.expr, out);
            let step = subquery.step.map(duration::format).unwrap_or_default();
            let _ = write!(out, "[{}:{step}]", duration::format(subquery.range));
            write_times(&subquery.at, &subquery.offset, out);
        }
        Expr::NumberLiteral(number) => out.push_str(&number_text(number.val)),
        Expr::StringLiteral(text) => {
            let _ = write!(out, "\"{}\"", escape_string(&text.val));
        }
        Expr::VectorSelector(selector) => {
            write_selector(selector, out);
            write_times(&selector.at, &selector.offset, out);
        }
        Expr::MatrixSelector(matrix) => {
            write_selector(&matrix.vs, out);
            let _ = write!(out, "[{}]", duration::format(matrix.range));
            write_times(&matrix.vs.at, &matrix.vs.offset, out);
        }
        Expr::Call(call) => {
            out.push_str(call.func.name);
            out.push('(');
            for (at, arg) in call.args.args.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write_expr(arg, out);
            }
            out.push(')');
        }
        // The parser never makes one.
        Expr::Extension(extension) => out.push_str(extension.expr.name()),
    }
}

fn write_modifier(modifier: &BinModifier, out: &mut String) {
    if modifier.return_bool {
        out.push_str(" bool");
    }
    match &modifier.matching {
        Some(LabelModifier::Include(labels)) => {
            let _ = write!(out, " on ({})", label_list(labels));
        }
        Some(LabelModifier::Exclude(labels)) => {
            let _ = write!(out, " ignoring ({})", label_list(labels));
        }
        _ => {}
    }
    match &modifier.card {
        VectorMatchCardinality::ManyToOne(labels) => {
            let _ = write!(out, " group_left ({})", label_list(labels));
        }
        VectorMatchCardinality::OneToMany(labels) => {
            let _ = write!(out, " group_right ({})", label_list(labels));
        }
        _ => {}
    }
    let fill = &modifier.fill_values;
    match (fill.lhs, fill.rhs) {
        (Some(left), Some(right)) if left == right => {
            let _ = write!(out, " fill ({})", number_text(left));
        }
        (left, right) => {
            if let Some(left) = left {
                let _ = write!(out, " fill_left ({})", number_text(left));
            }
            if let Some(right) = right {
                let _ = write!(out, " fill_right ({})", number_text(right));
            }
        }
    }
}

/// A number as PromQL writes it.
pub fn number_text(number: f64) -> String {
    if number == f64::INFINITY {
        "Inf".into()
    } else if number == f64::NEG_INFINITY {
        "-Inf".into()
    } else if number.is_nan() {
        "NaN".into()
    } else if number != 0.0 && !(1e-6..1e15).contains(&number.abs()) {
        format!("{number:e}")
    } else {
        format!("{number}")
    }
}

fn is_classic(name: &str, colons: bool) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || (colons && c == ':'))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':'))
}

fn label_list(labels: &Labels) -> String {
    let quoted = |name: &String| {
        if is_classic(name, false) { name.clone() } else { format!("\"{}\"", escape_string(name)) }
    };
    labels.labels.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

fn write_selector(selector: &VectorSelector, out: &mut String) {
    let matchers = matchers_text(&selector.matchers);
    match &selector.name {
        Some(name) if is_classic(name, true) => {
            out.push_str(name);
            if !matchers.is_empty() {
                let _ = write!(out, "{{{matchers}}}");
            }
        }
        Some(name) => {
            let comma = if matchers.is_empty() { "" } else { "," };
            let _ = write!(out, "{{\"{}\"{comma}{matchers}}}", escape_string(name));
        }
        None => {
            let _ = write!(out, "{{{matchers}}}");
        }
    }
}

fn matchers_text(matchers: &Matchers) -> String {
    let list = |some: &[Matcher]| some.iter().map(matcher_text).collect::<Vec<_>>().join(",");
    if matchers.or_matchers.is_empty() {
        list(&matchers.matchers)
    } else {
        matchers.or_matchers.iter().map(|some| list(some)).collect::<Vec<_>>().join(" or ")
    }
}

fn matcher_text(matcher: &Matcher) -> String {
    let op = match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Re(_) => "=~",
        MatchOp::NotRe(_) => "!~",
    };
    let name = if is_classic(&matcher.name, false) {
        matcher.name.clone()
    } else {
        format!("\"{}\"", escape_string(&matcher.name))
    };
    format!("{name}{op}\"{}\"", escape_string(&matcher.value))
}

fn write_times(at: &Option<AtModifier>, offset: &Option<Offset>, out: &mut String) {
    match at {
        Some(AtModifier::Start) => out.push_str(" @ start()"),
        Some(AtModifier::End) => out.push_str(" @ end()"),
        Some(AtModifier::At(time)) => {
            let seconds = match time.duration_since(std::time::UNIX_EPOCH) {
                Ok(after) => after.as_secs_f64(),
                Err(before) => -before.duration().as_secs_f64(),
            };
            let _ = write!(out, " @ {seconds:.3}");
        }
        None => {}
    }
    match offset {
        Some(Offset::Pos(back)) => {
            let _ = write!(out, " offset {}", duration::format(*back));
        }
        Some(Offset::Neg(ahead)) => {
            let _ = write!(out, " offset -{}", duration::format(*ahead));
        }
        None => {}
    }
}

/// An expression without the brackets around it.
pub fn inner(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => inner(&paren.expr),
        other => other,
    }
}

/// The value of an expression of numbers alone; none where it is made of anything else.
pub fn constant(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(number) => Some(number.val),
        Expr::Paren(paren) => constant(&paren.expr),
        Expr::Unary(unary) => constant(&unary.expr).map(|value| -value),
        Expr::Call(call) => match (call.func.name, call.args.args.as_slice()) {
            ("scalar" | "vector", [one]) => constant(one),
            ("pi", []) => Some(std::f64::consts::PI),
            _ => None,
        },
        Expr::Binary(binary) => {
            let (left, right) = (constant(&binary.lhs)?, constant(&binary.rhs)?);
            match binary.op.id() {
                T_ADD => Some(left + right),
                T_SUB => Some(left - right),
                T_MUL => Some(left * right),
                T_DIV => Some(left / right),
                T_MOD => Some(left % right),
                T_POW => Some(left.powf(right)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The expressions directly below one.
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(aggregate) => {
            aggregate.param.iter().map(|param| &**param).chain([&*aggregate.expr]).collect()
        }
        Expr::Unary(unary) => vec![&unary.expr],
        Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        Expr::Paren(paren) => vec![&paren.expr],
        Expr::Subquery(subquery) => vec![&subquery.expr],
        Expr::Call(call) => call.args.args.iter().map(|arg| &**arg).collect(),
        _ => Vec::new(),
    }
}

/// All selectors of an expression, from left to right, without their ranges.
pub fn selectors(expr: &Expr) -> Vec<&VectorSelector> {
    match expr {
        Expr::VectorSelector(selector) => vec![selector],
        Expr::MatrixSelector(matrix) => vec![&matrix.vs],
        other => children(other).into_iter().flat_map(selectors).collect(),
    }
}

/// The name of the metric that a selector asks for, whether it stands before or within the braces.
pub fn metric_name(selector: &VectorSelector) -> Option<&str> {
    selector.name.as_deref().or_else(|| equal_to(selector, "__name__"))
}

/// The value that a selector wants a label to have, if it names exactly one.
pub fn equal_to<'a>(selector: &'a VectorSelector, label: &str) -> Option<&'a str> {
    selector
        .matchers
        .matchers
        .iter()
        .find(|matcher| matcher.name == label && matches!(matcher.op, MatchOp::Equal))
        .map(|matcher| matcher.value.as_str())
}

/// Every range that an expression looks back over, with the offset added, nested ones added up;
/// sorted, without repeats. An expression of plain instant selectors has none.
pub fn windows(expr: &Expr) -> Vec<Duration> {
    let mut found = BTreeSet::new();
    collect_windows(expr, Duration::ZERO, &mut found);
    found.into_iter().collect()
}

fn collect_windows(expr: &Expr, around: Duration, found: &mut BTreeSet<Duration>) {
    let back = |offset: &Option<Offset>| match offset {
        Some(Offset::Pos(back)) => *back,
        _ => Duration::ZERO,
    };
    match expr {
        Expr::MatrixSelector(matrix) => {
            found.insert(around + matrix.range + back(&matrix.vs.offset));
        }
        Expr::VectorSelector(selector) => {
            let reach = around + back(&selector.offset);
            if !reach.is_zero() {
                found.insert(reach);
            }
        }
        Expr::Subquery(subquery) => {
            let reach = around + subquery.range + back(&subquery.offset);
            found.insert(reach);
            collect_windows(&subquery.expr, reach, found);
        }
        other => {
            for child in children(other) {
                collect_windows(child, around, found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_deepest_part() {
        for (text, wanted) in [
            ("a", 0),
            ("a + b", 1),
            ("sum(a) + sum(b) + sum(c)", 3),
            ("a >= b", 1),
            ("f(a + b + c, d)", 3),
            ("f(a, -b)", 2),
            ("'((' + \"\\\"((\" # ((\n + `\\`", 2),
            ("a and b or c", 2),
            ("((", 2),
        ] {
            assert_eq!(levels(text), wanted, "{text}");
        }
        let long = vec!["sum(rate(a{b=\"c\",d=\"e\"}[5m]))"; 240].join(" or ");
        assert!(parse(&long).is_ok());
        let told = parse(&"(".repeat(300)).unwrap_err();
        assert!(told.contains("300 levels") && told.contains("250"), "{told}");
    }

    #[test]
    fn a_number_that_is_no_length_of_time_is_refused() {
        for (number, text) in [
            ("1e999", "a[1e999]"),
            ("1e30", "rate(a[5m:1e30])"),
            ("99999999999999999999", "a offset - 99999999999999999999"),
            ("inf", "a offset +inf"),
            ("NaN", "a offset NaN"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(number), "{text}: {told}");
        }
        for text in
            ["a[300]", "a offset 5", "a offset -0.5 > 1e30", "a[5m] @ 1e9", "Inf", "a == NaN"]
        {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_printed_parses_to_the_same_tree() {
        for text in [
            "up == 0",
            "-foo ^ 2",
            "(100 - (avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) * 100)) > 80",
            "sum(rate(x{status=~\"5..\"}[5m])) by (job) / on (job) group_left (a, b) sum(rate(x[5m])) by (job) > 0.05",
            "sum without () (x)",
            "sum by () (x)",
            "foo and ignoring () bar > bool baz",
            "count_values(\"v\", x) unless on () y or z and ignoring (a) w",
            "a + ignoring (x) group_right () b",
            "max_over_time(rate(x[5m])[1h:30s] offset 5m) > bool 3",
            "x[5m:] @ 1609746000.123",
            "x @ end() offset -1h30m",
            "quantile(0.9, x) >= topk(3, y{a!=\"b\",c!~\"d|e\"})",
            "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\\\\.x\\\"\\n\")",
            "time() - x > 1e10",
            "absent(up{job='a'}) or vector(0)",
            "{__name__=~\"a.*\"} atan2 {job=\"x\"}",
            "{\"utf8.name\", \"label.x\"=\"y\"}",
            "sum by (\"a.b\") (x)",
            "x{a=\"1\" or b=\"2\"}",
            "histogram_quantile(0.99, sum by (le) (rate(b[90d]))) > +Inf",
            "foo > 0.0000001",
            "x * -1 < -Inf or y != NaN",
            "1 - -x",
            "holt_winters(x[1h], 0.5, 0.5)",
        ] {
            let tree = parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"));
            let printed = print(&tree);
            let again = parse(&printed)
                .unwrap_or_else(|problem| panic!("{text} became {printed}: {problem}"));
            assert_eq!(again, tree, "{text} became {printed}");
        }
    }

    #[test]
    fn windows_add_up() {
        let seconds = |text: &str| {
            windows(&parse(text).unwrap()).iter().map(Duration::as_secs).collect::<Vec<_>>()
        };
        assert_eq!(seconds("up == 0"), Vec::<u64>::new());
        assert_eq!(seconds("rate(x[5m]) / rate(y[1m] offset 1m)"), vec![120, 300]);
        assert_eq!(seconds("max_over_time(rate(x[5m])[1h:])"), vec![3600, 3900]);
    }

    #[test]
    fn a_wrong_expression_is_one_line() {
        let problem = parse("sum(rate(x[5m])").unwrap_err();
        assert!(!problem.contains('\n'), "{problem}");
    }
}
