//! How each registry says what it says.

use super::*;

/// Who says it, the method, the status, the body, what it means.
type Row = (&'static str, &'static str, u16, &'static str, Verdict);

use Verdict::{Broken, Missing, Refused, Temporary, Unsupported};

/// What registries say by the rules of the specification, and beyond them.
const REGISTRIES: &[Row] = &[
    ("any", "HEAD", 404, "", Missing),
    (
        "distribution",
        "GET",
        404,
        r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":"unknown tag=x"}]}"#,
        Missing,
    ),
    (
        "distribution",
        "GET",
        404,
        r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{"name":"x"}}]}"#,
        Missing,
    ),
    (
        "distribution",
        "GET",
        404,
        r#"{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#,
        Missing,
    ),
    (
        "distribution",
        "GET",
        401,
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}"#,
        Refused,
    ),
    (
        "distribution",
        "DELETE",
        405,
        r#"{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}"#,
        Unsupported,
    ),
    ("distribution", "GET", 500, r#"{"errors":[{"code":"UNKNOWN","message":"unknown error"}]}"#, Temporary),
    (
        "distribution",
        "PUT",
        400,
        r#"{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}"#,
        Broken,
    ),
    (
        "distribution",
        "PUT",
        400,
        r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#,
        Broken,
    ),
    (
        "GHCR, without login",
        "GET",
        401,
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
        Refused,
    ),
    (
        "GHCR's token endpoint, of a package that does not exist",
        "GET",
        403,
        r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#,
        Refused,
    ),
    (
        "GHCR, logged in",
        "GET",
        404,
        r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#,
        Missing,
    ),
    (
        "GHCR",
        "PUT",
        403,
        r#"{"errors":[{"code":"DENIED","message":"permission_denied: write_package"}]}"#,
        Refused,
    ),
    (
        "GHCR",
        "PUT",
        403,
        r#"{"errors":[{"code":"DENIED","message":"permission_denied: Error from intermediary with HTTP status code 403 \"Forbidden\" - with-body: {\n \"message\": \"You have exceeded a secondary rate limit. Please wait a few minutes before you try again.\"}"}]}"#,
        Temporary,
    ),
    (
        "GHCR",
        "GET",
        403,
        r#"{"documentation_url":"https://docs.github.com/x","message":"You have exceeded a secondary rate limit."}"#,
        Temporary,
    ),
    (
        "GHCR",
        "PUT",
        429,
        r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 10.487765ms, allowed: 2000/minute"}]}"#,
        Temporary,
    ),
    (
        "GHCR",
        "DELETE",
        405,
        r#"{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}"#,
        Unsupported,
    ),
    (
        "Docker Hub, missing and private alike",
        "GET",
        401,
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":[{"Type":"repository","Class":"","Name":"a/b","Action":"pull"}]}]}"#,
        Refused,
    ),
    ("Docker Hub's token endpoint", "GET", 401, r#"{"details":"incorrect username or password"}"#, Refused),
    (
        "Docker Hub",
        "GET",
        429,
        r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your unauthenticated pull rate limit."}]}"#,
        Temporary,
    ),
    (
        "ECR",
        "GET",
        404,
        r#"{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name 'a' does not exist in the registry with id '1'"}]}"#,
        Missing,
    ),
    (
        "ECR",
        "GET",
        404,
        r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"Requested image not found"}]}"#,
        Missing,
    ),
    (
        "ECR, RepositoryNotFoundException",
        "PUT",
        404,
        r#"{"errors":[{"code":"NAME_UNKNOWN","message":"RepositoryNotFoundException: The repository with name 'a' does not exist"}]}"#,
        Missing,
    ),
    (
        "ECR, tokens of the last 12 hours",
        "GET",
        403,
        r#"{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}"#,
        Refused,
    ),
    ("ECR before it could delete", "DELETE", 404, "404 page not found", Unsupported),
    (
        "ECR",
        "DELETE",
        400,
        r#"{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}"#,
        Unsupported,
    ),
    (
        "ECR, immutable tags",
        "PUT",
        400,
        r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists in the 'a' repository and cannot be overwritten because the tag is immutable."}]}"#,
        Broken,
    ),
    ("ECR", "GET", 429, r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}"#, Temporary),
    (
        "GAR",
        "GET",
        404,
        r#"{"errors":[{"code":"NAME_UNKNOWN","message":"Repository \"a\" not found"}]}"#,
        Missing,
    ),
    (
        "GAR",
        "GET",
        403,
        r#"{"errors":[{"code":"DENIED","message":"Permission \"artifactregistry.repositories.downloadArtifacts\" denied on resource \"x\" (or it may not exist)"}]}"#,
        Refused,
    ),
    (
        "GAR, a digest with tags",
        "DELETE",
        400,
        r#"{"errors":[{"code":"GOOGLE_MANIFEST_DANGLING_TAG","message":"Manifest is still referenced by tag: 1"}]}"#,
        Broken,
    ),
    (
        "Quay",
        "GET",
        401,
        r#"{"errors":[{"code":"UNAUTHORIZED","detail":{},"message":"access to the requested resource is not authorized"}]}"#,
        Refused,
    ),
    (
        "Quay",
        "GET",
        404,
        r#"{"errors":[{"code":"MANIFEST_UNKNOWN","detail":{},"message":"manifest unknown"}]}"#,
        Missing,
    ),
    (
        "Quay",
        "GET",
        404,
        r#"{"errors":[{"code":"TAG_EXPIRED","message":"Tag 1 was deleted or has expired."}]}"#,
        Missing,
    ),
    (
        "Harbor",
        "GET",
        404,
        r#"{"errors":[{"code":"NOT_FOUND","message":"repository a/b not found"}]}"#,
        Missing,
    ),
    (
        "Harbor",
        "GET",
        401,
        r#"{"errors":[{"code":"UNAUTHORIZED","message":"unauthorized to access repository: a/b, action: pull"}]}"#,
        Refused,
    ),
    (
        "Harbor, immutable tags",
        "PUT",
        412,
        r#"{"errors":[{"code":"PRECONDITION","message":"Failed to process request due to 'b:1' configured as immutable."}]}"#,
        Broken,
    ),
    (
        "Artifactory",
        "GET",
        404,
        r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"The named manifest is not known to the registry.","detail":{"manifest":"b/1"}}]}"#,
        Missing,
    ),
    ("Artifactory", "GET", 404, r#"{"errors":[{"status":404,"message":"Not Found"}]}"#, Missing),
    ("Artifactory", "GET", 401, r#"{"errors":[{"status":401,"message":"Bad credentials"}]}"#, Refused),
    (
        "go-containerregistry",
        "GET",
        404,
        r#"{"errors":[{"code":"NAME_UNKNOWN","message":"Unknown name"}]}"#,
        Missing,
    ),
];

/// What stands in front of registries, and behind them.
const PROXIES: &[Row] = &[
    (
        "nginx",
        "GET",
        503,
        "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n<center><h1>503</h1></center></body></html>",
        Temporary,
    ),
    ("nginx", "GET", 502, "<html><head><title>502 Bad Gateway</title></head></html>", Temporary),
    (
        "nginx, of a path that it does not serve",
        "GET",
        404,
        "<html><head><title>404 Not Found</title></head></html>",
        Broken,
    ),
    ("a Go program without that path", "GET", 404, "404 page not found\n", Broken),
    (
        "Cloudflare",
        "GET",
        520,
        "<html><title>x | 520: Web server is returning an unknown error</title></html>",
        Temporary,
    ),
    ("Cloudflare", "PUT", 522, "", Temporary),
    ("Cloudflare", "GET", 525, "", Temporary),
    ("Cloudflare", "HEAD", 530, "", Temporary),
    (
        "S3",
        "GET",
        503,
        "<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
        Temporary,
    ),
    ("any", "HEAD", 408, "", Temporary),
    ("any", "HEAD", 425, "", Temporary),
    ("any", "HEAD", 429, "", Temporary),
    ("any", "HEAD", 504, "", Temporary),
    ("any", "HEAD", 401, "", Refused),
    ("any", "HEAD", 403, "", Refused),
    ("any, whose answer says nothing of what was deleted", "DELETE", 404, "", Unsupported),
    ("any", "PUT", 413, "", Broken),
    ("any", "GET", 501, "", Unsupported),
    ("any", "GET", 302, "", Broken),
    ("a gateway whose registry restarts", "GET", 404, "", Broken),
    ("a gateway whose registry restarts", "PUT", 404, " \n", Broken),
];

#[test]
fn each_registry_is_understood() {
    for (who, method, status, body, verdict) in REGISTRIES.iter().chain(PROXIES) {
        assert_eq!(judge(method, *status, &Said::of(body.as_bytes())), *verdict, "{who}: {status} {body}");
    }
}

#[test]
fn a_404_without_a_body_is_as_good_as_its_sender() {
    let table = [
        ("HEAD", false, Missing),
        ("HEAD", true, Missing),
        ("GET", false, Broken),
        ("GET", true, Missing),
        ("DELETE", false, Unsupported),
        ("DELETE", true, Unsupported),
    ];
    for (method, by_registry, verdict) in table {
        assert_eq!(judge(method, 404, &Said::of(b"").by(by_registry)), verdict, "{method} {by_registry}");
    }
    assert!(Said::of(b"").is_mute() && !Said::of(b"").by(true).is_mute() && !Said::of(b"404").is_mute());
}

#[test]
fn what_was_said_is_repeated_on_one_line() {
    let said = |body: &str| Said::of(body.as_bytes()).to_string();
    let of = |index: usize| PROXIES.get(index).map(|row| said(row.3)).unwrap();
    assert_eq!(of(0), ": 503 Service Temporarily Unavailable");
    assert_eq!(of(8), ": SlowDown: Please reduce your request rate.");
    assert_eq!(said(""), "");
    assert_eq!(said("a\x1b[31m\nb"), ": a [31m b");
    assert_eq!(said(&"x".repeat(10_000)).len(), MESSAGE + 2);
    assert_eq!(said(r#"{"details":"incorrect"}"#), ": incorrect");
    assert_eq!(said(r#"{"errors":[]}"#), "");
}

#[test]
fn github_tells_the_pause_in_its_message() {
    let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"retry-after: 10.487765ms, allowed: 2000/minute"}]}"#;
    assert_eq!(Said::of(body.as_bytes()).retry_after(), Some("10.487765ms"));
    assert_eq!(Said::of(b"x").retry_after(), None);
}
