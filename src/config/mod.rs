//! What an operator has configured: the configuration file, secrets by reference, who this machine is for Azure and
//! for S3, and who uses it.

mod acr;
mod aws_profile;
mod entra;
mod file;
mod login_name;
mod secret;

pub use acr::{AcrDirection, AcrOption, AcrPipeline, InvalidAcr, parse_acr};
pub use aws_profile::{AwsLogin, AwsProfile, AwsProgram, ProgramKeys, find_aws_profile};
pub use entra::{azure_client_options, entra_credential};
pub use file::{
    Entry, Fault, InvalidConfiguration, Item, Section, Sections, Setting, find_configuration,
    find_near, is_section_name, parse_sections, read_configuration,
};
pub use login_name::{find_groups, find_users, group_names, login_name};
pub use secret::{InvalidSecretReference, SecretReference, resolve_secret};
