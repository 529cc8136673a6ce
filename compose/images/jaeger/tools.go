//go:build tools

package main

import _ "github.com/jaegertracing/jaeger/cmd/all-in-one"
