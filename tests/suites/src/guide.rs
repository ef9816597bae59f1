//! The operator's guide, typed: each command that a page shows is run by a test against the lab, as it stands there.
//!
//! A page that is dropped while one of its commands was neither typed nor said to be typed elsewhere fails its test: so a command that is
//! added to a page, or changed there, has to be shown to work.

use std::path::{Path, PathBuf};
use std::time::Duration;

use quorate_lab::process::Program;
use quorate_lab::{Output, binaries};

use crate::{Fleet, told};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The pages of the guide that show commands.
///
/// # Panics
/// When the pages can't be read.
#[must_use]
pub fn pages_with_commands() -> Vec<String> {
    let entries = std::fs::read_dir(docs()).expect("there is a guide");
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".md") && !commands(&page(name)).is_empty())
        .collect();
    names.sort();
    names
}

fn page(name: &str) -> String {
    std::fs::read_to_string(docs().join(name)).unwrap_or_else(|error| panic!("docs/{name}: {error}"))
}

/// The fenced blocks of a page: the word behind the fence, and the lines.
fn blocks(text: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), inside) {
            (Some(word), false) => {
                blocks.push((word.to_owned(), Vec::new()));
                inside = true;
            }
            (Some(_), true) => inside = false,
            (None, true) => {
                if let Some((_, lines)) = blocks.last_mut() {
                    lines.push(line.to_owned());
                }
            }
            (None, false) => {}
        }
    }
    blocks
}

/// What a page shows to be typed: the lines of its fences without a word, without their comments.
fn commands(text: &str) -> Vec<String> {
    let typed = blocks(text).into_iter().filter(|(word, _)| word.is_empty());
    let lines = typed.flat_map(|(_, lines)| lines);
    lines
        .map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// A page of the guide, and those of its commands that nobody has typed yet.
#[derive(Debug)]
pub struct Page {
    name: String,
    text: String,
    left: Vec<String>,
    known: Vec<String>,
}

impl Page {
    /// Opens a page of `docs/`.
    ///
    /// # Panics
    /// When it is not there, or shows no commands.
    #[must_use]
    pub fn open(name: &str) -> Self {
        let text = page(name);
        let known = commands(&text);
        assert!(!known.is_empty(), "docs/{name} shows nothing to type");
        Self {
            name: name.to_owned(),
            text,
            left: known.clone(),
            known,
        }
    }

    /// The block of the page in this language that has these words in it, such as a part of a cluster file.
    ///
    /// # Panics
    /// When the page has none.
    #[must_use]
    pub fn block(&self, language: &str, words: &str) -> String {
        let found = blocks(&self.text)
            .into_iter()
            .map(|(word, lines)| (word, lines.join("\n") + "\n"))
            .find(|(word, text)| word == language && text.contains(words));
        found.map_or_else(
            || panic!("docs/{} has no {language} with {words}", self.name),
            |(_, text)| text,
        )
    }

    /// Types a command of the page on the coordinator's host, or where [`Typed::on`] says.
    ///
    /// # Panics
    /// When the page does not show it.
    #[must_use]
    pub fn types<'a>(&mut self, fleet: &'a Fleet, line: &str) -> Typed<'a> {
        self.takes(line);
        Typed {
            fleet,
            line: line.to_owned(),
            instead: Vec::new(),
            more: Vec::new(),
            node: None,
            stdin: None,
            codes: vec![0],
        }
    }

    /// A command of the page that another test types, or that the test has done in its own way: it says which, or how.
    ///
    /// # Panics
    /// When the page does not show it.
    pub fn elsewhere(&mut self, line: &str, where_or_how: &str) {
        assert!(!where_or_how.is_empty());
        self.takes(line);
    }

    fn takes(&mut self, line: &str) {
        assert!(
            self.known.iter().any(|known| known == line),
            "docs/{} does not show `{line}`, but: {:#?}",
            self.name,
            self.known
        );
        self.left.retain(|left| left != line);
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(
                self.left.is_empty(),
                "docs/{} shows what nobody has typed: {:#?}",
                self.name,
                self.left
            );
        }
    }
}

/// A command that is about to be typed.
#[derive(Debug)]
pub struct Typed<'a> {
    fleet: &'a Fleet,
    line: String,
    instead: Vec<(String, String)>,
    more: Vec<String>,
    node: Option<String>,
    stdin: Option<String>,
    codes: Vec<i32>,
}

impl Typed<'_> {
    /// On this server.
    #[must_use]
    pub fn on(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// What stands for something of the reader's own: `ID`, an address, a path of his host.
    #[must_use]
    pub fn put(mut self, word: &str, instead: impl AsRef<str>) -> Self {
        assert!(self.line.contains(word), "`{}` has no {word}", self.line);
        self.instead.push((word.to_owned(), instead.as_ref().to_owned()));
        self
    }

    /// What a terminal would be asked and there is none: the answer, as the option that scripts have for it.
    #[must_use]
    pub fn and(mut self, options: &[&str]) -> Self {
        self.more.extend(options.iter().map(|&option| option.to_owned()));
        self
    }

    /// The answer to its question, which is yes.
    #[must_use]
    pub fn yes(self) -> Self {
        self.and(&["--yes"])
    }

    /// What is typed into it.
    #[must_use]
    pub fn reads(mut self, text: &str) -> Self {
        self.stdin = Some(text.to_owned());
        self
    }

    /// It ends with this code; with 0 otherwise.
    #[must_use]
    pub fn ends(mut self, code: i32) -> Self {
        self.codes = vec![code];
        self
    }

    /// It may end with this code too: what it tells depends on the machine that the test runs on.
    #[must_use]
    pub fn may_end(mut self, code: i32) -> Self {
        self.codes.push(code);
        self
    }

    /// Runs it, to its expected end.
    ///
    /// # Panics
    /// When it ends otherwise, or is no command that can be typed in the lab.
    pub async fn enter(self) -> Output {
        let mut words = shlex::split(&self.line).unwrap_or_else(|| panic!("`{}` has an open quote", self.line));
        for word in &mut words {
            for (from, to) in &self.instead {
                *word = word.replace(from, to);
            }
        }
        let mut stdin = self.stdin.clone();
        if let Some(at) = words.iter().position(|word| word == "<") {
            let file = self.fleet.lab.layout().coordinator().join(&words[at + 1]);
            stdin = Some(std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
            words.truncate(at);
        }
        words.extend(self.more.iter().cloned());
        let (program, args) = words.split_first().expect("a command has a word");
        let output = match (program.as_str(), &self.node) {
            ("quorate", None) => self.quorate(args, stdin).await,
            ("quorate-agent", Some(node)) => {
                let answer = self
                    .fleet
                    .lab
                    .agent_cli(node, args, stdin.as_deref().map(str::as_bytes));
                answer.await.expect("the agent can be run")
            }
            _ => panic!("`{}` can't be typed here (on {:?})", self.line, self.node),
        };
        let code = output.code().expect("it ends with a code");
        assert!(self.codes.contains(&code), "{}\n{}", self.line, told(&output));
        output
    }

    async fn quorate(&self, args: &[String], stdin: Option<String>) -> Output {
        let layout = self.fleet.lab.layout();
        let mut program = Program::new(binaries::ensure_built().expect("the programs are built").quorate)
            .dir(layout.coordinator())
            .env("HOME", layout.coordinator())
            .env("QUORATE_CONFIG", layout.coordinator_config())
            .deadline(Duration::from_secs(300))
            .args(args);
        if let Some(text) = stdin {
            program = program.stdin(text);
        }
        program.run().await.expect("quorate can be run")
    }
}

#[cfg(test)]
mod tests {
    use super::commands;

    #[test]
    fn what_is_typed_stands_in_fences_without_a_word() {
        let page = "Say:\n\n```\nquorate status        # all of it\n\n# a remark\nquorate freeze hk1 --reason \"no more\"\n```\n```toml\n[cluster]\n```\n  ```\n  cargo lab up\n  ```\n";
        assert_eq!(
            commands(page),
            [
                "quorate status",
                "quorate freeze hk1 --reason \"no more\"",
                "cargo lab up"
            ]
        );
    }
}
