//! What a fault does to the cluster and to guests, as far as a drill asks.

use super::{Fault, FaultEnd, Lengths, rules};

impl Fault {
    /// Does the server leave the membership by it, so that the others take its guests over?
    #[must_use]
    pub fn isolates(&self) -> bool {
        matches!(
            self,
            Self::Network | Self::ClusterNetwork | Self::Power { .. } | Self::Corosync | Self::Pmxcfs
        )
    }

    /// Does the server live on, cut off, until an armed watchdog resets it?
    #[must_use]
    pub fn leads_to_reset(&self) -> bool {
        self.isolates() && !matches!(self, Self::Power { .. })
    }

    /// Do clients still reach the server's guests while it lasts?
    #[must_use]
    pub fn guests_stay_reachable(&self) -> bool {
        !matches!(self, Self::Network | Self::Power { .. } | Self::Guest { .. })
    }

    /// Is the guest started again because of it, on another server or on its own?
    #[must_use]
    pub fn fails_guests(&self) -> bool {
        self.isolates() || matches!(self, Self::Guest { .. })
    }

    /// Does it cut something that must come back soon, or stay away until all is decided? Healed in between it is the worst of both.
    #[must_use]
    pub fn is_worst_in_between(&self) -> bool {
        matches!(rules(self.kind()).lengths, Lengths::BlipOrFailover(_))
    }

    /// What ends it.
    #[must_use]
    pub fn ending(&self) -> FaultEnd {
        rules(self.kind()).end
    }

    /// Why it can be no blip, which is over before anything is decided; `None`: it can.
    #[must_use]
    pub fn no_blip(&self) -> Option<&'static str> {
        match (self, self.ending()) {
            (Self::Guest { .. }, _) => Some("the guest is started again because of it"),
            (_, FaultEnd::Timer) => None,
            (_, FaultEnd::Reboot | FaultEnd::Person) => Some("it does not end by itself"),
        }
    }

    /// Does it touch Ceph?
    #[must_use]
    pub fn concerns_ceph(&self) -> bool {
        self.isolates() || matches!(self, Self::Osd { .. } | Self::Mon | Self::StorageNetwork)
    }

    /// What the cluster takes it for, in a few words.
    #[must_use]
    pub fn seen_as(&self) -> &'static str {
        rules(self.kind()).looks_like
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FORMS;

    #[test]
    fn only_who_is_cut_off_and_lives_on_is_reset() {
        let of = |asked: fn(&Fault) -> bool| -> Vec<&'static str> {
            let fits = |form: &&str| asked(&Fault::of_drill(form, 100).unwrap());
            FORMS.into_iter().filter(fits).collect()
        };
        let reset = ["network", "cluster-network", "corosync", "pmxcfs"];
        assert_eq!(of(Fault::leads_to_reset), reset);
        assert_eq!(of(Fault::isolates).len(), reset.len() + 3);
        assert_eq!(
            of(|fault| fault.no_blip().is_some()),
            ["power:reset", "power:off", "power:shutdown", "guest"]
        );
    }
}
