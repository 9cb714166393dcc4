package main

import (
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

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
		return withArtifactTypes(registry.New(registry.WithReferrersSupport(true)))
	})
}

// withArtifactTypes tells of each referrer the artifactType of its manifest, as
// the distribution specification 1.1 demands ("Listing Referrers"), and only
// where it has none the media type of its config, which is all that this
// registry tells by itself.
func withArtifactTypes(handler http.Handler) http.Handler {
	answer := func(request *http.Request) *httptest.ResponseRecorder {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		return recorder
	}
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		repository, _, isList := strings.Cut(request.URL.Path, "/referrers/")
		if !isList {
			handler.ServeHTTP(response, request)
			return
		}
		listed := answer(request)
		body := listed.Body.Bytes()
		var index v1.IndexManifest
		if listed.Code == http.StatusOK && json.Unmarshal(body, &index) == nil {
			for n := range index.Manifests {
				path := repository + "/manifests/" + index.Manifests[n].Digest.String()
				manifest := answer(httptest.NewRequest(http.MethodGet, path, nil))
				var typed struct {
					ArtifactType string `json:"artifactType"`
				}
				if json.Unmarshal(manifest.Body.Bytes(), &typed) == nil && typed.ArtifactType != "" {
					index.Manifests[n].ArtifactType = typed.ArtifactType
				}
			}
			if changed, err := json.Marshal(index); err == nil {
				body = changed
			}
		}
		for key, values := range listed.Header() {
			response.Header()[key] = values
		}
		response.Header().Set("Content-Length", strconv.Itoa(len(body)))
		response.WriteHeader(listed.Code)
		_, _ = response.Write(body)
	})
}
