// Only there so that the source is fetched by the module proxy and verified against go.sum.
module firedrill.local/grafana-source

go 1.26.0

toolchain go1.26.8

require github.com/grafana/grafana v1.9.2-0.20230609164553-81d85ce8028d
