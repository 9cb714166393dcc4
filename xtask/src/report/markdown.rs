//! What the summary of a job says, as Markdown. Pure.

use std::fmt::Write as _;

use crate::base::ids::{Digest, Name, Repository, Tag};
use crate::base::publication::{Publication, Unfinished};
use crate::base::record::DigestRecord;
use crate::plan::{Cell, Plan, SigningMethod};
use crate::report::plan_table;
use crate::report::results::{CellResult, Ended};

/// What a run will do.
pub fn plan(plan: &Plan) -> String {
    let repositories: Vec<String> =
        plan.destination.repositories.iter().map(|repository| code(repository.as_str())).collect();
    let what = if plan.push { "publishes to" } else { "publishes nothing; its images would go to" };
    let mut text = format!(
        "### Plan {}\n\n{} at {} {what} {}, {}.\n\n",
        code(plan.id.short()),
        code(&plan.event.to_string()),
        code(&plan.revision),
        repositories.join(", "),
        sign(&plan.sign)
    );
    let row = |cell: &Cell| {
        let arches: Vec<&str> = cell.builds.iter().map(|build| build.arch.as_str()).collect();
        let version = cell.version.as_deref().map(code).unwrap_or_default();
        let allowed = if cell.allow_failure { " (may fail)" } else { "" };
        let tags = tags(cell.tags.iter().map(|tag| &tag.name));
        let mut row = vec![code(cell.id.as_str()) + allowed, version, arches.join(", "), tags];
        row.extend(cell.reuse.as_ref().map(|reuse| cell_text(&reuse.to_string())));
        row
    };
    let mut header = vec!["cell", "version", "platforms", "tags"];
    header.extend(plan.is_compared().then_some("inputs"));
    if !plan.cells.is_empty() {
        text += &table(&header, plan.cells.iter().map(row));
        text.push('\n');
    }
    for told in [plan_table::fork(plan), plan_table::done(plan)].into_iter().flatten() {
        let _ = writeln!(text, "{told}\n");
    }
    for excluded in &plan.excluded {
        let _ =
            writeln!(text, "Excluded {}: {}\n", code(excluded.cell.as_str()), cell_text(&excluded.reason));
    }
    text
}

/// How a build ended, for its row.
#[derive(Debug, Clone)]
pub struct Built<'a> {
    /// The cell.
    pub cell: &'a Cell,
    /// The architecture.
    pub arch: &'a Name,
    /// `built`, `failed`, `skipped: …`.
    pub result: String,
    /// What the registry holds.
    pub digest: Option<&'a Digest>,
    /// How large the image is, in bytes.
    pub size: Option<u64>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// The line that repeats it, where it failed.
    pub again: Option<String>,
}

/// The builds of a job.
pub fn builds(rows: &[Built<'_>]) -> String {
    let row = |built: &Built<'_>| {
        vec![
            code(built.cell.id.as_str()),
            built.arch.to_string(),
            cell_text(&built.result),
            built.digest.map(|digest| code(digest.as_str())).unwrap_or_default(),
            built.size.map(megabytes).unwrap_or_default(),
            built.seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default(),
        ]
    };
    let mut text = format!(
        "### Builds\n\n{}",
        table(&["cell", "platform", "result", "digest", "size", "seconds"], rows.iter().map(row))
    );
    for built in rows {
        if let Some(again) = &built.again {
            let _ = write!(text, "\nTo repeat {} {}:\n\n{}", built.cell.id, built.arch, block("sh", again));
        }
    }
    text + "\n"
}

/// The publications of a job or of a run.
pub fn publications(title: &str, rows: &[CellResult<'_>]) -> String {
    let row = |row: &CellResult<'_>| {
        let (told, digest) = row.told();
        let (children, tags) = match &row.result {
            Ended::Published(published) => {
                (published.children.as_slice(), tags(published.tags.iter().map(|tag| &tag.name)))
            }
            Ended::Unchanged(kept) => {
                (kept.children.as_slice(), tags(row.cell.tags.iter().map(|tag| &tag.name)))
            }
            Ended::Built | Ended::Missing(_) => (&[][..], String::new()),
        };
        let platforms: Vec<&str> = children.iter().map(|child| child.platform.as_str()).collect();
        let digest = digest.map(|digest| code(digest.as_str())).unwrap_or_default();
        vec![code(row.cell.id.as_str()), cell_text(&told), digest, platforms.join(", "), tags]
    };
    let header = ["cell", "result", "digest", "platforms", "tags"];
    let mut text = format!("### {title}\n\n{}", table(&header, rows.iter().map(row)));
    for Unfinished { repository, error } in rows.iter().flat_map(CellResult::unfinished) {
        let _ = write!(text, "\nNot published to {}:\n\n{}", code(repository.as_str()), block("text", error));
    }
    let commands: Vec<&str> = rows.iter().filter_map(|row| row.verify.as_deref()).collect();
    if !commands.is_empty() {
        let _ = write!(text, "\nTo verify as a consumer would:\n\n{}", block("sh", &commands.join("\n")));
    }
    text + "\n"
}

/// How large the image of each platform is; nothing if nothing was pushed.
pub fn sizes(records: &[DigestRecord]) -> String {
    let row = |record: &DigestRecord| {
        Some(vec![code(record.cell.as_str()), record.platform.to_string(), megabytes(record.size?)])
    };
    let rows: Vec<Vec<String>> = records.iter().filter_map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("### Sizes\n\n{}\n", table(&["cell", "platform", "size"], rows.into_iter()))
}

/// A size for people, in MB as registries show it: 10^6 bytes.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes.saturating_add(50_000) / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

/// When each build ran, as a diagram; nothing if nothing was built.
pub fn timeline(records: &[DigestRecord]) -> String {
    let seconds = |text: &str| {
        let time = humantime::parse_rfc3339(text).ok()?;
        Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
    };
    let mut lines = String::new();
    let mut section = None;
    for record in records {
        let (Some(started), Some(finished)) = (seconds(&record.started), seconds(&record.finished)) else {
            continue;
        };
        if section != Some(&record.cell) {
            let _ = writeln!(lines, "    section {}", record.cell);
            section = Some(&record.cell);
        }
        // A bar of no length is not drawn.
        let _ = writeln!(lines, "    {} :{started}, {}", record.arch, finished.max(started + 1));
    }
    if lines.is_empty() {
        return String::new();
    }
    let head = "gantt\n    dateFormat X\n    axisFormat %H:%M:%S\n";
    format!("### Builds in time\n\n{}\n", block("mermaid", &(head.to_owned() + lines.trim_end())))
}

/// A reference that shows what was published: the first repository, the tag that moves least.
pub fn reference(published: &Publication) -> Option<String> {
    let repository: &Repository = published.repositories.first()?;
    Some(match published.tags.first() {
        Some(tag) => repository.tagged(&tag.name),
        None => repository.at(&published.digest),
    })
}

fn sign(sign: &SigningMethod) -> String {
    match sign {
        SigningMethod::Local => "signed with the local key".to_owned(),
        SigningMethod::Keyless { .. } => "signed by OIDC".to_owned(),
        SigningMethod::Key { key } => format!("signed with {}", code(key)),
        SigningMethod::None { reason } => format!("**not signed**: {}", cell_text(reason)),
    }
}

fn tags<'t>(tags: impl Iterator<Item = &'t Tag>) -> String {
    tags.map(|tag| code(tag.as_str())).collect::<Vec<_>>().join(" ")
}

/// Rows below a header.
pub(crate) fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", header.join(" | "), " --- |".repeat(header.len()));
    let empty = text.len();
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    if text.len() == empty { "Nothing to do for this event.\n".to_owned() } else { text }
}

/// Text in a table: on one line, without HTML, links or the end of its field.
pub(crate) fn cell_text(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out += "&lt;",
            '&' => out += "&amp;",
            '|' | '*' | '_' | '[' | ']' | '`' | '\\' | '!' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Text as code, in a table too.
pub(crate) fn code(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c == '`' || c.is_control() { '\'' } else { c }).collect();
    format!("`{}`", plain.replace('|', "\\|"))
}

/// A block that no line of its text ends.
fn block(language: &str, text: &str) -> String {
    let longest = text.lines().map(|line| line.chars().take_while(|c| *c == '`').count()).max();
    let fence = "`".repeat(longest.unwrap_or_default().max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn nothing_leaves_its_field() {
        assert_eq!(cell_text("a|b\n<img> [x](y)"), r"a\|b &lt;img> \[x\](y)");
        assert_eq!(code("a`|b"), r"`a'\|b`");
        assert_eq!(block("sh", "x"), "```sh\nx\n```\n");
        assert_eq!(block("sh", "````\nx"), "`````sh\n````\nx\n`````\n");
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(table(&["a", "b"], std::iter::empty()), "Nothing to do for this event.\n");
        let rows = [vec!["1".to_owned(), "2".to_owned()]];
        expect![[r#"
            | a | b |
            | --- | --- |
            | 1 | 2 |
        "#]]
        .assert_eq(&table(&["a", "b"], rows.into_iter()));
    }

    #[test]
    fn builds_in_time() {
        let digest = Digest::of(b"");
        let record = |arch: &str, started: &str, finished: &str| DigestRecord {
            schema: 1,
            plan: digest.clone(),
            cell: "app.tag".parse().unwrap(),
            arch: arch.parse().unwrap(),
            platform: format!("linux/{arch}").parse().unwrap(),
            repositories: Vec::new(),
            digest: digest.clone(),
            media_type: String::new(),
            version: None,
            commit: None,
            revision: String::new(),
            bases: Vec::new(),
            context: None,
            inputs: None,
            buildx: String::new(),
            buildkit: None,
            started: started.to_owned(),
            finished: finished.to_owned(),
            size: Some(2_621_440),
            pushed: true,
            tested: None,
        };
        expect![[r#"
            ### Builds in time

            ```mermaid
            gantt
                dateFormat X
                axisFormat %H:%M:%S
                section app.tag
                amd64 :1767225600, 1767225630
                arm64 :1767225601, 1767225602
            ```

        "#]]
        .assert_eq(&timeline(&[
            record("amd64", "2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z"),
            record("arm64", "2026-01-01T00:00:01Z", "2026-01-01T00:00:01Z"),
        ]));
        assert_eq!(timeline(&[]), "");
        expect![[r#"
            ### Sizes

            | cell | platform | size |
            | --- | --- | --- |
            | `app.tag` | linux/amd64 | 2.6 MB |

        "#]]
        .assert_eq(&sizes(&[record("amd64", "", "")]));
        assert_eq!(sizes(&[]), "");
    }
}
