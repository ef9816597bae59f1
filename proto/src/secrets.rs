//! `Debug` of the messages that carry a secret: a log line about them says everything but that.

use std::fmt;

use crate::v1;

const REDACTED: &str = "[redacted]";

impl fmt::Debug for v1::JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSecret")
            .field("password", &REDACTED)
            .field("fingerprint", &self.fingerprint)
            .finish()
    }
}

impl fmt::Debug for v1::StorageSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageSecret").field("password", &REDACTED).finish()
    }
}

/// No secret, and nothing for a log.
impl fmt::Debug for v1::GuestProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestProgram")
            .field("program", &format_args!("{} bytes", self.program.len()))
            .finish()
    }
}

impl fmt::Debug for v1::EnrolRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolRequest")
            .field("secret", &REDACTED)
            .field("csr_der", &format_args!("{} bytes", self.csr_der.len()))
            .field("hostname", &self.hostname)
            .field("agent_version", &self.agent_version)
            .finish()
    }
}

impl fmt::Debug for v1::InviteNodeReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InviteNodeReply")
            .field("token", &REDACTED)
            .field("root_fingerprint", &self.root_fingerprint)
            .field("enrol_at", &self.enrol_at)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

impl fmt::Debug for v1::OpenEchoRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenEchoRequest")
            .field("key", &REDACTED)
            .field("seconds", &self.seconds)
            .field("links", &self.links)
            .finish()
    }
}

impl fmt::Debug for v1::MeasureRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasureRequest")
            .field("key", &REDACTED)
            .field("targets", &self.targets)
            .field("packets", &self.packets)
            .field("interval_micros", &self.interval_micros)
            .finish()
    }
}

impl fmt::Debug for v1::CloseEchoRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseEchoRequest").field("key", &REDACTED).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_in_the_debug_text_of_what_carries_it() {
        let join = v1::JoinSecret {
            password: "PVE:root@pam:6A21".to_owned(),
            fingerprint: "AB:CD".to_owned(),
        };
        let texts = [
            format!(
                "{:?}",
                v1::EnrolRequest {
                    secret: "PVE:root@pam:6A21".to_owned(),
                    ..Default::default()
                }
            ),
            format!(
                "{:?}",
                v1::InviteNodeReply {
                    token: "PVE:root@pam:6A21".to_owned(),
                    ..Default::default()
                }
            ),
            format!(
                "{:?}",
                v1::JoinTicketReply {
                    secret: Some(join.clone()),
                    ..Default::default()
                }
            ),
            format!(
                "{:#?}",
                v1::ExecuteRequest {
                    secret: Some(v1::Secret {
                        secret: Some(v1::secret::Secret::Join(join))
                    }),
                    ..Default::default()
                }
            ),
            format!(
                "{:?}",
                v1::secret::Secret::Storage(v1::StorageSecret {
                    password: "PVE:root@pam:6A21".to_owned(),
                })
            ),
        ];
        for text in texts {
            assert!(!text.contains("6A21") && text.contains(REDACTED), "{text}");
        }
    }
}
