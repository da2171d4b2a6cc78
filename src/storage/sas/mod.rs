//! Shared access signatures of Azure: made, read, and judged by what they are wanted for.
//!
//! Everything but `delegation` is pure; that asks the service for a key, on behalf of somebody who has logged in.
//!
//! **Invariant.** A signature is a [`secrecy::SecretString`] and nothing else; what was read of one does not hold it,
//! so no message can show it.

mod admission;
mod delegation;
mod fitness;
mod permissions;
mod queue;
mod sign;
mod terms;
#[cfg(test)]
mod tests;
mod token;

pub use admission::{UnfitSas, check_sas};
pub use delegation::{DELEGATION_MAX, sign_with_delegation_key};
pub use fitness::{CLOCK_ALLOWANCE, Gap, Purpose, missing_for};
pub use permissions::{Permission, Permissions, UnknownPermission};
pub(super) use queue::{QueueSas, missing_for_queue};
pub use sign::{CannotSign, SasRequest, sign_with_account_key};
pub use terms::{InvalidIpRange, IpRange, Protocols};
pub use token::{InvalidSas, SasToken, Scope, Signer};
