// Checks a compose file as `docker compose config --quiet` does, by the same library, where no container engine is at
// hand: unknown keys, wrong types, services, networks, volumes and configs that are used and not defined, files that are
// not there. Knows nothing of Herald.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: compose-check FILE...")
		os.Exit(64)
	}
	if err := check(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "compose-check: %v\n", err)
		os.Exit(1)
	}
}

func check(files []string) error {
	options, err := cli.NewProjectOptions(files, cli.WithOsEnv, cli.WithDotEnv, cli.WithConsistency(true), cli.WithNormalization(true))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	var faults []string
	for name, service := range project.Services {
		faults = append(faults, missingFiles("service "+name, service)...)
		if service.Image != "" && !pinned(service.Image) {
			faults = append(faults, fmt.Sprintf("service %s: image %q is not pinned to a version", name, service.Image))
		}
	}
	for name, config := range project.Configs {
		if config.File != "" {
			faults = append(faults, missing("config "+name, config.File)...)
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%d faults:\n  %s", len(faults), strings.Join(faults, "\n  "))
	}
	fmt.Printf("%s: %d services\n", strings.Join(files, ", "), len(project.Services))
	return nil
}

// Bind mounts of files that are not there would be made as empty folders by the engine.
func missingFiles(who string, service types.ServiceConfig) []string {
	var faults []string
	for _, volume := range service.Volumes {
		if volume.Type == types.VolumeTypeBind {
			faults = append(faults, missing(who, volume.Source)...)
		}
	}
	return faults
}

func missing(who, file string) []string {
	if _, err := os.Stat(file); err != nil {
		return []string{fmt.Sprintf("%s: %v", who, err)}
	}
	return nil
}

// A tag that is not `latest`, or a digest. An image that is built here needs none.
func pinned(image string) bool {
	if strings.Contains(image, "@sha256:") {
		return true
	}
	colon := strings.LastIndex(image, ":")
	return colon > strings.LastIndex(image, "/") && image[colon+1:] != "latest"
}
