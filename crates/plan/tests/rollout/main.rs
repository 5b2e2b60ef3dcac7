//! Order and budgets of rollouts: single rules, and random sites with faults and restarts.

mod properties;
mod random;
mod recorded;
mod rules;
