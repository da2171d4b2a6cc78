//! What an operator has configured: secrets by reference, and who this machine is for Azure.

mod entra;
mod secret;

pub use entra::{azure_client_options, entra_credential};
pub use secret::{InvalidSecretReference, SecretReference, resolve_secret};
