package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// tokenLife is how long a token is valid.
const tokenLife = 5 * time.Minute

// issuer gives identity tokens to whoever asks, as GitHub does to its jobs.
type issuer struct {
	url    string
	key    *rsa.PrivateKey
	claims map[string]any
	// file holds more claims. It is read for every token.
	file string
}

func runIssuer(args []string) error {
	flags := flag.NewFlagSet("issuer", flag.ExitOnError)
	listen := listenFlag(flags, "listen")
	file := flags.String("claims", "", "a JSON object of claims, read again for every token")
	claims := map[string]any{}
	flags.Func("claim", "a claim as `NAME=VALUE`; may be repeated", func(text string) error {
		name, value, found := strings.Cut(text, "=")
		if !found {
			return errors.New("expected NAME=VALUE")
		}
		claims[name] = value
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	return serve(*listen, func(address string) http.Handler {
		return (&issuer{url: "http://" + address, key: key, claims: claims, file: *file}).handler()
	})
}

func (i *issuer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.discovery)
	mux.HandleFunc("GET /.well-known/jwks", i.jwks)
	mux.HandleFunc("GET /token", i.token)
	mux.HandleFunc("GET /registry", i.registry)
	mux.HandleFunc("POST /registry", i.registry)
	return mux
}

func (i *issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                i.url,
		"jwks_uri":                              i.url + "/.well-known/jwks",
		"token_endpoint":                        i.url + "/token",
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

func (i *issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	exponent := big.NewInt(int64(i.key.E)).Bytes()
	writeJSON(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": i.keyID(),
		"n": encode(i.key.N.Bytes()), "e": encode(exponent),
	}}})
}

// token answers as the URL in ACTIONS_ID_TOKEN_REQUEST_URL does.
func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	kind, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "bearer") || secret == "" {
		writeJSON(w, http.StatusUnauthorized, map[string]string{"message": "no bearer token"})
		return
	}
	token, err := i.sign(r.URL.Query().Get("audience"), time.Now(), nil)
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, map[string]string{"message": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"value": token})
}

// registry gives tokens for a registry (distribution, docs/spec/auth): to
// "someone" with the password or the refresh token "something" what is asked
// for, to nobody leave to read, to anybody else nothing.
func (i *issuer) registry(w http.ResponseWriter, r *http.Request) {
	user, password, known := r.BasicAuth()
	allowed := "pull"
	if r.Method == http.MethodPost {
		user, password, known = "someone", r.FormValue("refresh_token"), true
	}
	if known {
		if user != "someone" || password != "something" {
			writeJSON(w, http.StatusUnauthorized, map[string]string{"details": "incorrect username or password"})
			return
		}
		allowed = "pull,push,delete"
	}
	access := []map[string]any{}
	for _, scope := range strings.Fields(r.FormValue("scope")) {
		parts := strings.SplitN(scope, ":", 3)
		if len(parts) != 3 {
			continue
		}
		actions := slices.DeleteFunc(strings.Split(parts[2], ","), func(action string) bool {
			return !strings.Contains(allowed, action)
		})
		access = append(access, map[string]any{"type": parts[0], "name": parts[1], "actions": actions})
	}
	token, err := i.sign(r.FormValue("service"), time.Now(), map[string]any{"sub": user, "access": access})
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, map[string]string{"message": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"access_token": token, "expires_in": 300})
}

// sign makes a token. What the file says wins over the flags, and both over
// what every token has.
func (i *issuer) sign(audience string, now time.Time, more map[string]any) (string, error) {
	claims := map[string]any{
		"iss": i.url, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(tokenLife).Unix(),
	}
	maps.Copy(claims, more)
	maps.Copy(claims, i.claims)
	if i.file != "" {
		text, err := os.ReadFile(i.file)
		if err != nil {
			return "", err
		}
		if err := json.Unmarshal(text, &claims); err != nil {
			return "", fmt.Errorf("%s: %w", i.file, err)
		}
	}
	header, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": i.keyID()})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := encode(header) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + encode(signature), nil
}

func (i *issuer) keyID() string {
	digest := sha256.Sum256(i.key.N.Bytes())
	return encode(digest[:8])
}

func encode(bytes []byte) string {
	return base64.RawURLEncoding.EncodeToString(bytes)
}
