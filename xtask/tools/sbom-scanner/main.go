// Command syft-scanner is a generator of SBOMs for BuildKit: Syft, pinned,
// where BuildKit's own image of it cannot be had.
//
// The protocol: https://github.com/moby/buildkit/blob/master/docs/attestations/sbom-protocol.md
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/cataloging"
	"github.com/anchore/syft/syft/format"
	"github.com/anchore/syft/syft/format/spdxjson"
	"github.com/anchore/syft/syft/source"
	"github.com/anchore/syft/syft/source/directorysource"
	_ "modernc.org/sqlite" // Syft reads the database of RPM with it.
)

// version is set by the linker.
var version = "unknown"

// statement is an in-toto statement without subjects: BuildKit adds them.
type statement struct {
	Type          string          `json:"_type"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	destination, root := os.Getenv("BUILDKIT_SCAN_DESTINATION"), os.Getenv("BUILDKIT_SCAN_SOURCE")
	if destination == "" || root == "" {
		return errors.New("BUILDKIT_SCAN_DESTINATION and BUILDKIT_SCAN_SOURCE must be set")
	}
	roots := []string{root}
	if extras := os.Getenv("BUILDKIT_SCAN_SOURCE_EXTRAS"); extras != "" {
		entries, err := os.ReadDir(extras)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, entry := range entries {
			roots = append(roots, filepath.Join(extras, entry.Name()))
		}
	}
	for _, root := range roots {
		name := filepath.Base(root)
		if err := scan(ctx, root, filepath.Join(destination, name+".spdx.json")); err != nil {
			return fmt.Errorf("scanning %s: %w", name, err)
		}
	}
	return nil
}

// scan lists the packages of a root file system. Its links lead nowhere outside.
func scan(ctx context.Context, root, file string) error {
	config := directorysource.Config{Path: root, Base: root, Alias: source.Alias{Name: filepath.Base(root)}}
	origin, err := directorysource.New(config)
	if err != nil {
		return err
	}
	defer origin.Close()
	// What is installed, as in an image, not what sources declare.
	catalogers := cataloging.NewSelectionRequest().WithDefaults("image")
	options := syft.DefaultCreateSBOMConfig().WithTool("syft", version).WithCatalogerSelection(catalogers)
	found, err := syft.CreateSBOM(ctx, origin, options)
	if err != nil {
		return err
	}
	encoder, err := spdxjson.NewFormatEncoderWithConfig(spdxjson.EncoderConfig{Version: "2.3"})
	if err != nil {
		return err
	}
	document, err := format.Encode(*found, encoder)
	if err != nil {
		return err
	}
	text, err := json.Marshal(statement{
		Type:          "https://in-toto.io/Statement/v0.1",
		PredicateType: "https://spdx.dev/Document",
		Predicate:     document,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
