//go:build tools

package main

import _ "github.com/grafana/grafana/pkg/cmd/grafana"
