package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
)

// fault says what to do to which request.
type fault struct {
	// N is the first request that it hits, counted from 1 when it is armed.
	N int `json:"n"`
	// Kind is one of kinds.
	Kind string `json:"fault"`
	// Times is how many requests in a row it hits: 1 if it is not given.
	Times int `json:"times"`
	// Match is a regular expression that "METHOD path" must match to count.
	Match string `json:"match"`
	// Milliseconds is how long a delay lasts.
	Milliseconds int `json:"ms"`

	pattern *regexp.Regexp
	// held counts the requests that were held back.
	held atomic.Int64
	// released is closed when they may go on.
	released chan struct{}
	release  sync.Once
}

// round is the time from one arming to the next.
type round struct {
	mutex    sync.Mutex
	fault    *fault
	requests int
	fired    bool
	log      []string
}

// count counts a request and returns the fault that is meant for it, if any.
func (r *round) count(line string) *fault {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.fault != nil && !r.fault.pattern.MatchString(line) {
		return nil
	}
	r.requests++
	if r.fault == nil || r.requests < r.fault.N || r.requests >= r.fault.N+r.fault.Times {
		return nil
	}
	return r.fault
}

// note says how a request ended.
func (r *round) note(line string, o outcome) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.fired = r.fired || o.fired
	r.log = append(r.log, line+" -> "+o.text)
}

// letGo lets the requests go on that are held back.
func (r *round) letGo() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.fault != nil {
		r.fault.letGo()
	}
}

func (r *round) disarm() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.fault != nil {
		r.fault.letGo()
	}
	r.fault = nil
}

// letGo lets what is held back go on; what comes later passes.
func (f *fault) letGo() {
	f.release.Do(func() { close(f.released) })
}

func (r *round) status() map[string]any {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var held int64
	if r.fault != nil {
		held = r.fault.held.Load()
	}
	return map[string]any{"requests": r.requests, "fired": r.fired, "held": held, "log": append([]string{}, r.log...)}
}

// rounds holds the present round.
type rounds struct {
	mutex   sync.Mutex
	current *round
}

func (r *rounds) get() *round {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.current
}

func (r *rounds) arm(f *fault) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.current != nil {
		r.current.disarm()
	}
	r.current = &round{fault: f}
}

// control is the handler that arms, disarms and tells what happened.
func (r *rounds) control() http.Handler {
	mux := http.NewServeMux()
	status := func(w http.ResponseWriter) { writeJSON(w, http.StatusOK, r.get().status()) }
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { status(w) })
	mux.HandleFunc("POST /release", func(w http.ResponseWriter, _ *http.Request) {
		r.get().letGo()
		status(w)
	})
	mux.HandleFunc("POST /disarm", func(w http.ResponseWriter, _ *http.Request) {
		r.get().disarm()
		status(w)
	})
	mux.HandleFunc("POST /arm", func(w http.ResponseWriter, request *http.Request) {
		armed, err := readFault(request)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"message": err.Error()})
			return
		}
		r.arm(armed)
		status(w)
	})
	return mux
}

func readFault(request *http.Request) (*fault, error) {
	armed := &fault{Times: 1}
	decoder := json.NewDecoder(request.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(armed); err != nil {
		return nil, err
	}
	if kinds[armed.Kind] == nil {
		return nil, fmt.Errorf("no fault %q", armed.Kind)
	}
	pattern, err := regexp.Compile(armed.Match)
	if err != nil {
		return nil, err
	}
	armed.pattern, armed.released = pattern, make(chan struct{})
	if armed.N < 1 || armed.Times < 1 {
		return nil, errors.New("n and times are counted from 1")
	}
	return armed, nil
}
