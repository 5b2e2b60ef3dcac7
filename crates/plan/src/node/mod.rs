//! Node: placeholder.
