//! A BMC's session that sends commands only under a mandate.

use std::sync::Arc;

use async_trait::async_trait;
use slipway_api::node_inventory::NodeInventorySpec;
use slipway_plan::node::bmc::{BmcObserved, Command, Health, Identity, Look, SelEntry};

use super::{Bmc, CommandError, Password};
use crate::{DriverError, Mandate};

pub(super) struct Mandated {
    pub(super) bmc: Arc<dyn Bmc>,
    pub(super) mandate: Mandate,
}

#[async_trait]
impl Bmc for Mandated {
    async fn observe(&self, look: Look) -> Result<BmcObserved, DriverError> {
        self.bmc.observe(look).await
    }

    async fn execute(&self, command: &Command) -> Result<(), CommandError> {
        self.mandate.check().map_err(CommandError::refused)?;
        self.bmc.execute(command).await
    }

    async fn identity(&self) -> Result<Identity, DriverError> {
        self.bmc.identity().await
    }

    async fn inventory(&self) -> Result<NodeInventorySpec, DriverError> {
        self.bmc.inventory().await
    }

    async fn health(&self) -> Result<Health, DriverError> {
        self.bmc.health().await
    }

    async fn sel(&self, most: usize) -> Result<Vec<SelEntry>, DriverError> {
        self.bmc.sel(most).await
    }

    async fn set_password(&self, new: &Password) -> Result<(), CommandError> {
        self.mandate.check().map_err(CommandError::refused)?;
        self.bmc.set_password(new).await
    }

    async fn close(&self) {
        self.bmc.close().await;
    }
}
