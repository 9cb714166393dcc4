package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"
)

// outcome is how a request ended.
type outcome struct {
	text string
	// fired says that harm was done.
	fired bool
	// end, if any, is called once the outcome is noted: whoever sees the end of
	// the connection also sees the note.
	end func()
}

// act handles a request for which a fault is armed.
type act func(*proxy, http.ResponseWriter, *http.Request, *fault) outcome

// kinds are the faults by name.
var kinds = map[string]act{
	"refuse":            (*proxy).refuse,
	"reset":             (*proxy).reset,
	"delay":             (*proxy).delay,
	"429":               refusal(http.StatusTooManyRequests, "TOOMANYREQUESTS"),
	"500":               refusal(http.StatusInternalServerError, "UNKNOWN"),
	"503":               refusal(http.StatusServiceUnavailable, "UNAVAILABLE"),
	"empty-404":         page("404 Not Found", "text/plain", ""),
	"nginx-503":         page("503 Service Temporarily Unavailable", "text/html", nginx503),
	"cloudflare-520":    page("520 Origin Error", "text/html; charset=UTF-8", cloudflare520),
	"s3-slow-down":      page("503 Slow Down", "application/xml", s3SlowDown),
	"hold":              (*proxy).hold,
	"lie-digest":        (*proxy).lieDigest,
	"stale-tag":         (*proxy).staleTag,
	"drop-after-commit": (*proxy).dropAfterCommit,
}

// refuse closes the connection before any answer; the registry sees nothing.
func (p *proxy) refuse(w http.ResponseWriter, _ *http.Request, _ *fault) outcome {
	connection := hijack(w)
	return outcome{text: "refuse", fired: true, end: func() { connection.Close() }}
}

// reset sends half of the answer and resets the connection.
func (p *proxy) reset(w http.ResponseWriter, r *http.Request, _ *fault) outcome {
	response, err := p.forward(r)
	if err != nil {
		return outcome{text: badGateway(w, err)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return outcome{text: badGateway(w, err)}
	}
	var answer bytes.Buffer
	fmt.Fprintf(&answer, "HTTP/1.1 %s\r\n", response.Status)
	if r.Method != http.MethodHead {
		response.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if err := response.Header.Write(&answer); err != nil {
		log.Printf("reset: %v", err)
	}
	half := answer.Len() / 2
	if len(body) > 0 {
		answer.WriteString("\r\n")
		half = answer.Len() + len(body)/2
		answer.Write(body)
	}
	connection := hijack(w)
	if _, err := connection.Write(answer.Bytes()[:half]); err != nil {
		log.Printf("reset: %v", err)
	}
	// A reset may overtake what was sent: let it arrive.
	time.Sleep(20 * time.Millisecond)
	return aborted("reset", response, connection)
}

// delay waits before it forwards.
func (p *proxy) delay(w http.ResponseWriter, r *http.Request, f *fault) outcome {
	select {
	case <-time.After(time.Duration(f.Milliseconds) * time.Millisecond):
		return outcome{text: "delay (" + p.pass(w, r) + ")", fired: true}
	case <-r.Context().Done():
		return outcome{text: "delay (the client left)", fired: true}
	}
}

// refusal answers with an error in the registry's stead.
func refusal(status int, code string) act {
	return func(_ *proxy, w http.ResponseWriter, _ *http.Request, _ *fault) outcome {
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		writeJSON(w, status, map[string]any{
			"errors": []map[string]string{{"code": code, "message": "injected by the test"}},
		})
		return outcome{text: strconv.Itoa(status) + " (injected)", fired: true}
	}
}

// What stands before and behind registries says in its own words: none of it
// is the JSON of a registry.
const (
	nginx503 = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n" +
		"<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
	cloudflare520 = "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head>\n" +
		"<title>registry.example | 520: Web server is returning an unknown error</title>\n</head>\n<body></body>\n</html>\n"
	s3SlowDown = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" +
		"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)

// page answers with a status line and a body of another server.
func page(status, kind, body string) act {
	return func(_ *proxy, w http.ResponseWriter, r *http.Request, _ *fault) outcome {
		text := body
		if r.Method == http.MethodHead {
			text = ""
		}
		connection := hijack(w)
		answer := fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
			status, kind, len(body), text)
		if _, err := io.WriteString(connection, answer); err != nil {
			log.Printf("%s: %v", status, err)
		}
		return outcome{text: status + " (injected)", fired: true, end: func() { connection.Close() }}
	}
}

// hold keeps a request back until it is released.
func (p *proxy) hold(w http.ResponseWriter, r *http.Request, f *fault) outcome {
	f.held.Add(1)
	select {
	case <-f.released:
		return outcome{text: "hold (" + p.pass(w, r) + ")", fired: true}
	case <-r.Context().Done():
		return outcome{text: "hold (the client left)", fired: true}
	}
}

// lieDigest names another digest than the registry, and changes a digest inside
// a manifest.
func (p *proxy) lieDigest(w http.ResponseWriter, r *http.Request, _ *fault) outcome {
	response, err := p.forward(r)
	if err != nil {
		return outcome{text: badGateway(w, err)}
	}
	defer response.Body.Close()
	digest := []byte(response.Header.Get("Docker-Content-Digest"))
	fired := falsify(digest)
	if fired {
		response.Header.Set("Docker-Content-Digest", string(digest))
	}
	if r.Method == http.MethodGet && isManifest(r.URL.Path) && response.StatusCode == http.StatusOK {
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return outcome{text: badGateway(w, err)}
		}
		fired = falsify(body) || fired
		response.Body = io.NopCloser(bytes.NewReader(body))
	}
	status := answer(w, response)
	if fired {
		status = "lie-digest (" + status + ")"
	}
	return outcome{text: status, fired: fired}
}

// falsify changes one digit of the last digest in a text, if it has one.
func falsify(text []byte) bool {
	const prefix = "sha256:"
	at := bytes.LastIndex(text, []byte(prefix)) + len(prefix)
	if at < len(prefix) || at >= len(text) {
		return false
	}
	if text[at] == '0' {
		text[at] = '1'
	} else {
		text[at] = '0'
	}
	return true
}

// dropAfterCommit lets the registry do its work and tells the client nothing.
func (p *proxy) dropAfterCommit(w http.ResponseWriter, r *http.Request, _ *fault) outcome {
	response, err := p.forward(r)
	if err != nil {
		return outcome{text: badGateway(w, err)}
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		log.Printf("drop-after-commit: %v", err)
	}
	return aborted("drop-after-commit", response, hijack(w))
}

// hijack takes the connection over from the HTTP server.
func hijack(w http.ResponseWriter) net.Conn {
	connection, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		log.Fatalf("taking over a connection: %v", err)
	}
	return connection
}

// aborted ends in a reset of the connection instead of its close.
func aborted(name string, response *http.Response, connection net.Conn) outcome {
	end := func() {
		if err := connection.(*net.TCPConn).SetLinger(0); err != nil {
			log.Printf("%s: %v", name, err)
		}
		connection.Close()
	}
	return outcome{text: name + " (" + strconv.Itoa(response.StatusCode) + ")", fired: true, end: end}
}
