//! What an operator has configured: secrets by reference, who this machine is for Azure and for S3, and who uses it.

mod aws_profile;
mod entra;
mod login_name;
mod secret;

pub use aws_profile::{AwsLogin, AwsProfile, AwsProgram, ProgramKeys, find_aws_profile};
pub use entra::{azure_client_options, entra_credential};
pub use login_name::login_name;
pub use secret::{InvalidSecretReference, SecretReference, resolve_secret};
