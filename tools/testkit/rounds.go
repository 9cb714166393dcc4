package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// fault says what to do to which request.
type fault struct {
	// N is the first request that it hits, counted from 1 when it is armed.
	N int `json:"n"`
	// Kind is one of kinds.
	Kind string `json:"fault"`
	// Times is how many requests in a row it hits: 1 if it is not given.
	Times int `json:"times"`
	// Match is a part of "METHOD path" that a request must have to count.
	Match string `json:"match"`
	// Milliseconds is how long a delay lasts.
	Milliseconds int `json:"ms"`
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
	if r.fault != nil && !strings.Contains(line, r.fault.Match) {
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

func (r *round) disarm() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.fault = nil
}

func (r *round) status() map[string]any {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return map[string]any{"requests": r.requests, "fired": r.fired, "log": append([]string{}, r.log...)}
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
	r.current = &round{fault: f}
}

// control is the handler that arms, disarms and tells what happened.
func (r *rounds) control() http.Handler {
	mux := http.NewServeMux()
	status := func(w http.ResponseWriter) { writeJSON(w, http.StatusOK, r.get().status()) }
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { status(w) })
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
	armed := fault{Times: 1}
	decoder := json.NewDecoder(request.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&armed); err != nil {
		return nil, err
	}
	if kinds[armed.Kind] == nil {
		return nil, fmt.Errorf("no fault %q", armed.Kind)
	}
	if armed.N < 1 || armed.Times < 1 {
		return nil, errors.New("n and times are counted from 1")
	}
	return &armed, nil
}
