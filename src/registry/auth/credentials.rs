//! Who we are to a registry: given in the options, or found in the configuration of Docker or podman.
//!
//! Credential helpers are other people's programs: they run on a thread of their own and get 30 seconds.
//! Nobody configured is *anonymous*; a helper that fails is an error, never a silent anonymous login.

use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use secrecy::SecretString;
use tokio::sync::oneshot;

use crate::content::escape_control;
use crate::registry::error::{RegistryError, Result};
use crate::registry::options::Credentials;

const LOOKUP_TIME_MAX: Duration = Duration::from_secs(30);
/// The key under which `docker login` keeps the credentials of Docker Hub.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Credentials, found.
#[derive(Clone, Debug)]
pub(in crate::registry) enum Login {
    Anonymous,
    Basic {
        username: String,
        password: SecretString,
    },
    /// A refresh token: it is exchanged for access tokens and never shown to the registry.
    Identity(SecretString),
}

/// `host` is as it was typed, and `spelled` the plain spelling of the same place.
pub(in crate::registry) async fn find(
    (host, spelled): (&str, &str),
    credentials: &Credentials,
) -> Result<Login> {
    match credentials {
        Credentials::Anonymous | Credentials::Bearer(_) => Ok(Login::Anonymous),
        Credentials::Basic { username, password } => Ok(Login::Basic {
            username: username.clone(),
            password: password.clone(),
        }),
        Credentials::DockerConfig => look_up(host, spelled).await,
    }
}

/// Asks on a thread of its own and not in the runtime's pool, which would wait for a helper that hangs
/// when the program ends.
async fn look_up(host: &str, spelled: &str) -> Result<Login> {
    let (sender, receiver) = oneshot::channel();
    let asked = (host.to_owned(), spelled.to_owned());
    let failed = |reason: &str| RegistryError::Login {
        host: host.to_owned(),
        reason: reason.to_owned(),
    };
    std::thread::Builder::new()
        .name("credentials".to_owned())
        .spawn(move || {
            let _ = sender.send(look_up_blocking(&asked.0, &asked.1));
        })
        .map_err(|_| failed("no thread can be started for the credential helper"))?;
    match tokio::time::timeout(LOOKUP_TIME_MAX, receiver).await {
        Ok(Ok(found)) => found.map_err(|reason| failed(&reason)),
        Ok(Err(_)) => Err(failed("the credential lookup broke off")),
        Err(_) => Err(failed(
            "the credential helper named in the Docker configuration gave no answer within 30 s",
        )),
    }
}

/// The keys under which the tools keep the credentials of `host`: as it was typed, and then plainly spelled.
fn keys(host: &str, spelled: &str) -> Vec<String> {
    match host {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => {
            vec![DOCKER_HUB_KEY.to_owned(), "docker.io".to_owned()]
        }
        _ => {
            let mut names = vec![host, spelled];
            names.dedup();
            let keys = names.into_iter();
            keys.flat_map(|name| [name.to_owned(), format!("https://{name}")])
                .collect()
        }
    }
}

fn look_up_blocking(host: &str, spelled: &str) -> Result<Login, String> {
    let places = [
        docker_credential::get_credential,
        docker_credential::get_podman_credential,
    ];
    for (place, key) in places
        .into_iter()
        .flat_map(|place| keys(host, spelled).into_iter().map(move |key| (place, key)))
    {
        match place(&key) {
            Ok(found) => return Ok(login(found)),
            Err(error) if is_nobody(&error) => {}
            Err(error) => return Err(explain(&error)),
        }
    }
    tracing::debug!(host, "no credentials are configured");
    Ok(Login::Anonymous)
}

fn login(found: DockerCredential) -> Login {
    match found {
        DockerCredential::IdentityToken(token) => Login::Identity(token.into()),
        // Helpers answer so for a server that they do not know.
        DockerCredential::UsernamePassword(username, password)
            if username.is_empty() && password.is_empty() =>
        {
            Login::Anonymous
        }
        DockerCredential::UsernamePassword(username, password) if username == "<token>" => {
            Login::Identity(password.into())
        }
        DockerCredential::UsernamePassword(username, password) => Login::Basic {
            username,
            password: password.into(),
        },
    }
}

fn is_nobody(error: &CredentialRetrievalError) -> bool {
    match error {
        CredentialRetrievalError::NoCredentialConfigured
        | CredentialRetrievalError::ConfigNotFound
        | CredentialRetrievalError::ConfigReadError => true,
        // The fixed sentence of docker-credential-helpers for a server without credentials.
        CredentialRetrievalError::HelperFailure { stdout, stderr, .. } => {
            [stdout, stderr].iter().any(|said| {
                said.contains("credentials not found")
                    || said.contains("no credentials server URL")
                    || said.contains("not logged in")
            })
        }
        _ => false,
    }
}

/// Never the standard output of a helper: that is where the secret stands.
fn explain(error: &CredentialRetrievalError) -> String {
    match error {
        CredentialRetrievalError::HelperFailure { helper, stderr, .. } => {
            let said: String = escape_control(stderr.trim()).chars().take(200).collect();
            format!(
                "the credential helper `{}` failed: {said}; run it by hand with `get`, or remove it from the Docker configuration",
                escape_control(helper)
            )
        }
        CredentialRetrievalError::HelperCommunicationError => {
            "the `docker-credential-…` program that `credHelpers` or `credsStore` of the Docker configuration names cannot be run; is it on the PATH?"
                .to_owned()
        }
        CredentialRetrievalError::MalformedHelperResponse => {
            "the `docker-credential-…` program that `credHelpers` or `credsStore` of the Docker configuration names gave no JSON"
                .to_owned()
        }
        CredentialRetrievalError::CredentialDecodingError => {
            "the `auth` of its entry in the Docker configuration is not base64 of `USER:PASSWORD`".to_owned()
        }
        CredentialRetrievalError::CredentialMismatchError => {
            "its entry in the Docker configuration holds two different logins".to_owned()
        }
        other => escape_control(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_has_a_key_of_its_own() {
        assert_eq!(keys("docker.io", "registry-1.docker.io")[0], DOCKER_HUB_KEY);
        assert_eq!(
            keys("r.example:5000", "r.example:5000"),
            ["r.example:5000", "https://r.example:5000"]
        );
    }

    #[test]
    fn a_login_is_looked_up_plainly_spelled_too() {
        assert_eq!(
            keys("R.example:443", "r.example"),
            [
                "R.example:443",
                "https://R.example:443",
                "r.example",
                "https://r.example"
            ]
        );
    }

    #[test]
    fn a_helper_that_knows_nobody_is_not_broken() {
        let failure = |stdout: &str, stderr: &str| CredentialRetrievalError::HelperFailure {
            helper: "docker-credential-x".to_owned(),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        };
        assert!(is_nobody(&failure(
            "credentials not found in native keychain\n",
            ""
        )));
        let broken = failure("s3cret", "bus \u{1b}[31mgone");
        assert!(!is_nobody(&broken));
        let text = explain(&broken);
        assert!(text.contains("docker-credential-x") && text.contains("gone"));
        assert!(!text.contains("s3cret") && !text.contains('\u{1b}'));
    }

    #[test]
    fn the_token_user_holds_an_identity_token() {
        let found = DockerCredential::UsernamePassword("<token>".into(), "t".into());
        assert!(matches!(login(found), Login::Identity(_)));
    }
}
