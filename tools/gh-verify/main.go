// Command gh-verify demands of an image what
//
//	gh attestation verify oci://IMAGE --bundle-from-oci --repo OWNER/NAME --signer-workflow OWNER/NAME/PATH
//
// demands, with the library that gh uses, for tests: gh itself is no Go module that the module proxy serves. The flags have
// gh's names and mean what they mean there. Source: github.com/cli/cli, pkg/cmd/attestation (artifact/oci, verification, verify).
//
// The trust is gh's of the public instance, which has to be given by --custom-trusted-root: an entry of a transparency log
// and an observed time. Of a trust that is given, gh itself demands the log only where the trusted root has one, so what is
// accepted here gh accepts too. One demand is not shown: for the public instance gh also asks for a signed certificate
// timestamp, which a log of certificates issues, and beside these tests no such log runs. Fulcio's public instance
// embeds one in every certificate.
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// version is set by the linker.
var version = "unknown"

const (
	githubIssuer   = "https://token.actions.githubusercontent.com"
	slsaProvenance = "https://slsa.dev/provenance/v1"
	// What the artifactType of a referrer has to begin with, as its descriptor tells it: gh opens no other.
	bundleType  = "application/vnd.dev.sigstore.bundle"
	inTotoType  = "application/vnd.in-toto+json"
	largest     = 16 << 20
	bundleSince = "0.2"
)

// hasHost tells HOST/OWNER/NAME/PATH from OWNER/NAME/PATH.
var hasHost = regexp.MustCompile(`^[a-zA-Z0-9-]+\.[a-zA-Z0-9-]+.*$`)

// criteria is what is demanded of an attestation.
type criteria struct {
	predicateType string
	// A regular expression for the subject of the certificate: who signed.
	san string
	// Extensions of the certificate: whose run it was, compared without case. .16, .12 and .8 of Fulcio's.
	ownerURI, repositoryURI, issuer string
}

func main() {
	repo := flag.String("repo", "", "the repository whose run it must have been, OWNER/NAME")
	signer := flag.String("signer-workflow", "", "the workflow that must have signed, [HOST/]OWNER/NAME/PATH")
	issuer := flag.String("cert-oidc-issuer", githubIssuer, "the issuer of identities")
	predicate := flag.String("predicate-type", slsaProvenance, "the type of the statement")
	trusted := flag.String("custom-trusted-root", "", "whose signatures count, a trusted_root.json")
	_ = flag.Bool("bundle-from-oci", true, "attestations are taken from the registry, as always here")
	flag.Usage = func() {
		fmt.Fprintf(os.Stderr, "gh-verify %s\nusage: gh-verify --repo OWNER/NAME [FLAGS] oci://IMAGE\n", version)
		flag.PrintDefaults()
	}
	flag.Parse()
	owner, _, named := strings.Cut(*repo, "/")
	image, isImage := strings.CutPrefix(flag.Arg(0), "oci://")
	if !named || !isImage || flag.NArg() != 1 || *trusted == "" {
		flag.Usage()
		os.Exit(2)
	}
	demanded := criteria{
		predicateType: *predicate,
		san:           "(?i)^https://github.com/" + *repo + "/",
		ownerURI:      "https://github.com/" + owner,
		repositoryURI: "https://github.com/" + *repo,
		issuer:        *issuer,
	}
	if *signer != "" {
		demanded.san = workflow(*signer)
	}
	if err := run(image, *trusted, demanded); err != nil {
		fmt.Fprintf(os.Stderr, "error: verify %s: %v\n", image, err)
		os.Exit(1)
	}
}

// workflow is the expression that gh makes of --signer-workflow.
func workflow(signer string) string {
	if hasHost.MatchString(signer) {
		return "^https://" + signer
	}
	return "^https://github.com/" + signer
}

// run says which attestations of an image hold; it is an error if none does.
func run(image, trusted string, demanded criteria) error {
	verifier, err := newVerifier(trusted)
	if err != nil {
		return err
	}
	reference, err := name.ParseReference(image)
	if err != nil {
		return err
	}
	descriptor, err := remote.Get(reference, remote.WithAuthFromKeychain(authn.DefaultKeychain))
	if err != nil {
		return fmt.Errorf("reading the image: %w", err)
	}
	found, err := bundles(reference, descriptor.Digest)
	if err != nil {
		return err
	}
	bundled := len(found)
	if found = ofType(found, demanded.predicateType); len(found) == 0 {
		return fmt.Errorf("none of the %d bundles at %s is of the type %s", bundled, descriptor.Digest, demanded.predicateType)
	}
	policy, err := newPolicy(descriptor.Digest, demanded)
	if err != nil {
		return err
	}
	var refused []error
	held := 0
	for _, one := range found {
		result, err := check(verifier, one, policy, demanded)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		held++
		certificate := result.Signature.Certificate
		fmt.Printf("verified: %s signed by %s, a run of %s, %d observed times\n", demanded.predicateType,
			certificate.SubjectAlternativeName, certificate.SourceRepositoryURI, len(result.VerifiedTimestamps))
	}
	if held == 0 {
		return errors.Join(refused...)
	}
	return nil
}

// newVerifier is gh's of the public instance, but for the log of certificates.
func newVerifier(path string) (*verify.Verifier, error) {
	trusted, err := root.NewTrustedRootFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("reading the trusted root %s: %w", path, err)
	}
	return verify.NewVerifier(trusted, verify.WithTransparencyLog(1), verify.WithObserverTimestamps(1))
}

// newPolicy demands the digest of the image, and the subject of the certificate. Any issuer will do here: it is
// compared with the other extensions.
func newPolicy(digest v1.Hash, demanded criteria) (verify.PolicyBuilder, error) {
	none := verify.PolicyBuilder{}
	plain, err := hex.DecodeString(digest.Hex)
	if err != nil {
		return none, err
	}
	san, err := verify.NewSANMatcher("", demanded.san)
	if err != nil {
		return none, err
	}
	issuer, err := verify.NewIssuerMatcher("", ".*")
	if err != nil {
		return none, err
	}
	identity, err := verify.NewCertificateIdentity(san, issuer, certificate.Extensions{})
	if err != nil {
		return none, err
	}
	artifact := verify.WithArtifactDigest(digest.Algorithm, plain)
	return verify.NewPolicy(artifact, verify.WithCertificateIdentity(identity)), nil
}

// bundles are what refers to a digest and is a Sigstore bundle by the artifactType of its descriptor: the API's answer, or
// the index under the tag that takes its place.
func bundles(reference name.Reference, digest v1.Hash) ([]*bundle.Bundle, error) {
	keychain := remote.WithAuthFromKeychain(authn.DefaultKeychain)
	index, err := remote.Referrers(reference.Context().Digest(digest.String()), keychain)
	if err != nil {
		return nil, fmt.Errorf("listing the referrers: %w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading the referrers: %w", err)
	}
	var found []*bundle.Bundle
	for _, descriptor := range manifest.Manifests {
		if !strings.HasPrefix(descriptor.ArtifactType, bundleType) {
			continue
		}
		one, err := read(reference.Context().Digest(descriptor.Digest.String()), keychain)
		if err != nil {
			return nil, fmt.Errorf("reading the referrer %s: %w", descriptor.Digest, err)
		}
		found = append(found, one)
	}
	return found, nil
}

// read takes a bundle from the first layer of a referrer.
func read(reference name.Digest, options ...remote.Option) (*bundle.Bundle, error) {
	image, err := remote.Image(reference, options...)
	if err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	if len(layers) == 0 {
		return nil, errors.New("it has no layer")
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	bytes, err := io.ReadAll(io.LimitReader(content, largest))
	if err != nil {
		return nil, err
	}
	found := &bundle.Bundle{}
	return found, found.UnmarshalJSON(bytes)
}

// ofType leaves out what is no in-toto statement of a type.
func ofType(all []*bundle.Bundle, predicateType string) []*bundle.Bundle {
	var found []*bundle.Bundle
	for _, one := range all {
		envelope := one.GetDsseEnvelope()
		if envelope == nil || envelope.PayloadType != inTotoType {
			continue
		}
		var statement struct {
			PredicateType string `json:"predicateType"`
		}
		if json.Unmarshal(envelope.Payload, &statement) == nil && statement.PredicateType == predicateType {
			found = append(found, one)
		}
	}
	return found
}

// check verifies a bundle, then the extensions of its certificate.
func check(verifier *verify.Verifier, one *bundle.Bundle, policy verify.PolicyBuilder, demanded criteria) (*verify.VerificationResult, error) {
	if !one.MinVersion(bundleSince) {
		return nil, fmt.Errorf("the bundle %s is older than %s", one.MediaType, bundleSince)
	}
	content, err := one.VerificationContent()
	if err != nil {
		return nil, err
	}
	// By this gh chooses whom to trust.
	leaf := content.Certificate()
	if leaf == nil || len(leaf.Issuer.Organization) != 1 {
		return nil, errors.New("it has no certificate that one organization has issued")
	}
	result, err := verifier.Verify(one, policy)
	if err != nil {
		return nil, err
	}
	given := result.Signature.Certificate
	for _, pair := range []struct{ what, want, got string }{
		{"SourceRepositoryOwnerURI", demanded.ownerURI, given.SourceRepositoryOwnerURI},
		{"SourceRepositoryURI", demanded.repositoryURI, given.SourceRepositoryURI},
		{"Issuer", demanded.issuer, given.Issuer},
	} {
		if !strings.EqualFold(pair.want, pair.got) {
			return nil, fmt.Errorf("expected %s to be %s, got %s", pair.what, pair.want, pair.got)
		}
	}
	return result, nil
}
