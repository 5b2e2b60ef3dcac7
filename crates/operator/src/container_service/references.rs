//! Which ContainerServices read which Secrets and ConfigMaps, so that a change of one wakes those that use it and nobody else.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use slipway_plan::container_service::definition::NeedKind;
use slipway_plan::container_service::observed::Owner;

/// A Secret or ConfigMap of the owner's namespace.
pub type Reference = (NeedKind, String);

/// The index; filled anew by every reconcile of an object.
#[derive(Default)]
pub struct References {
    by_owner: Mutex<HashMap<(String, String), BTreeSet<Reference>>>,
}

impl References {
    /// Notes what an object reads now.
    pub fn set(&self, owner: &Owner, references: BTreeSet<Reference>) {
        let mut by_owner = self.by_owner.lock().unwrap_or_else(PoisonError::into_inner);
        by_owner.insert((owner.namespace.clone(), owner.name.clone()), references);
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, owner: &Owner) {
        let mut by_owner = self.by_owner.lock().unwrap_or_else(PoisonError::into_inner);
        by_owner.remove(&(owner.namespace.clone(), owner.name.clone()));
    }

    /// What an object reads, as far as its last pass found.
    pub fn of(&self, owner: &Owner) -> BTreeSet<Reference> {
        let by_owner = self.by_owner.lock().unwrap_or_else(PoisonError::into_inner);
        by_owner.get(&(owner.namespace.clone(), owner.name.clone())).cloned().unwrap_or_default()
    }
}
