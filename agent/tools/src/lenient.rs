//! Numbers and flags as tools print them: `3`, `"3"`, `true`, `"1"`. Perl does not care, and neither do old versions of
//! util-linux. What is no number at all stays an error.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A number that must be there.
pub(crate) fn u64<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    number(&Value::deserialize(from)?).map_err(D::Error::custom)
}

/// A number that must be there and fit.
pub(crate) fn u32<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let wide = u64(from)?;
    u32::try_from(wide).map_err(|_| D::Error::custom(format!("{wide} is too large")))
}

/// A number that may be missing or null. Use with `#[serde(default)]`.
pub(crate) fn optional_u64<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        value => number(&value).map(Some).map_err(D::Error::custom),
    }
}

/// A flag that must be there.
pub(crate) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match Value::deserialize(from)? {
        Value::Bool(flag) => Ok(flag),
        value => match number(&value) {
            Ok(0) => Ok(false),
            Ok(1) => Ok(true),
            _ => Err(D::Error::custom(format!("{value} is neither yes nor no"))),
        },
    }
}

/// A text that may be missing, null or padded with blanks; empty counts as missing. Numbers are taken as text.
pub(crate) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Value::Number(number) => Ok(Some(number.to_string())),
        value => Err(D::Error::custom(format!("{value} is no text"))),
    }
}

fn number(value: &Value) -> Result<u64, String> {
    let found = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(flag) => Some(u64::from(*flag)),
        _ => None,
    };
    found.ok_or_else(|| format!("{value} is no whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Sample {
        #[serde(deserialize_with = "u64")]
        a: u64,
        #[serde(default, deserialize_with = "optional_u64")]
        b: Option<u64>,
        #[serde(deserialize_with = "flag")]
        c: bool,
        #[serde(default, deserialize_with = "text")]
        d: Option<String>,
    }

    fn read(text: &str) -> Result<Sample, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn numbers_strings_and_booleans_are_taken_alike() {
        let wanted = Sample {
            a: 1,
            b: Some(2),
            c: true,
            d: Some("x".into()),
        };
        assert_eq!(read(r#"{"a":1,"b":2,"c":true,"d":"x"}"#).unwrap(), wanted);
        assert_eq!(read(r#"{"a":"1","b":"2","c":"1","d":"x   "}"#).unwrap(), wanted);
        assert_eq!(read(r#"{"a":true,"b":" 2 ","c":1,"d":"x"}"#).unwrap(), wanted);
        let bare = Sample {
            a: 0,
            b: None,
            c: false,
            d: None,
        };
        assert_eq!(read(r#"{"a":0,"c":"0","d":"  "}"#).unwrap(), bare);
        assert_eq!(read(r#"{"a":0,"b":null,"c":0,"d":null}"#).unwrap(), bare);
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        for bad in [
            r#"{"a":"x","c":1}"#,
            r#"{"a":null,"c":1}"#,
            r#"{"a":-1,"c":1}"#,
            r#"{"a":1.5,"c":1}"#,
            r#"{"a":1,"c":2}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
