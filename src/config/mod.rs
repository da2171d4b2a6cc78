//! What an operator has configured: secrets by reference, and who this machine is for Azure and for S3.

mod aws_profile;
mod entra;
mod secret;

pub use aws_profile::{AwsProfile, find_aws_profile};
pub use entra::{azure_client_options, entra_credential};
pub use secret::{InvalidSecretReference, SecretReference, resolve_secret};
