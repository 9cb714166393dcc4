//! Scripts and what their plain lines tell.

use std::collections::BTreeMap;

use super::{Script, read};
use crate::init::workflow::event::{Case, Event, Surroundings};
use crate::init::workflow::scope::{Log, Scope};
use crate::init::workflow::text::{Text, Value};

fn script(text: &str) -> Script {
    let around =
        Surroundings { owner_and_name: Some("Acme/App".to_owned()), default_branch: "main".to_owned() };
    let mut scope =
        Scope::new(Case { event: Event::Tag, tag: "v1.2.3", surroundings: &around }.github(), Log::default());
    scope.put("env", "KIND", Value::typed("full"));
    read(&Text::typed(text), &scope)
}

#[test]
fn values_that_scripts_hand_on() {
    let table = [
        ("echo \"a=1\" >> $GITHUB_OUTPUT", "1"),
        ("echo a=1 >>\"$GITHUB_OUTPUT\"", "1"),
        ("echo \"a=$KIND-${KIND}\" >> ${GITHUB_OUTPUT}", "full-full"),
        ("echo \"a=${GITHUB_REPOSITORY,,}\" >> $GITHUB_ENV", "acme/app"),
        ("x=${GITHUB_SHA::7}\necho \"a=x-$x\" >> $GITHUB_OUTPUT", "x-{revision7}"),
        ("echo \"a=${GITHUB_REF#refs/tags/}\" >> $GITHUB_OUTPUT", "{ref}"),
        ("echo \"a=${GITHUB_REF_NAME}\" >> $GITHUB_OUTPUT", "{ref}"),
        ("echo \"a=$(date)\" >> $GITHUB_OUTPUT", "?"),
        ("echo \"a=${KIND//u/o}\" >> $GITHUB_OUTPUT", "?"),
        ("echo \"a=$OTHER\" >> $GITHUB_OUTPUT", "?"),
        ("if [ \"$KIND\" = full ]; then\n  a=1\nelse\n  a=2\nfi\necho \"a=$a\" >> $GITHUB_OUTPUT", "1"),
        (
            "if [[ $KIND == x* ]]\nthen\n  a=1\nelif [[ -n \"$KIND\" && -z \"\" ]]; then\n  a=2\nelse\n  a=3\nfi\necho \"a=$a\" >> $GITHUB_OUTPUT",
            "2",
        ),
        ("if grep -q x y; then\n  a=1\nfi\necho \"a=$a\" >> $GITHUB_OUTPUT", "?"),
        ("for x in 1 2; do\n  a=1\ndone\necho \"a=$a\" >> $GITHUB_OUTPUT", "?"),
    ];
    for (text, expected) in table {
        let found = script(text);
        let values: Vec<_> = found.outputs.iter().chain(&found.variables).collect();
        let [(name, value)] = values.as_slice() else { panic!("{text}: {values:?}") };
        let value = value.template(&BTreeMap::new(), None).unwrap_or_else(|_| "?".to_owned());
        assert_eq!((name.as_str(), value.as_str()), ("a", expected), "{text}");
    }
}

#[test]
fn what_scripts_do() {
    let builds = |text: &str| script(text).builds;
    assert_eq!(builds("docker build -t x ."), Some("docker build"));
    assert_eq!(builds("docker buildx build \\\n  ."), Some("docker buildx build"));
    assert_eq!(builds("docker buildx imagetools inspect x"), None);
    assert!(script("echo hello\ndocker run x").only_tells && !script("npm ci").only_tells);
    let tags = script("docker buildx imagetools create \\\n  -t a/b:1 --tag \"a/b:$KIND\" a/b@sha256:x");
    let plain: Vec<String> = tags.tags.iter().map(|(tag, _)| tag.plain()).collect();
    assert_eq!(
        (plain.as_slice(), tags.tags_computed),
        (&["a/b:1".to_owned(), "a/b:full".to_owned()][..], false)
    );
    assert!(script("docker buildx imagetools create $(jq x) a").tags_computed);
}

#[test]
fn conditions_of_tags() {
    const CREATE: &str = "docker buildx imagetools create -t a/b:1 a/b:2";
    let table = [
        ("CREATE", "1"),
        ("if ./is-newest.sh; then\n  CREATE\nfi", "1 if `if ./is-newest.sh; then`"),
        ("if ./is-newest.sh; then\n  :\nelse\n  CREATE\nfi", "1 if `if ./is-newest.sh; then … else`"),
        ("if [ \"$KIND\" = full ]; then\n  CREATE\nfi", "1"),
        ("if [ \"$KIND\" = slim ]; then\n  CREATE\nfi", ""),
        ("if ./is-newest.sh; then CREATE; fi", "1 if `if ./is-newest.sh`"),
        ("if [ \"$KIND\" = full ]; then CREATE; fi", "1"),
        ("if [ \"$KIND\" = slim ]; then CREATE; fi", ""),
        ("./is-newest.sh && CREATE", "1 if `./is-newest.sh`"),
        ("./is-old.sh || CREATE", "1 if `./is-old.sh`"),
        ("[ \"$KIND\" = full ] && CREATE", "1"),
        ("[ \"$KIND\" = full ] || CREATE", ""),
        ("cd images && CREATE", "1"),
        ("for x in 1 2; do\n  CREATE\ndone", "1"),
        ("case $x in\n  y) CREATE ;;\nesac", "1 if `case $x in`"),
        ("./is-newest.sh || exit 0\nCREATE", "1 if `./is-newest.sh`"),
        ("if ! ./is-newest.sh; then\n  exit 0\nfi\nCREATE", "1 if `if ! ./is-newest.sh; then`"),
        ("if ! ./works.sh; then\n  exit 1\nfi\nCREATE", "1"),
        ("exit 0\nCREATE", ""),
    ];
    for (text, expected) in table {
        let found = script(&text.replace("CREATE", CREATE));
        let tag = |(tag, conditions): &(Text, Vec<String>)| {
            let (_, tag) = tag.reference();
            let conditions = conditions.iter().map(|condition| format!(" if `{condition}`"));
            tag.unwrap().plain() + &conditions.collect::<String>()
        };
        let tags: Vec<String> = found.tags.iter().map(tag).collect();
        assert_eq!(tags.join(", "), expected, "{text}");
    }
}
