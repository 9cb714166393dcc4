// Command timestamp-server is Sigstore's timestamp authority with a key in
// memory, for tests.
//
// Sigstore's own command also serves metrics, always on port 2112, and ends if
// that port is taken: two of them cannot run on one machine. This one listens
// where it is told and prints {"address": "HOST:PORT"} once it does.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/sigstore/timestamp-authority/pkg/server"
	"github.com/spf13/viper"
)

// version is set by the linker.
var version = "unknown"

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where to listen; port 0 is any free one")
	flag.Parse()
	viper.Set("timestamp-signer", "memory")
	viper.Set("timestamp-signer-hash", "sha256")
	const limit = 30 * time.Second
	api := server.NewRestAPIServer("", 0, []string{"http"}, false, limit, limit)
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("timestamp-server %s listens: %s", version, listener.Addr())
	address := map[string]string{"address": listener.Addr().String()}
	if err := json.NewEncoder(os.Stdout).Encode(address); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, api.GetHandler()))
}
