//! The one place that knows which protocol speaks to which address.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::mandated::Mandated;
use super::{Bmc, BmcAddress, ConnectBmc, Login};
use crate::{DriverError, Mandate, ipmi, redfish};

/// Makes sessions of addresses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Factory;

impl Factory {
    /// Makes sessions that send commands under this mandate only.
    pub fn under(self, mandate: Mandate) -> impl ConnectBmc {
        Bound { factory: self, mandate }
    }
}

#[async_trait]
impl ConnectBmc for Factory {
    async fn reach(&self, address: &BmcAddress) -> Result<Duration, DriverError> {
        let began = Instant::now();
        match address {
            BmcAddress::Redfish { url, trust, .. } => redfish::reach(url, trust).await?,
            BmcAddress::Ipmi { host, port, .. } => ipmi::reach(host, *port).await?,
        }
        Ok(began.elapsed())
    }

    async fn bmc(&self, address: &BmcAddress, login: &Login, pace: Duration) -> Result<Arc<dyn Bmc>, DriverError> {
        match address {
            BmcAddress::Redfish { url, system, trust } => redfish::connect(url, system.as_deref(), trust, login).await,
            BmcAddress::Ipmi { host, port, minimum_suite } => {
                Ok(Arc::new(ipmi::Ipmi::connect(host, *port, *minimum_suite, login, pace).await?))
            }
        }
    }
}

struct Bound {
    factory: Factory,
    mandate: Mandate,
}

#[async_trait]
impl ConnectBmc for Bound {
    async fn reach(&self, address: &BmcAddress) -> Result<Duration, DriverError> {
        self.factory.reach(address).await
    }

    async fn bmc(&self, address: &BmcAddress, login: &Login, pace: Duration) -> Result<Arc<dyn Bmc>, DriverError> {
        let bmc = self.factory.bmc(address, login, pace).await?;
        Ok(Arc::new(Mandated { bmc, mandate: self.mandate.clone() }))
    }
}
