//! The one place that knows which protocol speaks to which address.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Bmc, BmcAddress, ConnectBmc, Login, reasons};
use crate::DriverError;

/// Makes sessions of addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Factory;

#[async_trait]
impl ConnectBmc for Factory {
    async fn reach(&self, address: &BmcAddress) -> Result<(), DriverError> {
        Err(unspoken(address))
    }

    async fn bmc(&self, address: &BmcAddress, _login: &Login) -> Result<Arc<dyn Bmc>, DriverError> {
        Err(unspoken(address))
    }
}

fn unspoken(address: &BmcAddress) -> DriverError {
    reasons::UNSUPPORTED.error(format!("this version of Slipway does not speak what {address} needs"))
}
