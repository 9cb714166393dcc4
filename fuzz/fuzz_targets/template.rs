//! Templates: any text is a template or has errors, not both; expanding one keeps its literal parts. And tag patterns.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xtask_images::base::template::Template;
use xtask_images::base::version::{Numbers, TagPattern, of_tag};

fuzz_target!(|text: &str| {
    let axes = ["alpine".parse().unwrap()];
    let errors = Template::errors(text, &axes);
    match Template::parse(text, &axes) {
        Ok(template) => {
            assert!(errors.is_empty());
            assert_eq!(template.text(), text);
            let expanded = template.expand(|name| Some(format!("<{name}>"))).unwrap();
            assert!(template.literals().all(|literal| expanded.contains(literal)));
            let missing = template.expand(|_| None);
            assert_eq!(missing.is_err(), template.placeholders().next().is_some());
        }
        Err(error) => {
            assert!(!errors.is_empty());
            assert!(text.get(error.range).is_some(), "an error points at characters");
        }
    }
    // The first line as a pattern, the others as tags.
    let mut lines = text.lines();
    if let Some(pattern) = lines.next().and_then(|line| line.parse::<TagPattern>().ok()) {
        let tags: Vec<&str> = lines.collect();
        let highest = pattern.highest(tags.iter().copied());
        assert!(highest.is_none_or(|tag| tags.contains(&tag)));
    }
    let _ = Numbers::of(of_tag(text));
});
