//! Expressions and what they stand for.

use std::collections::BTreeMap;

use super::interpolate;
use crate::init::workflow::event::{Case, Event, Surroundings};
use crate::init::workflow::scope::Scope;
use crate::init::workflow::text::{Map, Text, Value};

fn scope(event: Event) -> Scope {
    let around =
        Surroundings { owner_and_name: Some("Acme/app".to_owned()), default_branch: "main".to_owned() };
    let mut scope =
        Scope::new(Case { event, tag: "v1.2.3", surroundings: &around }.github(), Default::default());
    let row = [
        ("platform", Value::typed("linux/arm64")),
        ("php", Value::Number(8.4)),
        ("debug", Value::Bool(false)),
        ("os", Value::Map(Map::closed(vec![("label".to_owned(), Value::typed("Arm"))]))),
    ];
    let row = row.map(|(name, value)| (name.to_owned(), value.of_matrix(name))).to_vec();
    scope.set("matrix", Value::Map(Map::closed(row)));
    scope.put("env", "IMAGE", Value::typed("ghcr.io/acme/app"));
    scope
}

/// The template, or what only a run can tell.
fn shown(value: &Value) -> String {
    let axes = ["php", "debug", "os.label"].map(|key| (key.to_owned(), key.replace('.', "-")));
    let text = |text: &Text| match text.template(&BTreeMap::from(axes.clone()), Some("linux/arm64")) {
        Ok(template) => template,
        Err(unknown) => format!("? {unknown}"),
    };
    match value {
        Value::Text(value) => text(value),
        Value::List(values) => values.iter().map(shown).collect::<Vec<_>>().join(" | "),
        other => text(&other.text()),
    }
}

#[test]
fn expressions() {
    let table = [
        ("a ${{ matrix.php }}-{b}", "a {php}-{{b}}"),
        ("${{ matrix.platform }}", "{platform}"),
        ("${{ matrix['os']['label'] }}", "{os-label}"),
        ("${{ matrix.nothing }}", ""),
        ("${{ matrix.platform == 'linux/amd64' && 'Dockerfile' || 'Dockerfile.arm' }}", "Dockerfile.arm"),
        ("${{ matrix.os.label == 'ARM' }}", "true"),
        ("${{ matrix.php == 8.4 && matrix.php != '8.3' }}", "true"),
        ("${{ matrix.debug && 'on' || 'off' }}", "off"),
        ("${{ matrix.debug == false }}", "true"),
        ("${{ !matrix.debug }}", "true"),
        ("${{ matrix.php >= 8.5 || matrix.php < 8 }}", "false"),
        ("${{ (1 == 2 || 'x') && ('' || null || 0) }}", "0"),
        ("${{ 'it''s' }}", "it's"),
        ("${{ '}}' }}{", "}}}}{{"),
        ("${{ env.IMAGE }}:${{ github.sha }}", "ghcr.io/acme/app:{revision}"),
        ("${{ github.repository_owner }}/${{ github.event.repository.name }}", "Acme/app"),
        ("${{ github.ref }}", "refs/heads/{ref}"),
        ("${{ github.ref_name }}", "{ref}"),
        ("${{ startsWith(github.ref, 'refs/tags/') }}", "false"),
        ("${{ github.ref == format('refs/heads/{0}', github.event.repository.default_branch) }}", "true"),
        ("${{ github.event_name == 'push' }}", "true"),
        ("${{ contains(fromJSON('[\"a\", \"B\"]'), 'b') }}", "true"),
        ("${{ contains('abc', 'B') && endsWith('abc', 'c') }}", "true"),
        ("${{ join(fromJSON('[1, 2]'), '-') }}", "1-2"),
        ("${{ fromJSON('{\"a\": [{\"b\": 3}, {\"b\": 4}]}').a[1].b }}", "4"),
        ("${{ toJSON(matrix.os) }}", "{{\"label\":\"Arm\"}}"),
        ("${{ format('{0}{{}}{1}', matrix.php, 'x') }}", "{php}{{}}x"),
        ("${{ secrets.TOKEN }}", "? ${{ secrets.TOKEN }}"),
        ("${{ secrets.TOKEN != '' }}", "? ${{ secrets.TOKEN != '' }}"),
        ("x-${{ steps.a.outputs.b }}", "? ${{ steps.a.outputs.b }}"),
        ("${{ github.run_id }}", "? ${{ github.run_id }}"),
        ("${{ steps.a.outputs.b && 'x' }}", "? ${{ steps.a.outputs.b && 'x' }}"),
        ("${{ false && steps.a.outputs.b || 'x' }}", "x"),
        ("${{ hashFiles('**/lock') }}", "? ${{ hashFiles('**/lock') }}"),
        ("${{ 1 + 1 }}", "? ${{ 1 + 1 }}"),
        ("${{ ", "${{{{ "),
        ("${{ }}", "? ${{  }}"),
        ("${{ always() && !cancelled() }}", "true"),
    ];
    for (text, expected) in table {
        assert_eq!(shown(&interpolate(text, &scope(Event::Push))), expected, "{text}");
    }
}

#[test]
fn expressions_on_events() {
    let table = [
        (
            "${{ github.ref_type }} ${{ github.event_name }}",
            ["branch push", "tag push", "tag release", "branch schedule"],
        ),
        ("${{ startsWith(github.ref, 'refs/tags/v') }}", ["false", "true", "true", "false"]),
        ("${{ github.event.release.tag_name || 'none' }}", ["none", "none", "{ref}", "none"]),
        ("${{ github.event_name != 'pull_request' }}", ["true"; 4]),
        ("${{ github.event.pull_request.number == null }}", ["true"; 4]),
    ];
    for (text, expected) in table {
        let events = [Event::Push, Event::Tag, Event::Release, Event::Schedule];
        let found = events.map(|event| shown(&interpolate(text, &scope(event))));
        assert_eq!(found, expected, "{text}");
    }
}
