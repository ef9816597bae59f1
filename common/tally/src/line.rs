//! The one line in which the writer answers: `quorate-tally 1 number=4711 time_ms=… resumed=4700 run=… host=canary boot=…`.

use std::fmt;
use std::str::FromStr;

/// The port on which it answers.
pub const PORT: u16 = 7460;

/// No answer is longer, in bytes, the end of its line included.
pub const LONGEST: usize = 1024;

const NAME: &str = "quorate-tally";
const VERSION: &str = "1";

/// A name has at most so many characters: as many as the kernel has for a host's.
const LONGEST_NAME: usize = 64;

/// What the writer says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `number`: the last record that is on the disk, which is to say that its fsync has returned; 0: there is none yet.
    pub number: u64,
    /// `time_ms`: when that record was written, by the guest's wall clock, in milliseconds since 1970-01-01 00:00 UTC; 0: there is none yet.
    pub time_ms: u64,
    /// `resumed`: the highest record that was found when this run of the writer began; 0: none was.
    pub resumed: u64,
    /// `run`: what tells this run of the writer from all others; random, written as 16 hexadecimal digits.
    pub run: u64,
    /// `host`: the guest's name for itself.
    pub host: String,
    /// `boot`: what tells this start of the guest from all others: `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
}

/// Why a text is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is longer than [`LONGEST`].
    #[error("the answer is longer than {LONGEST} bytes")]
    TooLong,
    /// Nothing came.
    #[error("the answer is empty")]
    Empty,
    /// The end of the line is missing, so that a number in it may be, too.
    #[error("the answer was cut off: its line has no end")]
    Cut,
    /// Something follows the line.
    #[error("something follows the answer's line")]
    More,
    /// Somebody else answers there.
    #[error("it is not quorate-tally that answers: {0:?}")]
    Stranger(String),
    /// Another version of the line.
    #[error("quorate-tally answers in version {0:?}; only version 1 can be read")]
    Version(String),
    /// A word without a value.
    #[error("{0:?} in the answer is not of the form KEY=VALUE")]
    NoPair(String),
    /// A key that is there twice.
    #[error("{0} is in the answer twice")]
    Twice(&'static str),
    /// A key that is not there.
    #[error("{0} is not in the answer")]
    Missing(&'static str),
    /// A value that is none of its kind.
    #[error("{key} in the answer is {value:?}, not {wanted}")]
    Value {
        /// Which.
        key: &'static str,
        /// What stands there.
        value: String,
        /// What should.
        wanted: &'static str,
    },
    /// It says that it found more than there is.
    #[error("the answer contradicts itself: it went on after record {resumed}, and is at {number}")]
    Backwards {
        /// The last record.
        number: u64,
        /// The one after which it went on.
        resumed: u64,
    },
}

impl FromStr for Answer {
    type Err = LineError;

    fn from_str(text: &str) -> Result<Self, LineError> {
        if text.len() > LONGEST {
            return Err(LineError::TooLong);
        }
        if text.is_empty() {
            return Err(LineError::Empty);
        }
        let mut words = match text.split_once('\n') {
            None if text.starts_with(NAME) => return Err(LineError::Cut),
            None => return Err(LineError::Stranger(beginning(text))),
            Some((line, rest)) => {
                let mut words = line.split(' ');
                if words.next() != Some(NAME) {
                    return Err(LineError::Stranger(beginning(line)));
                }
                if !rest.is_empty() {
                    return Err(LineError::More);
                }
                words
            }
        };
        let version = words.next().unwrap_or_default();
        if version != VERSION {
            return Err(LineError::Version(version.to_owned()));
        }
        let (mut number, mut time_ms, mut resumed) = (None, None, None);
        let (mut run, mut host, mut boot) = (None, None, None);
        for word in words {
            let (key, value) = word
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| LineError::NoPair(word.to_owned()))?;
            match key {
                "number" => once("number", &mut number, count("number", value)?)?,
                "time_ms" => once("time_ms", &mut time_ms, count("time_ms", value)?)?,
                "resumed" => once("resumed", &mut resumed, count("resumed", value)?)?,
                "run" => once("run", &mut run, run_of(value)?)?,
                "host" => once("host", &mut host, name("host", value)?)?,
                "boot" => once("boot", &mut boot, name("boot", value)?)?,
                // A later version may say more.
                _ => {}
            }
        }
        let missing = LineError::Missing;
        let answer = Self {
            number: number.ok_or(missing("number"))?,
            time_ms: time_ms.ok_or(missing("time_ms"))?,
            resumed: resumed.ok_or(missing("resumed"))?,
            run: run.ok_or(missing("run"))?,
            host: host.ok_or(missing("host"))?,
            boot: boot.ok_or(missing("boot"))?,
        };
        let Self { number, resumed, .. } = answer;
        if resumed > number {
            return Err(LineError::Backwards { number, resumed });
        }
        Ok(answer)
    }
}

fn beginning(text: &str) -> String {
    text.chars().take(40).collect()
}

fn once<T>(key: &'static str, place: &mut Option<T>, value: T) -> Result<(), LineError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(LineError::Twice(key)),
    }
}

fn count(key: &'static str, value: &str) -> Result<u64, LineError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { value.parse().ok() } else { None };
    number.ok_or_else(|| LineError::Value {
        key,
        value: value.to_owned(),
        wanted: "a number",
    })
}

fn run_of(value: &str) -> Result<u64, LineError> {
    let digits = (1..=16).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let run = if digits {
        u64::from_str_radix(value, 16).ok()
    } else {
        None
    };
    run.ok_or_else(|| LineError::Value {
        key: "run",
        value: value.to_owned(),
        wanted: "up to 16 hexadecimal digits",
    })
}

fn name(key: &'static str, value: &str) -> Result<String, LineError> {
    if !value.is_empty() && value.chars().count() <= LONGEST_NAME && value.chars().all(is_plain) {
        return Ok(value.to_owned());
    }
    Err(LineError::Value {
        key,
        value: value.to_owned(),
        wanted: "a name of up to 64 characters",
    })
}

fn is_plain(character: char) -> bool {
    !character.is_whitespace() && !character.is_control()
}

/// What a line can hold of a name that somebody else gave.
pub(crate) fn as_name(text: &str) -> String {
    let plain: String = text
        .trim()
        .chars()
        .take(LONGEST_NAME)
        .map(|character| if is_plain(character) { character } else { '_' })
        .collect();
    if plain.is_empty() { "unknown".to_owned() } else { plain }
}

impl fmt::Display for Answer {
    /// The line, with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            time_ms,
            resumed,
            run,
            ..
        } = self;
        let (host, boot) = (as_name(&self.host), as_name(&self.boot));
        writeln!(
            f,
            "{NAME} {VERSION} number={number} time_ms={time_ms} resumed={resumed} run={run:016x} host={host} boot={boot}"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINE: &str = "quorate-tally 1 number=4711 time_ms=1764300000123 resumed=4700 run=9f8e7d6c5b4a3928 host=canary boot=0a1b2c3d-7f61\n";

    fn wrong(line: &str) -> String {
        line.parse::<Answer>().unwrap_err().to_string()
    }

    #[test]
    fn the_line_is_read_and_written() {
        let answer: Answer = LINE.parse().unwrap();
        assert_eq!(
            (answer.number, answer.resumed, answer.run),
            (4711, 4700, 0x9f8e_7d6c_5b4a_3928)
        );
        assert_eq!(
            (answer.host.as_str(), answer.boot.as_str()),
            ("canary", "0a1b2c3d-7f61")
        );
        assert_eq!(answer.to_string(), LINE);
    }

    #[test]
    fn keys_that_are_not_known_are_passed_over() {
        let more = LINE.replace(" host=", " disk=vda color= host=");
        assert_eq!(more.parse(), LINE.parse::<Answer>());
    }

    #[test]
    fn without_one_of_the_keys_it_is_no_answer() {
        for key in ["number", "time_ms", "resumed", "run", "host", "boot"] {
            let without = LINE.replace(&format!(" {key}="), &format!(" x{key}="));
            assert_eq!(wrong(&without), format!("{key} is not in the answer"));
            let twice = LINE.replace(&format!(" {key}="), &format!(" {key}=1 {key}="));
            assert_eq!(wrong(&twice), format!("{key} is in the answer twice"));
            let empty = LINE
                .replace('\n', &format!(" {key}=\n"))
                .replacen(&format!(" {key}="), " x=", 1);
            assert!(
                wrong(&empty).starts_with(&format!("{key} in the answer is \"\", not ")),
                "{empty}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(wrong(""), "the answer is empty");
        assert_eq!(
            wrong("SSH-2.0-OpenSSH_9.2p1\r\n"),
            "it is not quorate-tally that answers: \"SSH-2.0-OpenSSH_9.2p1\\r\""
        );
        assert_eq!(wrong("HTTP"), "it is not quorate-tally that answers: \"HTTP\"");
        assert_eq!(
            wrong(&LINE.replace("tally 1", "tally 2")),
            "quorate-tally answers in version \"2\"; only version 1 can be read"
        );
        assert_eq!(
            wrong(&LINE.replace("number=4711", "number=+4711")),
            "number in the answer is \"+4711\", not a number"
        );
        assert_eq!(
            wrong(&LINE.replace("run=9f", "run=xy")),
            "run in the answer is \"xy8e7d6c5b4a3928\", not up to 16 hexadecimal digits"
        );
        assert_eq!(
            wrong(&LINE.replace(" host", " and host")),
            "\"and\" in the answer is not of the form KEY=VALUE"
        );
        assert_eq!(wrong(&format!("{LINE}{LINE}")), "something follows the answer's line");
        assert_eq!(
            wrong(&LINE.replace("resumed=4700", "resumed=4712")),
            "the answer contradicts itself: it went on after record 4712, and is at 4711"
        );
        assert_eq!(wrong(&"x".repeat(1025)), "the answer is longer than 1024 bytes");
    }

    #[test]
    fn a_name_is_no_longer_than_a_line_can_have_it() {
        let named = |length: usize| LINE.replace("host=canary", &format!("host={}", "h".repeat(length)));
        assert!(named(64).parse::<Answer>().is_ok());
        assert!(wrong(&named(65)).ends_with("not a name of up to 64 characters"));
    }

    /// `number=47` of `number=4711` would be a record that was lost.
    #[test]
    fn a_part_of_it_is_never_taken_for_the_whole() {
        for end in 1..LINE.len() {
            assert!(LINE[..end].parse::<Answer>().is_err(), "{end}");
        }
    }

    #[test]
    fn a_name_that_no_line_can_hold_is_changed() {
        let answer = Answer {
            host: "my host\n".to_owned(),
            boot: String::new(),
            ..LINE.parse().unwrap()
        };
        let again: Answer = answer.to_string().parse().unwrap();
        assert_eq!((again.host.as_str(), again.boot.as_str()), ("my_host", "unknown"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, time_ms: u64, back: u64, run: u64, host in "[a-z0-9.-]{1,64}", boot in "[a-f0-9-]{1,36}") {
            let answer = Answer { number, time_ms, resumed: number.saturating_sub(back), run, host, boot };
            let line = answer.to_string();
            prop_assert!(line.len() <= LONGEST);
            prop_assert_eq!(line.parse::<Answer>(), Ok(answer));
        }

        #[test]
        fn any_name_makes_a_line_that_can_be_read(host: String, boot: String) {
            let answer = Answer { number: 2, time_ms: 3, resumed: 1, run: 4, host, boot };
            prop_assert!(answer.to_string().parse::<Answer>().is_ok());
        }

        #[test]
        fn any_text_is_borne(text in "(quorate-tally 1 )?[ -~\\n]{0,200}") {
            if let Ok(answer) = text.parse::<Answer>() {
                prop_assert_eq!(answer.to_string().parse::<Answer>(), Ok(answer));
            }
        }
    }
}
