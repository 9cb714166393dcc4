// Command registry is the CNCF distribution registry with what a local stack
// and our tests need of it: the file system and memory as storage, and
// authentication by passwords and tokens.
//
// The drivers for clouds, which make up most of what the original compiles,
// are left out. Otherwise it is the same program, with the same configuration:
// https://github.com/distribution/distribution/blob/main/cmd/registry/main.go
package main

import (
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/auth/token"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"
)

func main() {
	if err := registry.RootCmd.Execute(); err != nil {
		os.Exit(1)
	}
}
