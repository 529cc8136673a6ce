//! Names that PromQL has.

use crate::monitoring::version::Version;

/// Aggregators.
pub(super) const AGGREGATORS: [&str; 14] = [
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];
/// Functions of all versions.
pub(super) const FUNCTIONS: &str = "abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max clamp_min cos cosh count_over_time days_in_month day_of_month day_of_week day_of_year deg delta deriv double_exponential_smoothing end exp first_over_time floor histogram_avg histogram_count histogram_fraction histogram_quantile histogram_quantiles histogram_stddev histogram_stdvar histogram_sum holt_winters hour idelta increase info irate label_join label_replace last_over_time ln log10 log2 mad_over_time max_of max_over_time min_of min_over_time minute month pi predict_linear present_over_time quantile_over_time rad range rate resets round scalar sgn sin sinh sort sort_by_label sort_by_label_desc sort_desc sqrt start start_timestamp stddev_over_time stdvar_over_time step sum_over_time tan tanh time timestamp ts_of_first_over_time ts_of_last_over_time ts_of_max_over_time ts_of_min_over_time vector year";
/// Names that came later than the oldest version in use, with the flag that turns them on.
/// <https://github.com/prometheus/prometheus/blob/main/promql/parser/functions.go>
pub(super) const LATER: [(&str, Version, Option<&str>); 23] = [
    ("limitk", Version(2, 54), Some("promql-experimental-functions")),
    ("limit_ratio", Version(2, 54), Some("promql-experimental-functions")),
    ("mad_over_time", Version(2, 49), Some("promql-experimental-functions")),
    ("sort_by_label", Version(2, 49), Some("promql-experimental-functions")),
    ("sort_by_label_desc", Version(2, 49), Some("promql-experimental-functions")),
    ("info", Version(2, 55), Some("promql-experimental-functions")),
    ("double_exponential_smoothing", Version(3, 0), Some("promql-experimental-functions")),
    ("ts_of_max_over_time", Version(3, 5), Some("promql-experimental-functions")),
    ("ts_of_min_over_time", Version(3, 5), Some("promql-experimental-functions")),
    ("ts_of_last_over_time", Version(3, 5), Some("promql-experimental-functions")),
    ("ts_of_first_over_time", Version(3, 7), Some("promql-experimental-functions")),
    ("first_over_time", Version(3, 7), Some("promql-experimental-functions")),
    ("histogram_quantiles", Version(3, 11), Some("promql-experimental-functions")),
    ("start", Version(3, 12), Some("promql-experimental-functions")),
    ("end", Version(3, 12), Some("promql-experimental-functions")),
    ("range", Version(3, 12), Some("promql-experimental-functions")),
    ("step", Version(3, 12), Some("promql-experimental-functions")),
    ("min_of", Version(3, 13), Some("promql-experimental-functions")),
    ("max_of", Version(3, 13), Some("promql-experimental-functions")),
    ("start_timestamp", Version(3, 14), Some("promql-experimental-functions")),
    ("histogram_avg", Version(2, 51), None),
    ("histogram_stddev", Version(2, 47), None),
    ("histogram_stdvar", Version(2, 47), None),
];
/// Experiments that are none any more, with the first version that has them without a flag.
pub(super) const STABLE: [(&str, Version); 1] = [("first_over_time", Version(3, 14))];
