//! The promise: instances that share nothing but NATS are one gateway for browsers, backends and operators, while
//! instances and the server come and go. Runs the built program as real processes; one file below for each promise.

mod death;
mod drain;
mod explain;
mod fanout;
mod newcomer;
mod operators;
mod outage;
mod previous;
mod quiet;
mod requests;
mod sessions_per_user;
mod signed;
mod users_file;
