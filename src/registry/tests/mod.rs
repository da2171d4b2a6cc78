//! What the client decides, without a network; and what it says on the wire, against a scripted server.

mod downloads;
pub(super) mod fake;
mod lists;
mod logins;
mod pure;
mod referrers;
mod uploads;
