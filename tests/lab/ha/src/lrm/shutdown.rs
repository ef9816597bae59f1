//! How an LRM ends: with its node, or alone (facts C.10).

use super::Lrm;
use crate::env::{LrmEnv, NodeShutdown};
use crate::log::Level;
use crate::model::{LrmMode, ShutdownPolicy, Sid};

impl Lrm {
    /// Somebody wants the process to end. It first brings its services to where the policy wants them.
    pub fn request_shutdown(&mut self, env: &mut dyn LrmEnv) {
        if self.shutdown_asked {
            return;
        }
        let shutdown = env.node_shutdown();
        let word = env
            .datacenter()
            .shutdown_policy
            .unwrap_or_else(|| "conditional".to_owned());
        if shutdown != NodeShutdown::No {
            env.log(
                Level::Info,
                &format!("got shutdown request with shutdown policy '{word}'"),
            );
        }
        let policy = ShutdownPolicy::from_word(&word).unwrap_or_else(|| {
            env.log(
                Level::Error,
                &format!("unknown shutdown policy '{word}', fall back to conditional"),
            );
            ShutdownPolicy::Conditional
        });
        if shutdown != NodeShutdown::No && policy != ShutdownPolicy::Migrate {
            self.queue_stops(env);
        }
        let already = self.mode == LrmMode::Maintenance;
        match shutdown {
            // Its log says so in vain: see `PVE::HA::LRM`.
            NodeShutdown::No if already => env.log(
                Level::Info,
                "Restarting LRM in maintenance mode may be delayed until all services are moved",
            ),
            NodeShutdown::No => {
                env.log(Level::Info, "restart LRM, freeze all services");
                self.mode = LrmMode::Restart;
            }
            NodeShutdown::Poweroff => self.end_with_node(env, "shutdown", &word, policy, false),
            NodeShutdown::Reboot => self.end_with_node(env, "reboot", &word, policy, true),
        }
        self.shutdown_asked = true;
        if !self.write_status(env) {
            env.log(Level::Error, "unable to update lrm status file - not quorate?");
        }
    }

    fn end_with_node(&mut self, env: &mut dyn LrmEnv, kind: &str, word: &str, policy: ShutdownPolicy, reboot: bool) {
        let freezes = policy == ShutdownPolicy::Freeze || (policy == ShutdownPolicy::Conditional && reboot);
        let line = if self.mode == LrmMode::Maintenance {
            match policy {
                ShutdownPolicy::Migrate => {
                    format!("{kind} LRM, ignore maintenance policy, already in maintenance mode")
                }
                _ => format!("{kind} LRM, ignore {word} policy as manual maintenance mode is enabled"),
            }
        } else if policy == ShutdownPolicy::Migrate {
            self.mode = LrmMode::Maintenance;
            format!("{kind} LRM, doing maintenance, removing this node from active list")
        } else if freezes {
            self.mode = LrmMode::Restart;
            format!("{kind} LRM, stop and freeze all services")
        } else {
            self.mode = LrmMode::Shutdown;
            "shutdown LRM, stop all services".to_owned()
        };
        env.log(Level::Info, &line);
    }

    /// A node that goes down takes no running guest with it.
    fn queue_stops(&mut self, env: &mut dyn LrmEnv) {
        let here = |status: &crate::model::ServiceStatus| status.node == env.node();
        let own: Vec<Sid> = self
            .view
            .service_status
            .iter()
            .filter(|(_, status)| here(status))
            .map(|(sid, _)| sid.clone())
            .collect();
        for sid in own {
            self.queue_stop(&sid);
        }
    }

    /// With everything done that had to be, may the process end now? Lock and watchdog are given up if so; not the lock, if something
    /// would not stop: then the node has to be fenced.
    pub(super) fn may_end(&mut self, env: &mut dyn LrmEnv) -> bool {
        if !self.workers.is_empty() {
            return false;
        }
        let restart = self.mode == LrmMode::Restart;
        if restart && self.active_services(env) > 0 {
            return false;
        }
        if restart || self.shutdown_errors == 0 {
            self.leave_watchdog(env);
            env.release_agent_lock();
        }
        true
    }
}
