//! Nodes of one chain, as processes on the loopback interface.

mod converge;
mod crash;
mod forged;
mod liar;
mod lies;
mod partition;
mod support;
mod unharmed;
