//! `cargo lab way …`.

use clap::Args;

use crate::ways::Way;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Two servers, or one and all others; all without
    #[arg(num_args = 0..=2)]
    servers: Vec<String>,
    /// Only this link: 0 is the cluster network, 1 the public one
    #[arg(long)]
    link: Option<u8>,
    /// Milliseconds there and back (true ones: the lab's speed does not divide them)
    #[arg(long, default_value_t = 0.2)]
    rtt: f64,
    /// Up to so many milliseconds more, anew for each packet
    #[arg(long, default_value_t = 0.0)]
    jitter: f64,
    /// Percent of what goes there and back gets lost
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Larger IP packets vanish
    #[arg(long)]
    mtu: Option<u32>,
}

impl Arguments {
    pub(super) fn into_way(self) -> Way {
        Way {
            servers: self.servers,
            link: self.link,
            loss_percent: self.loss,
            mtu: self.mtu,
            ..Way::default().rtt_ms(self.rtt).jitter_ms(self.jitter)
        }
    }
}
