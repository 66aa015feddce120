//! Nodes of one chain, as processes on the loopback interface.

mod converge;
mod partition;
mod support;
