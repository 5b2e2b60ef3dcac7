//! What its Design says of a Node, and what that means for its status.

use slipway_api::conditions::{State, Verdict};
use slipway_api::design::NodeDesignStatus;
use slipway_api::{NodeSpec, NodeStatus};

/// What its Design says of a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Word {
    /// It belongs to none.
    #[default]
    None,
    /// The Design has not been compiled by this process yet: what was said last stands.
    Awaited {
        /// It has been for so long that the Node says so.
        told: bool,
    },
    /// There is no such Design.
    Missing {
        /// What to do.
        message: String,
    },
    /// This.
    Said(Said),
}

/// What a Design says of a Node of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Name of the Design.
    pub design: String,
    /// What the status shows.
    pub status: NodeDesignStatus,
    /// The finding is an error: the Design cannot be used because of this Node.
    pub is_wrong: bool,
    /// `spec.suspend` of the Design.
    pub suspended: bool,
}

impl Word {
    /// Whether the Design stops all action.
    pub fn suspends(&self) -> bool {
        matches!(self, Self::Said(said) if said.suspended)
    }

    pub(super) fn describe(&self, status: &mut NodeStatus) {
        match self {
            Self::None | Self::Missing { .. } => status.design = None,
            Self::Awaited { .. } => {}
            Self::Said(said) => {
                status.design = Some(said.status.clone()).filter(|said| *said != NodeDesignStatus::default());
            }
        }
    }

    /// The Node's verdict, from that of its host; `None` leaves what is told. The host's own trouble is the deeper cause.
    pub(super) fn verdict(&self, spec: &NodeSpec, host: Option<Verdict>) -> Option<Verdict> {
        let trouble = host.as_ref().is_some_and(|host| host.state != State::Converged);
        match self {
            Self::None => host,
            _ if trouble => host,
            Self::Awaited { told: false } => None,
            Self::Awaited { told: true } => host.or_else(|| {
                let message = "waits until its Design has been compiled".into();
                Some(say(State::Progressing, "DesignPending", message))
            }),
            Self::Missing { message } => Some(say(State::Stalled, "DesignMissing", message.clone())),
            Self::Said(said) => Some(said.verdict(spec, host)),
        }
    }
}

impl Said {
    fn verdict(&self, spec: &NodeSpec, host: Option<Verdict>) -> Verdict {
        let design = &self.design;
        let kept = match (&self.status.model, self.status.last_good) {
            (None, _) => Some("the Node has no model yet".to_owned()),
            (_, Some(generation)) => Some(format!("the Node keeps the model of its generation {generation}")),
            (_, None) => None,
        };
        let finding = self.status.finding.as_deref().unwrap_or_default();
        match (kept, self.is_wrong) {
            (kept, true) => {
                let kept = kept.map(|kept| format!("; {kept}")).unwrap_or_default();
                let message = format!("Design {design} cannot be used because of this Node: {finding}{kept}");
                say(State::Stalled, "DesignInvalid", message)
            }
            (Some(kept), false) => {
                let why = format!("Design {design} has errors: {kept}. Its status says what is wrong");
                match host {
                    // The host goes on as it is.
                    Some(host) => say(State::Converged, "LastGoodModel", format!("{}; {why}", host.message)),
                    None if self.status.model.is_some() => say(State::Converged, "LastGoodModel", why),
                    None => say(State::Stalled, "DesignInvalid", why),
                }
            }
            (None, false) => match host {
                Some(host) if self.suspended => {
                    let message =
                        format!("{}; spec.suspend of Design {design} stops all action on this host", host.message);
                    say(State::Converged, "Suspended", message)
                }
                Some(host) => host,
                None => self.modelled(spec),
            },
        }
    }

    /// A host that there is no way to: its model is all that there is of it.
    fn modelled(&self, spec: &NodeSpec) -> Verdict {
        if spec.power.is_some() || spec.reboot.is_some() || spec.boot.is_some() || spec.virtual_media.is_some() {
            let message = "power, boot, reboot and virtualMedia need a BMC. Set spec.bmc, or outOfBand with a type, a network, \
                           credentials and an address of the Node on that network";
            return say(State::Stalled, "BmcRequired", message.into());
        }
        let rest = self.status.not_applied.as_deref();
        let rest = rest.map(|parts| format!("; nothing applies yet: {parts}")).unwrap_or_default();
        let fact = format!("has its model of Design {}{rest}", self.design);
        match (spec.suspend || self.suspended, spec.cordon) {
            (true, _) => say(State::Converged, "Suspended", fact),
            (false, true) => say(State::Converged, "Cordoned", fact),
            (false, false) => say(State::Converged, "Compiled", fact),
        }
    }
}

fn say(state: State, reason: &str, message: String) -> Verdict {
    Verdict { state, reason: reason.into(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(more: &str) -> NodeSpec {
        serde_saphyr::from_str(&format!("designRef: {{name: lab}}\n{more}")).unwrap()
    }

    fn said(status: NodeDesignStatus, is_wrong: bool) -> Word {
        Word::Said(Said { design: "lab".into(), status, is_wrong, suspended: false })
    }

    fn model() -> NodeDesignStatus {
        NodeDesignStatus { model: Some("ab12".into()), ..NodeDesignStatus::default() }
    }

    fn connected() -> Verdict {
        say(State::Converged, "Connected", "Docker 26 answers".into())
    }

    fn of(word: &Word, more: &str, host: Option<Verdict>) -> (State, String, String) {
        let Verdict { state, reason, message } = word.verdict(&spec(more), host).unwrap();
        (state, reason, message)
    }

    #[test]
    fn a_node_says_what_its_design_means_for_it() {
        let good = said(model(), false);
        assert_eq!(of(&good, "", None).1, "Compiled");
        assert_eq!(of(&good, "", Some(connected())).1, "Connected");
        assert_eq!(of(&good, "power: \"On\"", None).1, "BmcRequired");
        let rest = said(NodeDesignStatus { not_applied: Some("storage".into()), ..model() }, false);
        assert_eq!(of(&rest, "", None).2, "has its model of Design lab; nothing applies yet: storage");
        let kept = said(NodeDesignStatus { last_good: Some(4), ..model() }, false);
        let (state, reason, message) = of(&kept, "", Some(connected()));
        assert_eq!((state, reason.as_str()), (State::Converged, "LastGoodModel"), "what runs goes on");
        assert!(message.starts_with("Docker 26 answers; ") && message.contains("generation 4"), "{message}");
        let wrong =
            said(NodeDesignStatus { finding: Some("DD2005 twice".into()), last_good: Some(4), ..model() }, true);
        let (state, reason, message) = of(&wrong, "", Some(connected()));
        assert_eq!((state, reason.as_str()), (State::Stalled, "DesignInvalid"));
        assert!(message.contains("DD2005 twice") && message.contains("generation 4"), "{message}");
        assert_eq!(of(&said(NodeDesignStatus::default(), false), "", None).1, "DesignInvalid");
        let suspended = Word::Said(Said { design: "lab".into(), status: model(), is_wrong: false, suspended: true });
        assert_eq!(of(&suspended, "", Some(connected())).1, "Suspended");
        let missing = Word::Missing { message: "create it".into() };
        assert_eq!(of(&missing, "", Some(connected())).1, "DesignMissing");
    }

    #[test]
    fn the_hosts_own_trouble_is_the_deeper_cause_and_what_is_awaited_changes_nothing() {
        let away = say(State::Unknown, "BmcUnreachable", "no route".into());
        let kept = said(NodeDesignStatus { last_good: Some(4), ..model() }, true);
        assert_eq!(of(&kept, "", Some(away)).1, "BmcUnreachable");
        assert_eq!(Word::Awaited { told: false }.verdict(&spec(""), None), None);
        let mut status = NodeStatus { design: Some(model()), ..NodeStatus::default() };
        Word::Awaited { told: true }.describe(&mut status);
        assert_eq!(status.design, Some(model()));
        Word::None.describe(&mut status);
        assert_eq!(status.design, None);
    }
}
