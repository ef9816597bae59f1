//! What speaks for and against a server's being off, as the coordinator weighs it, too.

pub(crate) use quorate_model::lost::evidence::{Evidence, Sign, Trace, Verdict, Way, Witness};

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn way(sign: Sign, witness: Witness) -> Way {
        Way {
            name: "link 0".to_owned(),
            address: "10.10.10.1".parse().unwrap(),
            traces: vec![Trace::new("ping", sign, "said")],
            witness,
        }
    }

    pub(crate) fn heard() -> Witness {
        Witness::Heard("192.168.1.1, the gateway".to_owned())
    }

    pub(crate) fn corosync(sign: Sign) -> Trace {
        Trace::new("corosync's membership", sign, "said")
    }
}
