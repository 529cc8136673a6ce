//! The few gauges that a probe reads from a server's own `/metrics`.

/// The value of a metric without labels in the text format.
pub(crate) fn value(text: &str, metric: &str) -> Option<f64> {
    text.lines().find_map(|line| {
        let value = line.strip_prefix(metric)?.strip_prefix([' ', '\t'])?;
        value.split_whitespace().next()?.parse().ok()
    })
}

/// What `<prefix>_config_last_reload_*` say about a server's last reload.
pub(crate) fn reload(text: &str, prefix: &str) -> Result<verdict::observation::metrics::Reload, String> {
    let metric = |name: &str| {
        let name = format!("{prefix}_config_last_reload_{name}");
        value(text, &name).ok_or_else(|| format!("GET /metrics: {name} is missing"))
    };
    let successful = metric("successful")? == 1.0;
    let last_success_s = metric("success_timestamp_seconds")?;
    let seen = if successful { String::new() } else { format!("{prefix}_config_last_reload_successful is 0") };
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
    fn a_server_without_the_metric_is_no_answer() {
        assert!(reload("x 1\n", "prometheus").unwrap_err().contains("prometheus_config_last_reload_successful"));
        let text = "alertmanager_config_last_reload_successful 0\nalertmanager_config_last_reload_success_timestamp_seconds 12\n";
        let got = reload(text, "alertmanager").unwrap();
        assert!(!got.successful && got.last_success_s == 12.0 && !got.seen.is_empty());
    }
}
