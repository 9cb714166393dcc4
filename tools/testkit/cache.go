package main

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// twirp is where version 2 of GitHub's cache service has its calls, see
// github.com/tonistiigi/go-actions-cache, which BuildKit speaks to it with.
const twirp = "/twirp/github.actions.results.api.v1.CacheService/"

// cacheEntry is what was saved under a key.
type cacheEntry struct {
	key, version string
	content      []byte
	// finished entries can be found.
	finished bool
}

// cacheService is the least of the service that BuildKit needs: three calls, and
// blobs as Azure has them.
type cacheService struct {
	address string
	mutex   sync.Mutex
	entries []*cacheEntry
	blocks  map[string][]byte
}

// runCache serves it, and the token that a job would have, at /token.
func runCache(args []string) error {
	flags := flag.NewFlagSet("cache", flag.ExitOnError)
	listen := listenFlag(flags, "listen")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return serve(*listen, func(address string) http.Handler {
		service := &cacheService{address: address, blocks: map[string][]byte{}}
		mux := http.NewServeMux()
		mux.HandleFunc("POST "+twirp+"CreateCacheEntry", call(service.create))
		mux.HandleFunc("POST "+twirp+"FinalizeCacheEntryUpload", call(service.finalize))
		mux.HandleFunc("POST "+twirp+"GetCacheEntryDownloadURL", call(service.find))
		mux.HandleFunc("PUT /blob/{id}", service.put)
		mux.HandleFunc("GET /blob/{id}", service.get)
		mux.HandleFunc("GET /token", func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusOK, map[string]string{"token": jobToken(time.Now())})
		})
		return mux
	})
}

// jobToken is one as the runner gives it; nobody checks its signature.
func jobToken(now time.Time) string {
	part := func(value any) string {
		text, err := json.Marshal(value)
		if err != nil {
			panic(err) // plain data
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	header := part(map[string]string{"alg": "RS256", "typ": "JWT"})
	claims := part(map[string]any{
		"nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(6 * time.Hour).Unix(),
		"ac": `[{"Scope":"refs/heads/main","Permission":3}]`,
	})
	return header + "." + claims + "." + base64.RawURLEncoding.EncodeToString([]byte("unsigned"))
}

type cacheRequest struct {
	Key         string   `json:"key"`
	Version     string   `json:"version"`
	RestoreKeys []string `json:"restore_keys"`
}

// call reads a request of twirp, which has to bear the token of a job.
func call(answer func(request cacheRequest) (int, any)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request cacheRequest
		if len(strings.Split(r.Header.Get("Authorization"), ".")) != 3 {
			writeJSON(w, http.StatusUnauthorized, map[string]string{"code": "unauthenticated"})
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"code": "malformed", "msg": err.Error()})
			return
		}
		status, value := answer(request)
		log.Printf("%s %s: %d", r.URL.Path[len(twirp):], request.Key, status)
		writeJSON(w, status, value)
	}
}

func (s *cacheService) url(id int) string {
	return fmt.Sprintf("http://%s/blob/%d?sig=signed", s.address, id)
}

func (s *cacheService) create(request cacheRequest) (int, any) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, entry := range s.entries {
		if entry.key == request.Key && entry.version == request.Version {
			return http.StatusConflict, map[string]string{"code": "already_exists", "msg": "cache entry with the same key exists"}
		}
	}
	s.entries = append(s.entries, &cacheEntry{key: request.Key, version: request.Version})
	return http.StatusOK, map[string]any{"ok": true, "signed_upload_url": s.url(len(s.entries) - 1)}
}

func (s *cacheService) finalize(request cacheRequest) (int, any) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for id, entry := range s.entries {
		if entry.key == request.Key && entry.version == request.Version {
			entry.finished = true
			return http.StatusOK, map[string]any{"ok": true, "entry_id": strconv.Itoa(id)}
		}
	}
	return http.StatusNotFound, map[string]string{"code": "not_found"}
}

// find looks for the very key, then for the newest that begins as one of the others.
func (s *cacheService) find(request cacheRequest) (int, any) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for n, wanted := range append([]string{request.Key}, request.RestoreKeys...) {
		for id := len(s.entries) - 1; id >= 0; id-- {
			entry := s.entries[id]
			fits := entry.key == wanted || n > 0 && strings.HasPrefix(entry.key, wanted)
			if entry.finished && fits && entry.version == request.Version {
				return http.StatusOK, map[string]any{"ok": true, "signed_download_url": s.url(id), "matched_key": entry.key}
			}
		}
	}
	return http.StatusOK, map[string]any{"ok": false}
}

// put takes a whole blob, a block of one, or the list of its blocks.
func (s *cacheService) put(w http.ResponseWriter, r *http.Request) {
	// BuildKit reads this header without asking whether it is there.
	w.Header().Set("x-ms-request-id", "testkit")
	content, err := io.ReadAll(r.Body)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	entry := s.entry(r)
	if err != nil || entry == nil {
		http.Error(w, "no such blob", http.StatusNotFound)
		return
	}
	switch query := r.URL.Query(); query.Get("comp") {
	case "block":
		s.blocks[r.PathValue("id")+" "+query.Get("blockid")] = content
	case "blocklist":
		var list struct {
			Latest []string `xml:"Latest"`
		}
		if err := xml.Unmarshal(content, &list); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, id := range list.Latest {
			entry.content = append(entry.content, s.blocks[r.PathValue("id")+" "+id]...)
		}
	default:
		entry.content = content
	}
	w.WriteHeader(http.StatusCreated)
}

// get gives a blob or, as Azure's header asks for it, a part of one.
func (s *cacheService) get(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-ms-request-id", "testkit")
	s.mutex.Lock()
	entry := s.entry(r)
	s.mutex.Unlock()
	if entry == nil {
		http.Error(w, "no such blob", http.StatusNotFound)
		return
	}
	if wanted := r.Header.Get("x-ms-range"); wanted != "" {
		r.Header.Set("Range", wanted)
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(entry.content)))
}

func (s *cacheService) entry(r *http.Request) *cacheEntry {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 0 || id >= len(s.entries) {
		return nil
	}
	return s.entries[id]
}
