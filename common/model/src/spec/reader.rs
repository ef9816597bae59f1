//! Reading TOML by hand rather than by serde, since all problems are to be told at once, each with its place.

use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Located;
use super::keys::KeyTable;
use crate::finding::{Code, Finding, Place};

/// A value of the file, with its span.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// The text being read, and every problem found so far.
pub(super) struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    problems: Vec<Finding>,
}

/// A table being read.
pub(super) struct Table<'t, 'v> {
    /// Its name as written in messages, such as `[nodes.prox1]`; empty: the top.
    pub(super) name: String,
    pub(super) place: Place,
    known: &'static KeyTable,
    entries: &'v DeTable<'t>,
}

/// The tables below `[nodes]`: its keys are names.
const NAMES: KeyTable = KeyTable {
    path: "nodes",
    keys: &[],
    later: &[],
    secrets: &[],
};

impl<'t> Reader<'t> {
    pub(super) fn new(file: &'t str, text: &'t str) -> Self {
        Self {
            file,
            text,
            problems: Vec::new(),
        }
    }

    /// All problems, in the order of their places.
    pub(super) fn into_problems(mut self) -> Vec<Finding> {
        self.problems
            .sort_by_key(|p| p.place.as_ref().map(|p| (p.offset, p.length)));
        self.problems.dedup();
        self.problems
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Reads the text as TOML, and tells all syntax errors.
    pub(super) fn document(&mut self) -> Option<Spanned<DeTable<'t>>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let place = self.place(error.span().unwrap_or(0..0));
            self.problem(
                Code::SpecSyntax,
                place,
                first_line(error.message()),
                "mend the TOML there",
            );
        }
        errors.is_empty().then_some(table)
    }

    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or("");
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        // A point is shown as the character that stands there; at the text's end there is none.
        let there = self
            .text
            .get(start..)
            .and_then(|rest| rest.chars().next())
            .map_or(0, char::len_utf8);
        Place {
            file: self.file.to_owned(),
            line: number(before.matches('\n').count() + 1),
            column: number(before.get(line_start..).map_or(0, |l| l.chars().count()) + 1),
            offset: number(start),
            length: number(span.end.min(self.text.len()).saturating_sub(start).max(there)),
        }
    }

    pub(super) fn problem(&mut self, code: Code, place: Place, message: impl Into<String>, next: impl Into<String>) {
        self.problems
            .push(Finding::new(code, "", message, next).at(Some(place)));
    }

    /// Takes a value as a table with these keys; tells if it is none, and every key that is not among them.
    pub(super) fn table<'v>(
        &mut self,
        name: &str,
        value: &'v Value<'t>,
        known: &'static KeyTable,
    ) -> Option<Table<'t, 'v>> {
        let table = self.names(name, value)?;
        let table = Table { known, ..table };
        self.check_keys(&table);
        Some(table)
    }

    /// Takes a value as a table whose keys are names; tells if it is none.
    pub(super) fn names<'v>(&mut self, name: &str, value: &'v Value<'t>) -> Option<Table<'t, 'v>> {
        let place = self.place(value.span());
        match value.get_ref() {
            DeValue::Table(entries) => Some(Table {
                name: name.to_owned(),
                place,
                known: &NAMES,
                entries,
            }),
            other => {
                self.wrong_type(place, name, "a table", other);
                None
            }
        }
    }

    /// Takes a value as any number of tables with these keys; tells of each that is none.
    pub(super) fn tables<'v>(
        &mut self,
        name: &str,
        value: &'v Value<'t>,
        known: &'static KeyTable,
    ) -> Vec<Table<'t, 'v>> {
        let next = format!("write each as a table: [[{name}]]");
        let Some(items) = self.array(&format!("`{name}`"), value, &next) else {
            return Vec::new();
        };
        let name = format!("[[{name}]]");
        items.iter().filter_map(|item| self.table(&name, item, known)).collect()
    }

    /// The whole file as a table with these keys.
    pub(super) fn top<'v>(&mut self, document: &'v Spanned<DeTable<'t>>, known: &'static KeyTable) -> Table<'t, 'v> {
        let top = Table {
            name: String::new(),
            place: self.place(0..0),
            known,
            entries: document.get_ref(),
        };
        self.check_keys(&top);
        top
    }

    pub(super) fn wrong_type(&mut self, place: Place, what: &str, wanted: &str, got: &DeValue<'_>) {
        let message = format!("{what} must be {wanted}, not {}", type_of(got));
        self.problem(Code::SpecWrongType, place, message, format!("write {wanted}"));
    }

    /// Tells every key that the table does not know, with the likeliest meant.
    fn check_keys(&mut self, table: &Table<'t, '_>) {
        for (key, _) in table.entries {
            let word: &str = key.get_ref();
            if table.known.key(word).is_some() {
                continue;
            }
            let place = self.place(key.span());
            if table.known.secrets.contains(&word) {
                let message = format!(
                    "`{word}`{} is a secret, and this file is kept in /etc/pve and shown",
                    table.inside()
                );
                let next = "take it out; write it into a file that only the coordinator can read, and name that by `password_file`";
                self.problem(Code::SpecBadValue, place, message, next);
                continue;
            }
            if table.known.later.contains(&word) {
                let message = format!("`{word}`{} is not supported by this version of Quorate", table.inside());
                self.problem(
                    Code::SpecNotSupported,
                    place,
                    message,
                    "take it out of the file, or use a version that has it",
                );
                continue;
            }
            let known: Vec<&str> = table.known.names().collect();
            let next = closest(word, known.iter().copied()).map_or_else(
                || format!("take it out; what is known there: {}", known.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            let message = format!("unknown key `{word}`{}", table.inside());
            self.problem(Code::SpecUnknownKey, place, message, next);
        }
    }

    /// The value of a key that must be there.
    pub(super) fn required<'v>(&mut self, table: &Table<'t, 'v>, key: &str) -> Option<&'v Value<'t>> {
        let value = table.get(key);
        if value.is_none() {
            let message = format!("`{key}`{} is missing", table.inside());
            let example = table.known.key(key).map_or("", |k| k.example).replace('\n', "\\n");
            self.problem(
                Code::SpecMissingKey,
                table.place.clone(),
                message,
                format!("add it, for example: {example}"),
            );
        }
        value
    }

    /// A text that parses as `T`.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        what: &str,
        value: &Value<'t>,
        code: Code,
        describe: impl FnOnce(T::Err) -> (String, String),
    ) -> Option<Located<T>> {
        let place = self.place(value.span());
        match value.get_ref() {
            DeValue::String(text) => match text.parse() {
                Ok(value) => Some(Located { value, place }),
                Err(error) => {
                    let (message, next) = describe(error);
                    self.problem(code, place, message, next);
                    None
                }
            },
            other => {
                self.wrong_type(place, what, "a text in quotes", other);
                None
            }
        }
    }

    /// A whole number from 0 to 255.
    pub(super) fn byte(&mut self, what: &str, value: &Value<'t>) -> Option<Located<u8>> {
        self.number(what, value, "write a number from 0 to 255")
    }

    /// A whole number that the type has room for; `next` says which these are.
    pub(super) fn number<T: TryFrom<i128>>(&mut self, what: &str, value: &Value<'t>, next: &str) -> Option<Located<T>> {
        let place = self.place(value.span());
        match value.get_ref() {
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()).map(T::try_from) {
                Ok(Ok(value)) => Some(Located { value, place }),
                _ => {
                    let message = format!("{what} is {number}");
                    self.problem(Code::SpecBadValue, place, message, next);
                    None
                }
            },
            other => {
                self.wrong_type(place, what, "a whole number", other);
                None
            }
        }
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self, what: &str, value: &Value<'t>) -> Option<Located<bool>> {
        let place = self.place(value.span());
        match value.get_ref() {
            DeValue::Boolean(value) => Some(Located { value: *value, place }),
            other => {
                self.wrong_type(place, what, "true or false", other);
                None
            }
        }
    }

    /// A text that is one of these words.
    pub(super) fn word<T: FromStr<Err: ToString>, const N: usize>(
        &mut self,
        what: &str,
        value: &Value<'t>,
        words: [&'static str; N],
    ) -> Option<Located<T>> {
        let next = closest(value.get_ref().as_str().unwrap_or_default(), words).map_or_else(
            || format!("write one of: {}", words.join(", ")),
            |meant| format!("did you mean \"{meant}\"?"),
        );
        self.parsed::<T>(what, value, Code::SpecBadValue, |error| (error.to_string(), next))
    }

    /// The elements of an array that must have some; `next` is what to do about an empty one.
    pub(super) fn array<'v>(&mut self, what: &str, value: &'v Value<'t>, next: &str) -> Option<&'v [Value<'t>]> {
        let place = self.place(value.span());
        match value.get_ref() {
            DeValue::Array(items) if items.is_empty() => {
                self.problem(Code::SpecBadValue, place, format!("{what} is empty"), next);
                None
            }
            DeValue::Array(items) => Some(items),
            other => {
                self.wrong_type(place, what, "a list in square brackets", other);
                None
            }
        }
    }
}

impl<'t, 'v> Table<'t, 'v> {
    /// The value of a key that need not be there.
    pub(super) fn get(&self, key: &str) -> Option<&'v Value<'t>> {
        debug_assert!(self.known.key(key).is_some(), "`{key}` stands in the table of keys");
        self.entries.iter().find(|(k, _)| k.get_ref() == key).map(|(_, v)| v)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'v str, Range<usize>, &'v Value<'t>)> + use<'t, 'v> {
        self.entries.iter().map(|(k, v)| (k.get_ref().as_ref(), k.span(), v))
    }

    fn inside(&self) -> String {
        if self.name.is_empty() {
            String::new()
        } else {
            format!(" in {}", self.name)
        }
    }
}

/// The known word that was most likely meant.
pub(super) fn closest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let seen = BTreeSet::from_iter(known);
    seen.into_iter()
        .map(|k| (strsim::jaro_winkler(word, k), k))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("not valid TOML").to_owned()
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
