//! The few metrics that a probe reads from a server's own `/metrics`.

use std::collections::BTreeMap;

/// The value of a metric without labels in the text format.
pub(crate) fn value(text: &str, metric: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let value = line.strip_prefix(metric)?.strip_prefix([' ', '\t'])?;
        value.split_whitespace().next()?.parse().ok()
    })
}

/// Values of a metric in the text format, by one of its labels; series without that label are left
/// out.
pub(crate) fn by_label(text: &str, metric: &str, label: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(metric)?.strip_prefix('{')?;
            let (labels, value) = labels(rest)?;
            let of = labels.into_iter().find(|(name, _)| name == label)?.1;
            Some((of, value.split_whitespace().next()?.parse().ok()?))
        })
        .collect()
}

/// Labels of a series, and what follows their closing brace.
fn labels(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let (mut found, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((found, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (mut value, mut chars) = (String::new(), quoted.char_indices());
        rest = loop {
            match chars.next()? {
                (at, '"') => break &quoted[at + 1..],
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        found.push((name.to_owned(), value));
    }
}

/// What `<prefix>_config_last_reload_*` say about a server's last reload.
pub(crate) fn reload(
    text: &str,
    prefix: &str,
) -> Result<verdict::observation::metrics::Reload, String> {
    let metric = |name: &str| {
        let name = format!("{prefix}_config_last_reload_{name}");
        value(text, &name).ok_or_else(|| format!("GET /metrics: {name} is missing"))
    };
    let successful = metric("successful")? == 1.0;
    let last_success_s = metric("success_timestamp_seconds")?;
    let seen = if successful {
        String::new()
    } else {
        format!("{prefix}_config_last_reload_successful is 0")
    };
    Ok(verdict::observation::metrics::Reload { successful, last_success_s, seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_metric_asked_for_and_no_longer_name() {
        let text = "# HELP a_b x\n# TYPE a_b gauge\na_b_c 3\na_b{x=\"y\"} 9\na_b 1.5e+09 123\n";
        assert_eq!(value(text, "a_b"), Some(1.5e9));
        assert_eq!(value(text, "a_b_c"), Some(3.0));
        assert_eq!(value(text, "a"), None);
    }

    #[test]
    fn reads_values_by_a_label_that_may_hold_anything() {
        let text = "m_total{x=\"1\",g=\"/a b.yml;n \\\"{}\\\" \\\\\"} 7\nm_total{g=\"two\"} 8 99\nm_total 9\nm_total_more{g=\"3\"} 1\nm_total{g=\"torn";
        let wanted = [("/a b.yml;n \"{}\" \\".to_owned(), 7.0), ("two".to_owned(), 8.0)];
        assert_eq!(by_label(text, "m_total", "g"), BTreeMap::from(wanted));
    }

    #[test]
    fn a_server_without_the_metric_is_no_answer() {
        assert!(
            reload("x 1\n", "prometheus")
                .unwrap_err()
                .contains("prometheus_config_last_reload_successful")
        );
        let text = "alertmanager_config_last_reload_successful 0\nalertmanager_config_last_reload_success_timestamp_seconds 12\n";
        let got = reload(text, "alertmanager").unwrap();
        assert!(!got.successful && got.last_success_s == 12.0 && !got.seen.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn damaged_metrics_are_read_as_far_as_they_are(
            text in proptest::prop_oneof![
                damaged::damaged(&["# TYPE a_total counter\na_total{b=\"c\\\"d\",e=\"é\"} 1.5e+09 123\na_total 7\nb NaN\n"]),
                damaged::anything(),
            ]
        ) {
            value(&text, "a_total");
            by_label(&text, "a_total", "b");
            let _ = reload(&text, "prometheus");
        }
    }
}
