//! Takes out of a tool's line what could be a secret: what we handed to the tool, and everything of the shape of a PVE
//! ticket or token. No tool prints them as things are; this is for the day on which one does.

use quorate_exec::SecretBytes;

const HIDDEN: &str = "<redacted>";

/// Beginnings of words that are secrets. Source: PVE::Ticket (`PVE:user:…`, `PVEVNC:…`), PVE's API (cookie, CSRF header,
/// API token).
const SHAPES: [&str; 6] = [
    "PVE:",
    "PVE%3A",
    "PVEVNC:",
    "PVEAuthCookie=",
    "CSRFPreventionToken:",
    "PVEAPIToken=",
];

/// The line without secrets.
pub(super) fn redact(line: &str, secret: Option<&SecretBytes>) -> String {
    let known = secret
        .and_then(|secret| std::str::from_utf8(secret.expose()).ok())
        .map(str::trim);
    let line = match known {
        // A very short password is part of too many words; it is none that protects anything either.
        Some(known) if known.len() >= 4 => line.replace(known, HIDDEN),
        _ => line.to_owned(),
    };
    if !SHAPES.iter().any(|shape| line.contains(shape)) {
        return line;
    }
    let mut announced = false;
    let hide = |word: &str| {
        if announced && !word.is_empty() {
            announced = false;
            return HIDDEN.to_owned();
        }
        let start = SHAPES.iter().filter_map(|shape| word.find(shape)).min();
        match start.and_then(|start| word.get(..start)) {
            Some(before) => {
                // `CSRFPreventionToken: …`: the secret is the next word.
                announced = word.ends_with([':', '=']);
                format!("{before}{HIDDEN}")
            }
            None => word.to_owned(),
        }
    };
    line.split(' ').map(hide).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_and_what_looks_like_a_ticket_is_hidden() {
        let secret = SecretBytes::new("hunter22\n");
        assert_eq!(
            redact("password 'hunter22' is wrong", Some(&secret)),
            "password '<redacted>' is wrong"
        );
        let ticket = "got ticket 'PVE:root@pam:6A21::c2ln+/=='. ok";
        assert_eq!(redact(ticket, None), "got ticket '<redacted> ok");
        let header = "sent CSRFPreventionToken: 6A21:c2ln and Cookie: PVEAuthCookie=PVE%3Aroot@pam%3A6A21 on";
        assert_eq!(
            redact(header, None),
            "sent <redacted> <redacted> and Cookie: <redacted> on"
        );
        let plain = "Establishing API connection with host '10.77.0.1'";
        assert_eq!(redact(plain, Some(&secret)), plain);
    }
}
