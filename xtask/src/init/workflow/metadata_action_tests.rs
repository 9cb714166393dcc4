//! Lines of `tags` and what they give for each event.

use std::collections::BTreeMap;

use expect_test::expect;

use super::{Inputs, read};
use crate::init::workflow::event::{Case, Event, Surroundings};
use crate::init::workflow::text::Text;

fn tags(lines: &str, flavor: &str, event: Event) -> String {
    let around = Surroundings { owner_and_name: None, default_branch: "feature/main".to_owned() };
    let case = Case { event, tag: "v1.2.3", surroundings: &around };
    let inputs = Inputs {
        images: Text::typed("ghcr.io/acme/app"),
        tags: Text::typed(&lines.replace(';', "\n")),
        flavor: Text::typed(&flavor.replace(';', "\n")),
        ..Inputs::default()
    };
    let found = read(&inputs, &case);
    let tags = found.tags.iter().map(|tag| tag.template(&BTreeMap::new(), None).unwrap());
    let left = found.left.iter().map(|why| format!("({why})"));
    tags.chain(left).collect::<Vec<_>>().join(" ")
}

#[test]
fn lines_of_tags() {
    let table = [
        ("", ""),
        (
            "type=semver,pattern={{version}};type=semver,pattern={{major}}.{{minor}};type=semver,pattern=v{{major}}",
            "",
        ),
        ("type=semver,pattern={{raw}}", "latest=false"),
        ("type=pep440,pattern={{version}},prefix=py-,suffix=-slim", "suffix=-x,onlatest=true"),
        ("type=semver,pattern={{version}},value=v2.3.4;type=semver,pattern={{major}},value=v2.3.4", ""),
        ("type=semver,pattern={{#if x}}y{{/if}}", ""),
        (
            r"type=match,pattern=v(.*),group=1;type=match,pattern=\d+\.\d+;type=match,pattern=/^v(\d+)/,group=1",
            "",
        ),
        (r"type=match,pattern=release-(\w+),group=1", ""),
        ("type=ref,event=branch;type=ref,event=tag", "prefix=x-"),
        ("type=ref,event=pr", ""),
        ("type=edge;type=edge,branch=develop", ""),
        ("type=schedule;type=schedule,pattern={{date 'YYYYMMDD'}}", ""),
        ("type=schedule,pattern={{date 'YYYY-MM'}}", ""),
        ("type=sha;type=sha,format=long,prefix=;type=sha,prefix={{branch}}-", ""),
        ("type=raw,value=latest,enable={{is_default_branch}};stable", ""),
        ("type=raw,my-{{sha}}-{{date 'YYYYMMDD'}};type=raw,value=x,enable=false", "latest=true"),
        ("type=raw,value=low,priority=1;type=raw,value=high,priority=999", "latest=auto"),
        ("type=nothing", ""),
        (r#"type=raw,"value=a,b""#, ""),
    ];
    let mut lines = String::new();
    for (text, flavor) in table {
        lines.push_str(&format!("{text} | {flavor}\n"));
        for event in [Event::Push, Event::Tag, Event::Schedule] {
            lines.push_str(&format!("  {event:?}: {}\n", tags(text, flavor, event)));
        }
    }
    expect![[r#"
         | 
          Push: feature-main (`type=ref,event=pr`: pull requests push nothing; there is no such tag)
          Tag: {ref} {latest} (`type=ref,event=pr`: pull requests push nothing; there is no such tag)
          Schedule: nightly feature-main (`type=ref,event=pr`: pull requests push nothing; there is no such tag)
        type=semver,pattern={{version}};type=semver,pattern={{major}}.{{minor}};type=semver,pattern=v{{major}} | 
          Push: 
          Tag: {version} {major}.{minor} v{major} {latest}
          Schedule: 
        type=semver,pattern={{raw}} | latest=false
          Push: 
          Tag: {ref}
          Schedule: 
        type=pep440,pattern={{version}},prefix=py-,suffix=-slim | suffix=-x,onlatest=true
          Push: 
          Tag: py-{version}-slim {latest}-x
          Schedule: 
        type=semver,pattern={{version}},value=v2.3.4;type=semver,pattern={{major}},value=v2.3.4 | 
          Push: 2.3.4 2 {latest}
          Tag: 2.3.4 2 {latest}
          Schedule: 2.3.4 2 {latest}
        type=semver,pattern={{#if x}}y{{/if}} | 
          Push: 
          Tag: (`type=semver,pattern={{#if x}}y{{/if}}`: there is no placeholder for {{#if x}})
          Schedule: 
        type=match,pattern=v(.*),group=1;type=match,pattern=\d+\.\d+;type=match,pattern=/^v(\d+)/,group=1 | 
          Push: 
          Tag: {version} {major}.{minor} {major} {latest}
          Schedule: 
        type=match,pattern=release-(\w+),group=1 | 
          Push: 
          Tag: (`type=match,pattern=release-(\w+),group=1`: v1.2.3 does not fit it; the tag is left out)
          Schedule: 
        type=ref,event=branch;type=ref,event=tag | prefix=x-
          Push: x-feature-main
          Tag: x-{ref} {latest}
          Schedule: x-feature-main
        type=ref,event=pr | 
          Push: (`type=ref,event=pr`: pull requests push nothing; there is no such tag)
          Tag: (`type=ref,event=pr`: pull requests push nothing; there is no such tag)
          Schedule: (`type=ref,event=pr`: pull requests push nothing; there is no such tag)
        type=edge;type=edge,branch=develop | 
          Push: edge (`type=edge,branch=develop`: only feature/main, the default branch, publishes by itself)
          Tag: (`type=edge,branch=develop`: only feature/main, the default branch, publishes by itself)
          Schedule: edge (`type=edge,branch=develop`: only feature/main, the default branch, publishes by itself)
        type=schedule;type=schedule,pattern={{date 'YYYYMMDD'}} | 
          Push: 
          Tag: 
          Schedule: nightly {date}
        type=schedule,pattern={{date 'YYYY-MM'}} | 
          Push: (`type=schedule,pattern={{date 'YYYY-MM'}}`: `{date}` has the form YYYYMMDD, and there is no other: {{date 'YYYY-MM'}})
          Tag: (`type=schedule,pattern={{date 'YYYY-MM'}}`: `{date}` has the form YYYYMMDD, and there is no other: {{date 'YYYY-MM'}})
          Schedule: (`type=schedule,pattern={{date 'YYYY-MM'}}`: `{date}` has the form YYYYMMDD, and there is no other: {{date 'YYYY-MM'}})
        type=sha;type=sha,format=long,prefix=;type=sha,prefix={{branch}}- | 
          Push: sha-{revision7} {revision} {ref}-{revision7}
          Tag: sha-{revision7} {revision} -{revision7}
          Schedule: sha-{revision7} {revision} {ref}-{revision7}
        type=raw,value=latest,enable={{is_default_branch}};stable | 
          Push: latest stable
          Tag: stable
          Schedule: latest stable
        type=raw,my-{{sha}}-{{date 'YYYYMMDD'}};type=raw,value=x,enable=false | latest=true
          Push: my-{revision7}-{date} {latest}
          Tag: my-{revision7}-{date} {latest}
          Schedule: my-{revision7}-{date} {latest}
        type=raw,value=low,priority=1;type=raw,value=high,priority=999 | latest=auto
          Push: high low
          Tag: high low
          Schedule: high low
        type=nothing | 
          Push: (`type=nothing`: there is no type nothing)
          Tag: (`type=nothing`: there is no type nothing)
          Schedule: (`type=nothing`: there is no type nothing)
        type=raw,"value=a,b" | 
          Push: a,b
          Tag: a,b
          Schedule: a,b
    "#]].assert_eq(&lines);
}
