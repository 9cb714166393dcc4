package main

import (
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// manifest is an answer to a request for a manifest.
type manifest struct {
	status int
	header http.Header
	body   []byte
}

// tags remembers what each tag held before it was last written, by path.
type tags struct {
	mutex sync.Mutex
	held  map[string]*manifest
}

func (t *tags) put(path string, held *manifest) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.held == nil {
		t.held = map[string]*manifest{}
	}
	t.held[path] = held
}

func (t *tags) get(path string) *manifest {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	return t.held[path]
}

// isManifest tells whether a path names a manifest by tag or digest.
func isManifest(path string) bool {
	return strings.Contains(path, "/manifests/")
}

// isTag tells whether a path names a manifest by a tag.
func isTag(path string) bool {
	_, reference, found := strings.Cut(path, "/manifests/")
	return found && !strings.Contains(reference, ":")
}

// before asks what a tag holds that is about to be written; nil for any other
// request.
func (p *proxy) before(r *http.Request) *manifest {
	if r.Method != http.MethodPut || !isTag(r.URL.Path) {
		return nil
	}
	url := "http://" + p.upstream + r.URL.Path
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, nil)
	if err != nil {
		log.Printf("asking for %s: %v", url, err)
		return nil
	}
	ask.Host = r.Host
	ask.Header["Authorization"] = r.Header["Authorization"]
	ask.Header["Accept"] = []string{
		"application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.list.v2+json",
		"application/vnd.docker.distribution.manifest.v2+json",
	}
	response, err := p.transport.RoundTrip(ask)
	if err != nil {
		log.Printf("asking for %s: %v", url, err)
		return nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Printf("asking for %s: %v", url, err)
		return nil
	}
	return &manifest{status: response.StatusCode, header: response.Header, body: body}
}

// staleTag answers a request for a tag as if its last write had not happened.
func (p *proxy) staleTag(w http.ResponseWriter, r *http.Request, _ *fault) outcome {
	held := p.tags.get(r.URL.Path)
	if (r.Method != http.MethodGet && r.Method != http.MethodHead) || held == nil {
		return outcome{text: p.pass(w, r)}
	}
	for name, values := range held.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(held.body)))
	w.WriteHeader(held.status)
	if r.Method == http.MethodGet {
		if _, err := w.Write(held.body); err != nil {
			log.Printf("%s: %v", r.URL.Path, err)
		}
	}
	return outcome{text: "stale-tag (" + strconv.Itoa(held.status) + ")", fired: true}
}
