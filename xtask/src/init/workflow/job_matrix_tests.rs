//! Matrices and their rows; the one of fruits and animals is that of GitHub's documentation.

use super::{MOST, expand, flat};
use crate::init::workflow::event::{Case, Event, Surroundings};
use crate::init::workflow::scope::Scope;

fn rows(matrix: &str) -> Vec<String> {
    let around = Surroundings::default();
    let scope =
        Scope::new(Case { event: Event::Push, tag: "", surroundings: &around }.github(), Default::default());
    let yaml = serde_yaml_ng::from_str(matrix).unwrap();
    let found = expand(&crate::init::workflow::evaluation::value(&scope, &yaml));
    let row = |row| {
        let pairs = flat(row).into_iter().map(|(key, value)| format!("{key}={value}"));
        pairs.collect::<Vec<_>>().join(" ")
    };
    found.rows.iter().map(row).collect()
}

#[test]
fn matrices() {
    let table: [(&str, &[&str]); 11] = [
        ("null", &[""]),
        ("{a: [1, 2], b: [x, 3.10]}", &["a=1 b=x", "a=1 b=3.1", "a=2 b=x", "a=2 b=3.1"]),
        ("{a: []}", &[]),
        ("{include: [{a: 1}, {a: 2, b: true}]}", &["a=1", "a=2 b=true"]),
        (
            "{fruit: [apple, pear], animal: [cat, dog], include: [{color: green}, {color: pink, animal: cat}, \
             {fruit: apple, shape: circle}, {fruit: banana}, {fruit: banana, animal: cat}]}",
            &[
                "fruit=apple animal=cat color=pink shape=circle",
                "fruit=apple animal=dog color=green shape=circle",
                "fruit=pear animal=cat color=pink",
                "fruit=pear animal=dog color=green",
                "fruit=banana",
                "fruit=banana animal=cat",
            ],
        ),
        ("{a: [1, 2], b: [x, y], exclude: [{a: 1, b: y}]}", &["a=1 b=x", "a=2 b=x", "a=2 b=y"]),
        ("{a: [1, 2], exclude: [{a: 1}], include: [{a: 1, c: z}]}", &["a=2", "a=1 c=z"]),
        (
            "{p: [{os: l, arch: a}, {os: w, arch: b}], v: [1], exclude: [{p: {os: w}}]}",
            &["p.os=l p.arch=a v=1"],
        ),
        ("{a: '${{ fromJSON(needs.x.outputs.y) }}', b: [1, 2]}", &["b=1", "b=2"]),
        ("{a: '${{ fromJSON(''[3, 4]'') }}'}", &["a=3", "a=4"]),
        ("[1, 2]", &[""]),
    ];
    for (matrix, expected) in table {
        assert_eq!(rows(matrix), expected, "{matrix}");
    }
}

#[test]
fn a_matrix_has_an_end() {
    let numbers: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let numbers = numbers.join(", ");
    assert_eq!(rows(&format!("{{a: [{numbers}], b: [{numbers}], c: [{numbers}]}}")).len(), MOST);
}
