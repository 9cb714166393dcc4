package main

import (
	"flag"
	"net/http"

	"github.com/google/go-containerregistry/pkg/registry"
)

// runRegistry serves a registry that has the referrers API and keeps
// everything in memory.
func runRegistry(args []string) error {
	flags := flag.NewFlagSet("registry", flag.ExitOnError)
	listen := listenFlag(flags, "listen")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return serve(*listen, func(string) http.Handler {
		return registry.New(registry.WithReferrersSupport(true))
	})
}
