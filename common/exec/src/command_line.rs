//! A program and its arguments, checked before anything is started.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::quote;

/// A program's absolute path and its argument vector. `Display` shows it as a shell would need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine {
    program: PathBuf,
    args: Vec<Arg>,
    env: BTreeMap<String, String>,
}

/// One argument.
#[derive(Clone, PartialEq, Eq)]
pub struct Arg {
    value: OsString,
    private: bool,
}

/// Why a command line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// The path of the program is empty.
    #[error("the program has no name")]
    EmptyProgram,
    /// The path of the program depends on the working directory or on a search path.
    #[error("the program {} is not named by an absolute path", .0.display())]
    RelativeProgram(PathBuf),
    /// The path of the program contains a NUL byte.
    #[error("the path of the program contains a NUL byte")]
    NulInProgram,
    /// An argument contains a NUL byte: the kernel would silently cut it there. Counted from 1.
    #[error("argument {position} of {} contains a NUL byte", program.display())]
    NulInArgument {
        /// The program that was to be started.
        program: PathBuf,
        /// Which argument, counted from 1.
        position: usize,
    },
    /// A variable that can't be in an environment.
    #[error("`{0}` can't be a variable of the environment, or its value can't")]
    Variable(String),
}

impl CommandLine {
    /// Checks a program and its arguments.
    ///
    /// # Errors
    /// When the program is not an absolute path, or anything contains a NUL byte.
    pub fn new<A: Into<Arg>>(
        program: impl Into<PathBuf>,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Self, InvalidCommand> {
        let program = program.into();
        if program.as_os_str().is_empty() {
            return Err(InvalidCommand::EmptyProgram);
        }
        if has_nul(program.as_os_str()) {
            return Err(InvalidCommand::NulInProgram);
        }
        if !program.is_absolute() {
            return Err(InvalidCommand::RelativeProgram(program));
        }
        let args: Vec<Arg> = args.into_iter().map(Into::into).collect();
        match args.iter().position(|arg| has_nul(&arg.value)) {
            Some(index) => Err(InvalidCommand::NulInArgument {
                program,
                position: index + 1,
            }),
            None => Ok(Self {
                program,
                args,
                env: BTreeMap::new(),
            }),
        }
    }

    /// With a variable in its environment beside the fixed ones, for the few tools that take a setting in no other way.
    ///
    /// # Errors
    /// [`InvalidCommand::Variable`]: the name is empty or has `=`, or either has a NUL byte.
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Result<Self, InvalidCommand> {
        let (name, value) = (name.into(), value.into());
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(InvalidCommand::Variable(name));
        }
        self.env.insert(name, value);
        Ok(self)
    }

    /// Variables beside the fixed ones.
    #[must_use]
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The absolute path of the program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The arguments as the program gets them, private ones included.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &OsStr> {
        self.args.iter().map(|arg| arg.value.as_os_str())
    }

    /// The arguments, and which of them are private.
    pub(crate) fn all_args(&self) -> &[Arg] {
        &self.args
    }
}

fn has_nul(text: &OsStr) -> bool {
    text.as_bytes().contains(&0)
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        quote::word(f, self.program.as_os_str())?;
        for arg in &self.args {
            f.write_str(" ")?;
            if arg.private {
                f.write_str("<private>")?
            } else {
                quote::word(f, &arg.value)?
            }
        }
        Ok(())
    }
}

impl Arg {
    /// An argument that is not shown in logs and messages, such as a person's own words.
    ///
    /// Not for secrets: everybody on the host can read an argument vector in `/proc`. Secrets go by stdin.
    #[must_use]
    pub fn private(value: impl Into<OsString>) -> Self {
        Self {
            value: value.into(),
            private: true,
        }
    }

    pub(crate) fn is_private(&self) -> bool {
        self.private
    }

    pub(crate) fn as_os_str(&self) -> &OsStr {
        &self.value
    }
}

impl<T: Into<OsString>> From<T> for Arg {
    fn from(value: T) -> Self {
        Self {
            value: value.into(),
            private: false,
        }
    }
}

impl fmt::Debug for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.private {
            f.write_str("<private>")
        } else {
            self.value.fmt(f)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> [&'static str; 0] {
        []
    }

    #[test]
    fn only_absolute_programs_are_taken() {
        assert_eq!(CommandLine::new("", none()), Err(InvalidCommand::EmptyProgram));
        for relative in ["lsblk", "./lsblk", "bin/lsblk"] {
            assert_eq!(
                CommandLine::new(relative, none()),
                Err(InvalidCommand::RelativeProgram(relative.into()))
            );
        }
        assert_eq!(CommandLine::new("/bin/a\0b", none()), Err(InvalidCommand::NulInProgram));
        assert!(CommandLine::new("/bin/lsblk", none()).is_ok());
    }

    #[test]
    fn nul_is_refused_and_its_position_named() {
        let refused = CommandLine::new("/bin/echo", ["fine", "cut\0here"]).unwrap_err();
        assert_eq!(refused.to_string(), "argument 2 of /bin/echo contains a NUL byte");
    }

    #[test]
    fn display_quotes_and_hides_private_arguments() {
        let args = [Arg::from("-n"), "two words".into(), Arg::private("my own words")];
        let line = CommandLine::new("/bin/echo", args).unwrap();
        assert_eq!(line.to_string(), "/bin/echo -n 'two words' <private>");
        assert!(!format!("{line:?}").contains("own words"));
        assert_eq!(line.args().last(), Some(OsStr::new("my own words")));
    }
}
