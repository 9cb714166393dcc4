package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
)

// proxy stands before a registry. It passes the Host header on, so that the
// registry's Location headers lead back to the proxy.
type proxy struct {
	upstream  string
	transport *http.Transport
	rounds    rounds
	tags      tags
}

func runProxy(args []string) error {
	flags := flag.NewFlagSet("proxy", flag.ExitOnError)
	listen := listenFlag(flags, "listen")
	controlAt := listenFlag(flags, "control")
	upstream := flags.String("to", "", "`HOST:PORT` of the registry")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *upstream == "" {
		return errors.New("--to is needed")
	}
	// A connection each: a kept one may be closed just when it is used.
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	p := &proxy{upstream: *upstream, transport: transport}
	p.rounds.arm(nil)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	control, err := net.Listen("tcp", *controlAt)
	if err != nil {
		return err
	}
	addresses := map[string]string{"address": listener.Addr().String(), "control": control.Addr().String()}
	if err := announce(addresses); err != nil {
		return err
	}
	go func() { log.Fatal(http.Serve(control, p.rounds.control())) }()
	return http.Serve(listener, p)
}

// ServeHTTP forwards a request, or does to it what is armed for it.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	line := r.Method + " " + r.URL.Path
	round := p.rounds.get()
	if armed := round.count(line); armed != nil {
		outcome := kinds[armed.Kind](p, w, r, armed)
		round.note(line, outcome)
		if outcome.end != nil {
			outcome.end()
		}
		return
	}
	round.note(line, outcome{text: p.pass(w, r)})
}

// pass forwards a request unspoilt and returns the status.
func (p *proxy) pass(w http.ResponseWriter, r *http.Request) string {
	response, err := p.forward(r)
	if err != nil {
		return badGateway(w, err)
	}
	defer response.Body.Close()
	return answer(w, response)
}

// forward asks the registry. A tag that is written is remembered as it was.
func (p *proxy) forward(r *http.Request) (*http.Response, error) {
	held := p.before(r)
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = "http", p.upstream
	out.RequestURI = ""
	out.Header.Del("Connection")
	response, err := p.transport.RoundTrip(out)
	if err == nil && held != nil && response.StatusCode/100 == 2 {
		p.tags.put(r.URL.Path, held)
	}
	return response, err
}

// answer hands a response on and returns its status.
func answer(w http.ResponseWriter, response *http.Response) string {
	for name, values := range response.Header {
		if name != "Connection" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(response.StatusCode)
	if _, err := io.Copy(w, response.Body); err != nil {
		log.Printf("%s: %v", response.Request.URL.Path, err)
	}
	return strconv.Itoa(response.StatusCode)
}

func badGateway(w http.ResponseWriter, err error) string {
	log.Printf("forwarding: %v", err)
	http.Error(w, err.Error(), http.StatusBadGateway)
	return fmt.Sprintf("502 (%v)", err)
}
