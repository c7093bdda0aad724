// SPDX-License-Identifier: MIT OR Apache-2.0

//! Checks documents against `schema.json`: as much of JSON Schema as that uses. What it does not have is
//! wrong here, while programs must expect more fields.

use serde_json::Value;

const SCHEMA: &str = include_str!("../../schema.json");

/// The keywords that are checked, or say nothing.
const KEYWORDS: &[&str] = &[
    "$ref",
    "type",
    "enum",
    "minimum",
    "items",
    "required",
    "properties",
];

/// Checks a document against that of `$defs`.
#[track_caller]
pub(crate) fn check(name: &str, document: &Value) {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let definition = &schema["$defs"][name];
    assert!(definition.is_object(), "there is no schema of {name}");
    if let Err(wrong) = matches(&schema, definition, document, name) {
        panic!("{wrong}\nin {document:#}");
    }
}

fn matches(schema: &Value, rule: &Value, value: &Value, at: &str) -> Result<(), String> {
    let rule = rule.as_object().ok_or("a rule is an object")?;
    if let Some(unknown) = rule.keys().find(|key| !KEYWORDS.contains(&key.as_str())) {
        return Err(format!("{unknown} is not checked"));
    }
    if let Some(Value::String(name)) = rule.get("$ref") {
        let name = name.strip_prefix("#/$defs/").ok_or("a strange $ref")?;
        return matches(schema, &schema["$defs"][name], value, at);
    }
    let is_type = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    };
    match rule.get("type") {
        Some(Value::Array(names)) if !names.iter().any(is_type) => {
            return Err(format!("{at}: {value} is none of {names:?}"));
        }
        Some(name @ Value::String(_)) if !is_type(name) => {
            return Err(format!("{at}: {value} is no {name}"));
        }
        _ => (),
    }
    if let Some(Value::Array(values)) = rule.get("enum") {
        if !values.contains(value) {
            return Err(format!("{at}: {value} is none of {values:?}"));
        }
    }
    if let (Some(minimum), Some(number)) = (rule.get("minimum"), value.as_f64()) {
        if number < minimum.as_f64().unwrap_or(0.0) {
            return Err(format!("{at}: {number} is less than {minimum}"));
        }
    }
    if let (Some(rule), Some(items)) = (rule.get("items"), value.as_array()) {
        for (index, item) in items.iter().enumerate() {
            matches(schema, rule, item, &format!("{at}[{index}]"))?;
        }
    }
    let Some(fields) = value.as_object() else {
        return Ok(());
    };
    for name in rule
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let name = name.as_str().unwrap_or_default();
        if !fields.contains_key(name) {
            return Err(format!("{at}: {name} is missing"));
        }
    }
    for (name, field) in fields {
        match rule.get("properties").and_then(|rules| rules.get(name)) {
            Some(rule) => matches(schema, rule, field, &format!("{at}.{name}"))?,
            None => return Err(format!("{at}: {name} is not in the schema")),
        }
    }
    Ok(())
}

#[test]
fn what_is_wrong_is_found() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let wrong = |name: &str, document: Value| {
        matches(&schema, &schema["$defs"][name], &document, name).unwrap_err()
    };
    let new = serde_json::json!({"pid": 1, "fd": 3, "object": 5, "size": 7, "seals": ["write"]});
    assert!(matches(&schema, &schema["$defs"]["new"], &new, "new").is_ok());
    for (field, value) in [
        ("pid", serde_json::json!(-1)),
        ("fd", serde_json::json!("3")),
        ("seals", serde_json::json!(["wrong"])),
        ("other", serde_json::json!(1)),
    ] {
        let mut document = new.clone();
        document[field] = value;
        assert!(wrong("new", document).contains(field), "{field}");
    }
    let mut document = new.clone();
    document.as_object_mut().unwrap().remove("size");
    assert!(wrong("new", document).contains("size is missing"));
}
