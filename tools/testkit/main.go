// Command testkit holds what the tests need beside the real tools: a registry
// with the referrers API, an issuer of GitHub-like identity tokens, a proxy
// that spoils chosen requests, GitHub's cache service, and throw-away credentials.
//
// A server prints one line of JSON on stdout once it listens, with its
// "address", and logs to stderr. It runs until it is killed.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
)

// version is set by the linker.
var version = "unknown"

var commands = map[string]func(args []string) error{
	"registry":    runRegistry,
	"issuer":      runIssuer,
	"proxy":       runProxy,
	"cache":       runCache,
	"htpasswd":    runHtpasswd,
	"certificate": runCertificate,
}

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: testkit registry|issuer|proxy|cache|htpasswd|certificate [FLAGS]")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		log.Fatalf("%s: %v", os.Args[1], err)
	}
}

// listenFlag adds the flag that says where a server listens.
func listenFlag(flags *flag.FlagSet, name string) *string {
	return flags.String(name, "127.0.0.1:0", "where to listen; port 0 is any free one")
}

// announce prints the one line that says where we listen.
func announce(addresses map[string]string) error {
	log.Printf("testkit %s listens: %v", version, addresses)
	return json.NewEncoder(os.Stdout).Encode(addresses)
}

// serve announces a listener and answers its requests.
func serve(listen string, handler func(address string) http.Handler) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	address := listener.Addr().String()
	if err := announce(map[string]string{"address": address}); err != nil {
		return err
	}
	return http.Serve(listener, handler(address))
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Printf("answering: %v", err)
	}
}
