//! How what no flag said is found out: by asking, by taking what is proposed, or not at all.

use quorate_model::failure::{ExitCode, Failure};

/// Who is asked.
pub(super) trait Ask {
    /// Asks for a line; an empty answer means what was proposed.
    fn line(&mut self, question: &str, proposed: &str) -> Result<String, Failure>;
    /// Says what is wrong with an answer.
    fn say(&mut self, text: &str);
}

/// How what was not given by flags is found out.
pub(super) enum Way<'a> {
    /// Somebody is there.
    Ask(&'a mut dyn Ask),
    /// `--yes`: as proposed.
    Take,
    /// Nobody is there, and `--yes` was not said.
    Refuse,
}

/// A question, the flag that would have answered it, and what is proposed; `None`: nothing can be.
pub(super) struct Question<'q> {
    pub(super) text: &'q str,
    pub(super) flag: &'q str,
    pub(super) proposed: Option<&'q str>,
}

impl Way<'_> {
    pub(super) fn find<T>(
        &mut self,
        question: &Question<'_>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Failure> {
        let flag = question.flag;
        match self {
            Self::Refuse => {
                let message = format!("nobody is there to be asked: {} (stdin is no terminal)", question.text);
                let hint = format!("answer it by {flag}, or take what is proposed by --yes");
                Err(Failure::new(ExitCode::Usage, message).hint(hint))
            }
            Self::Take => {
                let nothing = || {
                    Failure::new(
                        ExitCode::Usage,
                        format!("there is nothing to propose: {}", question.text),
                    )
                };
                let proposed = question
                    .proposed
                    .ok_or_else(|| nothing().hint(format!("answer it by {flag}")))?;
                read(proposed).map_err(|why| Failure::new(ExitCode::Usage, why).hint(format!("say it by {flag}")))
            }
            Self::Ask(ask) => loop {
                let proposed = question.proposed.unwrap_or_default();
                let answer = ask.line(question.text, proposed)?;
                let answer = if answer.trim().is_empty() {
                    proposed
                } else {
                    answer.trim()
                };
                match read(answer) {
                    Ok(found) => return Ok(found),
                    Err(why) => ask.say(&why),
                }
            },
        }
    }
}
