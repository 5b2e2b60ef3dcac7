//! Designs and their Nodes, through a real API server.

mod controller;
mod rollout;
mod same_as_check;
mod schema;
mod sites;
