//! Licence expressions: `(MIT OR Apache-2.0) AND Unicode-3.0`, and the old `MIT/Apache-2.0`.

/// Whether an expression can be satisfied with licences that `allowed` accepts. `A WITH B` is asked for as a whole.
/// An error if it is no expression.
pub(crate) fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = ["(", ")", "/"].iter().fold(expression.to_owned(), |text, sign| {
        text.replace(sign, &format!(" {sign} "))
    });
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, allowed };
    let verdict = parser.any()?;
    match parser.words.first() {
        None => Ok(verdict),
        Some(word) => Err(format!("unexpected {word:?}")),
    }
}

struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    fn any(&mut self) -> Result<bool, String> {
        let mut verdict = self.all()?;
        while self.take("OR") || self.take("/") {
            verdict |= self.all()?;
        }
        Ok(verdict)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut verdict = self.one()?;
        while self.take("AND") {
            verdict &= self.one()?;
        }
        Ok(verdict)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let verdict = self.any()?;
            return if self.take(")") {
                Ok(verdict)
            } else {
                Err("a bracket is not closed".to_owned())
            };
        }
        let licence = self.name()?;
        if self.take("WITH") {
            let exception = self.name()?;
            return Ok((self.allowed)(&format!("{licence} WITH {exception}")));
        }
        Ok((self.allowed)(licence))
    }

    fn name(&mut self) -> Result<&'a str, String> {
        let is_name = |word: &str| !["(", ")", "/", "OR", "AND", "WITH"].contains(&word);
        match self.words {
            [word, rest @ ..] if is_name(word) => {
                self.words = rest;
                Ok(word)
            }
            [word, ..] => Err(format!("a licence was expected before {word:?}")),
            [] => Err("a licence was expected at the end".to_owned()),
        }
    }

    fn take(&mut self, expected: &str) -> bool {
        match self.words {
            [word, rest @ ..] if *word == expected => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(expression: &str) -> Result<bool, String> {
        satisfied(expression, &|name| {
            ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&name)
        })
    }

    #[test]
    fn a_choice_needs_one_and_a_sum_needs_all() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "GPL-3.0/MIT",
            "MIT AND ISC",
            "(GPL-3.0 OR MIT) AND ISC",
            "GPL-3.0 OR MIT AND ISC",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0",
        ] {
            assert_eq!(verdict(good), Ok(true), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT OR ISC) AND GPL-3.0",
            "Apache-2.0",
            "MIT WITH LLVM-exception",
        ] {
            assert_eq!(verdict(bad), Ok(false), "{bad}");
        }
    }

    #[test]
    fn what_is_no_expression_is_an_error() {
        for broken in ["", "MIT OR", "(MIT", "MIT ISC", "AND MIT", "MIT)", "MIT WITH"] {
            assert!(verdict(broken).is_err(), "{broken}");
        }
    }
}
