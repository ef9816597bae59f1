//! What `cargo xtask dist` is asked for.

use std::path::PathBuf;

use crate::report::Stop;

/// How it is called.
pub(crate) const USAGE: &str = "\
usage: cargo xtask dist [--out DIR] [--version V] [--key FILE] [--check] [--install] [--twice]

  --out DIR       where the packages go; without it, packages/ in the target folder
  --version V     another version than the workspace's
  --key FILE      sign with this key, which is made if there is none; without it, ~/.config/quorate/release.key if there is one
  --check         look at the packages: lintian, sizes, glibc, units, contents
  --install       install, upgrade, remove and purge them in bare Debians 12 and 13 (as root)
  --twice         build them again in another folder, and compare";

/// The options.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) out: Option<PathBuf>,
    pub(crate) version: Option<String>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) check: bool,
    pub(crate) install: bool,
    pub(crate) twice: bool,
}

impl Options {
    pub(crate) fn parse(args: &[&str]) -> Result<Self, Stop> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().map(|value| (*value).to_owned()).ok_or(Stop::Usage(USAGE));
            match *arg {
                "--out" => options.out = Some(value()?.into()),
                "--key" => options.key = Some(value()?.into()),
                "--version" => options.version = Some(value()?).filter(|version| is_version(version)),
                "--check" => options.check = true,
                "--install" => options.install = true,
                "--twice" => options.twice = true,
                _ => return Err(Stop::Usage(USAGE)),
            }
            if *arg == "--version" && options.version.is_none() {
                return Err(Stop::Usage("--version wants MAJOR.MINOR.PATCH"));
            }
        }
        Ok(options)
    }
}

/// Three numbers: what agents compare, and what Debian orders as they do.
fn is_version(text: &str) -> bool {
    let numbers: Vec<&str> = text.split('.').collect();
    numbers.len() == 3
        && numbers
            .iter()
            .all(|number| number.parse::<u32>().is_ok_and(|n| n.to_string() == *number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_nothing_else_is_taken() {
        let options = Options::parse(&["--out", "x", "--check", "--version", "0.1.1"]).unwrap();
        assert_eq!(
            (options.out, options.check, options.version),
            (Some("x".into()), true, Some("0.1.1".into()))
        );
        for wrong in [
            &["--out"][..],
            &["--chek"],
            &["--version", "1.0"],
            &["--version", "1.0.0-rc1"],
            &["--version", "1.0.01"],
        ] {
            assert!(matches!(Options::parse(wrong), Err(Stop::Usage(_))), "{wrong:?}");
        }
    }
}
