//! What a run would change, as Markdown for the summary of a job.

use crate::plan::difference::{BuildDifference, CellDifference, Difference, TagDifference};
use crate::report::markdown::{cell_text, code, table};

/// A table of the cells, and one of their tags.
pub fn difference(difference: &Difference) -> String {
    let cell = |cell: &CellDifference| {
        let lines =
            |lines: Vec<String>| lines.iter().map(|line| cell_text(line)).collect::<Vec<_>>().join("<br>");
        vec![
            code(cell.cell.as_str()),
            cell.state().to_owned(),
            lines(cell.reasons()),
            lines(cell.builds.iter().map(BuildDifference::described).collect()),
        ]
    };
    let mut text = format!(
        "### What would change\n\n{} of plan {}: {}\n\n{}",
        code(&difference.event),
        code(difference.plan.short()),
        cell_text(&difference.summary()),
        table(&["cell", "state", "because", "builds"], difference.cells.iter().map(cell))
    );
    if !difference.push {
        return text + "\nA run like this one publishes nothing, so no tag is compared.\n\n";
    }
    let rows = difference.cells.iter().flat_map(|cell| {
        let tags = cell.repositories.iter().flat_map(|one| one.tags.iter().map(move |tag| (one, tag)));
        tags.map(move |(one, tag)| {
            let described = tag.described(&cell.publication);
            vec![code(&one.repository.tagged(&tag.name)), word(tag).to_owned(), cell_text(&described)]
        })
    });
    text += "\n";
    text + &table(&["tag", "action", "from what to what"], rows) + "\n"
}

fn word(tag: &TagDifference) -> &'static str {
    match tag.becomes.sign() {
        '+' => "new",
        '~' => "**moves**",
        '=' => "unchanged",
        '!' => "stays",
        _ => "**refused**",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Digest;
    use crate::plan::Reuse;
    use crate::plan::difference::{Becomes, Facts, Pull, RepositoryDifference, SCHEMA, TagHolder};
    use crate::report::difference_table;
    use expect_test::expect;

    fn facts(version: &str) -> Facts {
        Facts {
            digest: None,
            cell: "app".to_owned(),
            version: Some(version.to_owned()),
            commit: None,
            revision: "0123456789abcdef".to_owned(),
            code_date: None,
            planned: "2026-11-21T09:00:00Z".to_owned(),
        }
    }

    fn tag(name: &str, from: Option<&str>, becomes: Becomes) -> TagDifference {
        let from = from.map(|version| TagHolder {
            digest: Digest::of(version.as_bytes()),
            publication: Some(facts(version)),
            other: None,
        });
        TagDifference { name: name.parse().unwrap(), immutable: false, from, becomes }
    }

    fn example() -> Difference {
        let build = BuildDifference {
            arch: "amd64".parse().unwrap(),
            platform: "linux/amd64".parse().unwrap(),
            runner: Some("ubuntu-24.04".to_owned()),
            pull: Pull::Bytes(12_345),
        };
        let stays = Becomes::Stays { why: "app is held since 2026-11-19: <b>|broken".to_owned() };
        let cells = vec![CellDifference {
            cell: "app".parse().unwrap(),
            reuse: Reuse::Changed {
                digest: Digest::of(b"1.4.1"),
                inputs: vec!["build argument A changed".to_owned(), "src/x|y changed".to_owned()],
            },
            publication: facts("1.4.2"),
            builds: vec![build],
            repositories: vec![RepositoryDifference {
                repository: "ghcr.io/acme/app".parse().unwrap(),
                tags: vec![
                    tag("1.4.2", None, Becomes::Created),
                    tag("1.4", Some("1.4.1"), Becomes::Moved { remark: None }),
                    tag("1", Some("1.4.2"), Becomes::Unchanged),
                    tag("latest", Some("1.4.1"), stays),
                ],
            }],
        }];
        let runners = Difference::count_runners(&cells);
        Difference {
            schema: SCHEMA,
            plan: Digest::of(b"p"),
            event: "push".to_owned(),
            push: true,
            cells,
            runners,
        }
    }

    #[test]
    fn a_summary_shows_cells_and_tags() {
        expect![[r#"
            ### What would change

            `push` of plan `sha256:148de9c5a7a4`: 0 new, 1 changed, 0 unchanged; 1 build on ubuntu-24.04; 1 tag new; 1 tag moving; 1 tag staying

            | cell | state | because | builds |
            | --- | --- | --- | --- |
            | `app` | changed | build argument A changed<br>src/x\|y changed | amd64 on ubuntu-24.04, about 12.3 kB to pull |

            | tag | action | from what to what |
            | --- | --- | --- |
            | `ghcr.io/acme/app:1.4.2` | new | new: 1.4.2 (commit 0123456, 2026-11-21) |
            | `ghcr.io/acme/app:1.4` | **moves** | 1.4.1 (commit 0123456, 2026-11-21) -> 1.4.2 (commit 0123456, 2026-11-21) |
            | `ghcr.io/acme/app:1` | unchanged | holds it already |
            | `ghcr.io/acme/app:latest` | stays | stays at 1.4.1 (commit 0123456, 2026-11-21): app is held since 2026-11-19: &lt;b>\|broken |

        "#]].assert_eq(&difference(&example()));
        let text = difference(&Difference { push: false, ..example() });
        assert!(text.contains("publishes nothing") && !text.contains("latest"), "{text}");
    }

    #[test]
    fn people_see_what_changes_first() {
        expect![[r#"
            plan sha256:148de9c5a7a4  push
            + new  ~ moves  = holds it already  ! stays  x refused by merge

            app  changed
              build argument A changed
              src/x|y changed
              build amd64 on ubuntu-24.04, about 12.3 kB to pull
              ghcr.io/acme/app
                + 1.4.2   new: 1.4.2 (commit 0123456, 2026-11-21)
                ~ 1.4     1.4.1 (commit 0123456, 2026-11-21) -> 1.4.2 (commit 0123456, 2026-11-21)
                ! latest  stays at 1.4.1 (commit 0123456, 2026-11-21): app is held since 2026-11-19: <b>|broken
                = 1

            0 new, 1 changed, 0 unchanged; 1 build on ubuntu-24.04; 1 tag new; 1 tag moving; 1 tag staying"#]].assert_eq(&difference_table::table(&example()));
    }

    /// What `--json` prints.
    #[test]
    fn the_json_form() {
        let json = serde_json::to_value(example()).unwrap();
        let tags = &json["cells"][0]["repositories"][0]["tags"];
        assert_eq!((&json["schema"], &json["cells"][0]["reuse"]["state"]), (&1.into(), &"changed".into()));
        assert_eq!(json["cells"][0]["builds"][0]["pull"]["bytes"], 12_345);
        assert_eq!((&tags[0]["action"], &tags[0]["from"]), (&"created".into(), &serde_json::Value::Null));
        assert_eq!(
            (&tags[1]["action"], &tags[1]["from"]["publication"]["version"]),
            (&"moved".into(), &"1.4.1".into())
        );
        assert_eq!(tags[3]["why"], "app is held since 2026-11-19: <b>|broken");
        assert_eq!(json["runners"], serde_json::json!([{ "runner": "ubuntu-24.04", "builds": 1 }]));
    }
}
