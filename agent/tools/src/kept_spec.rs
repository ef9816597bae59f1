//! The cluster file that was applied last, as Quorate keeps it in /etc/pve/quorate/spec.toml: a line that tells when, by which
//! rollout, and the text's digest (readers of pmxcfs may get a mixture of two writers' texts); then the text as it was.

use quorate_model::observation::config::KeptSpec;
use quorate_model::spec::digest_of;

use crate::ParseError;

const NAME: &str = "spec.toml";
const HEAD: &str = "# quorate spec ";

/// The file for a text whose digest is that of [`digest_of`].
#[must_use]
pub fn write(spec: &KeptSpec) -> String {
    let KeptSpec {
        digest,
        applied_at,
        rollout,
        text,
    } = spec;
    format!("{HEAD}sha256={digest} applied_at={applied_at} rollout={rollout}\n{text}")
}

/// Reads the file.
///
/// # Errors
/// When its first line is not ours, or the digest is of another text.
pub fn read(file: &str) -> Result<KeptSpec, ParseError> {
    let (head, text) = file
        .split_once('\n')
        .ok_or_else(|| ParseError::missing(NAME, "the file ends in its first line"))?;
    let bad = |what| ParseError::at(NAME, head, what);
    let fields = head
        .strip_prefix(HEAD)
        .ok_or_else(|| bad("expected `# quorate spec …`"))?;
    let value = |key: &'static str| {
        let mut fields = fields.split(' ');
        fields.find_map(|field| field.strip_prefix(key)?.strip_prefix('='))
    };
    let wanted = value("sha256").ok_or_else(|| bad("sha256 is missing"))?;
    let found = digest_of(text);
    if wanted != found {
        let reason = format!(
            "the digest is {wanted}, but that of the text is {found}: it was changed, or written by two at once"
        );
        return Err(ParseError::missing(NAME, reason));
    }
    let applied_at = value("applied_at").and_then(|at| at.parse().ok());
    Ok(KeptSpec {
        digest: found,
        applied_at: applied_at.ok_or_else(|| bad("applied_at is missing, or no time"))?,
        rollout: value("rollout").ok_or_else(|| bad("rollout is missing"))?.to_owned(),
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use quorate_model::Timestamp;

    use super::*;

    const AT: Timestamp = Timestamp(1_795_345_772_000_000);

    fn kept(text: &str, rollout: &str) -> KeptSpec {
        KeptSpec {
            digest: digest_of(text),
            applied_at: AT,
            rollout: rollout.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (text, rollout) in [("[cluster]\nname = \"hk1\"\n", "r-7"), ("", ""), ("# one\n\n", "r")] {
            let spec = kept(text, rollout);
            assert_eq!(read(&write(&spec)).unwrap(), spec);
        }
        assert!(write(&kept("x", "r-7")).starts_with(
            "# quorate spec sha256=2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 applied_at=2026-11-22T11:09:32Z rollout=r-7\n"
        ));
    }

    #[test]
    fn any_change_of_the_text_is_noticed() {
        let file = write(&kept("[cluster]\nname = \"hk1\"\n", "r-7"));
        let said = read(&file.replace("hk1", "hk2")).unwrap_err().to_string();
        assert!(said.starts_with("spec.toml: the digest is "), "{said}");
        assert!(read(file.trim_end()).is_err(), "cut by one byte");
    }

    #[test]
    fn a_first_line_that_is_not_ours_is_an_error() {
        let file = write(&kept("x\n", "r-7"));
        for (from, to) in [
            ("# quorate spec ", "# "),
            ("applied_at=2026", "applied_at=x"),
            ("applied_at=", "at="),
            (" rollout=r-7", ""),
            ("sha256=", "sha1="),
        ] {
            assert!(read(&file.replace(from, to)).is_err(), "{to}");
        }
        assert!(read("").is_err());
    }
}
