//go:build tools

// Package jaeger names the program that this module's go.mod and go.sum lock: Jaeger v2, which is an OpenTelemetry
// collector as well. scripts/tools builds it.
package jaeger

import _ "github.com/jaegertracing/jaeger/cmd/jaeger"
