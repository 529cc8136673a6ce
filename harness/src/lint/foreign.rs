//! Templates of rules as nobody should write them.

use super::templates::read;
use damaged::{anything, damaged, deep};
use proptest::prelude::*;

const TEMPLATES: &[&str] = &[
    "{{ $labels.instance }} is at {{ $value | printf \"%.0f\" }} % (was {{ printf `%q` .Labels.job }})",
    "{{- with $labels.instance -}}{{ . }}{{else}}none{{ end }}{{/* note }} */}}",
    "{{ range query \"up{job='a'} == 0\" }}{{ .Labels.instance }} {{ end }}",
    "{{ define \"x\" }}{{ . }}{{ end }}{{ template \"x\" $labels.a }}{{ $b := index $labels \"c d\" }}{{ $b | humanize }}",
    "{{ if and (gt $value 1.0) (eq .Labels.x \"}}\") }}{{ $externalLabels.region }}{{ else if $value }}x{{ end }}",
];

fn template_is_read(text: &str) {
    match read(text) {
        Ok(labels) => assert!(labels.iter().all(|label| text.contains(label)), "{labels:?}"),
        Err(why) => assert!(!why.is_empty() && !why.contains('\n'), "{why:?}"),
    }
}

#[test]
fn what_is_damaged_below_is_read_as_long_as_it_is_whole() {
    for text in TEMPLATES {
        assert!(read(text).is_ok(), "{text}: {:?}", read(text));
    }
}

proptest! {
    #![proptest_config(damaged::cases(500))]

    #[test]
    fn a_damaged_template(text in damaged(TEMPLATES)) {
        template_is_read(&text);
    }

    #[test]
    fn anything_in_place_of_a_template(text in anything()) {
        template_is_read(&text);
        template_is_read(&format!("{{{{ {text} }}}}"));
    }
}

#[test]
fn templates_that_nest_deeply_are_read_or_refused() {
    for text in deep() {
        template_is_read(&text);
        template_is_read(&format!("{{{{ {text} }}}}"));
    }
}
