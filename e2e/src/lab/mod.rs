//! Real counterparts on this machine: an API server, Docker hosts, a registry, an ssh server, proxies that inject faults.
//!
//! Everything a process makes belongs to its [`run::Run`] and is gone when the last part of it is dropped, or, should the process
//! be killed, when a guardian notices. Nothing is sent anywhere but to loopback and to a bridge of the lab's own.

pub mod assets;
pub mod certificates;
pub mod cluster;
pub mod docker_host;
pub mod eventually;
pub mod images;
pub mod ipmi_sim;
pub mod namespace;
pub mod operator;
pub mod pages;
pub mod prerequisites;
pub mod process;
pub mod proxy;
pub mod pxe;
pub mod registry;
pub mod run;
pub mod site;
pub mod ssh_host;
pub mod sushy;

pub use certificates::{Authority, ServerCertificate};
pub use cluster::Cluster;
pub use docker_host::{DockerHost, Engine, HostOptions};
pub use eventually::eventually;
pub use images::Image;
pub use ipmi_sim::IpmiSim;
pub use namespace::{TestNamespace, with_namespace, with_namespace_on};
pub use operator::Operator;
pub use prerequisites::{Part, can_run};
pub use proxy::{Action, Proxy};
pub use pxe::PxeLab;
pub use registry::Registry;
pub use site::Site;
pub use ssh_host::SshHost;
pub use sushy::Sushy;
