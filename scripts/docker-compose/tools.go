//go:build tools

// Package compose names the program that this module's go.mod and go.sum lock: Compose v2, the plugin of the docker
// command. scripts/tools builds it.
package compose

import _ "github.com/docker/compose/v2/cmd"
