//! What parts of a workflow stand for, their expressions evaluated.

use serde_yaml_ng::Value as Yaml;

use crate::init::workflow::expression::interpolate;
use crate::init::workflow::scope::Scope;
use crate::init::workflow::text::{Map, Text, Value};
use crate::init::workflow::yaml::scalar;

/// Adds the variables of an `env`.
pub(super) fn enter(scope: &mut Scope, variables: &Yaml) {
    let Value::Map(found) = value(scope, variables) else { return };
    for (name, value) in found.pairs {
        scope.put("env", &name, value);
    }
}

/// What a part of the file stands for.
pub(super) fn value(scope: &Scope, yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(truth) => Value::Bool(*truth),
        Yaml::Number(number) => number.as_f64().map_or(Value::Null, Value::Number),
        Yaml::String(text) => interpolate(text, scope),
        Yaml::Sequence(values) => Value::List(values.iter().map(|one| value(scope, one)).collect()),
        Yaml::Mapping(pairs) => {
            let pairs = pairs.iter().map(|(name, one)| (scalar(name), value(scope, one)));
            Value::Map(Map::closed(pairs.collect()))
        }
        Yaml::Tagged(tagged) => value(scope, &tagged.value),
    }
}

/// A text of the file.
pub(super) fn text(scope: &Scope, yaml: &Yaml) -> Text {
    value(scope, yaml).text()
}
