package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// runHtpasswd prints a line for a registry's htpasswd file. The password is a
// throw-away, so the cheapest hash will do.
func runHtpasswd(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: testkit htpasswd USER PASSWORD")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(args[1]), bcrypt.MinCost)
	if err != nil {
		return err
	}
	fmt.Printf("%s:%s\n", args[0], hash)
	return nil
}

// runCertificate writes a certificate authority and a server certificate of it
// for 127.0.0.1, localhost and registry.test. The authority's key is thrown away.
func runCertificate(args []string) error {
	flags := flag.NewFlagSet("certificate", flag.ExitOnError)
	caFile := flags.String("ca", "", "where to write the authority's certificate")
	certFile := flags.String("cert", "", "where to write the server's certificate")
	keyFile := flags.String("key", "", "where to write the server's key")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *caFile == "" || *certFile == "" || *keyFile == "" {
		return errors.New("--ca, --cert and --key are needed")
	}
	ca := certificate("testkit authority", 1)
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	caBytes, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	server := certificate("localhost", 2)
	server.KeyUsage, server.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames, server.IPAddresses = []string{"localhost", "registry.test"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serverBytes, err := x509.CreateCertificate(rand.Reader, server, ca, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyBytes, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(*caFile, "CERTIFICATE", caBytes, 0o644),
		writePEM(*certFile, "CERTIFICATE", serverBytes, 0o644),
		writePEM(*keyFile, "PRIVATE KEY", keyBytes, 0o600),
	)
}

// certificate is what both have in common: a name, and a day's life.
func certificate(name string, serial int64) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
}

func writePEM(path, kind string, bytes []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), mode)
}
