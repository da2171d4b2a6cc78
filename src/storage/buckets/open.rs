//! Buckets opened: endpoint, region, style and credentials, from the reference or the provider's usual places.
//!
//! Without a credential `object_store` looks where the provider's own tools look: the environment, a web identity,
//! the container's or the machine's role for S3; application default credentials and the metadata server for
//! Google. The profiles of `~/.aws` are not among them: who opens a bucket has looked there before.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService,
};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ClientOptions, RetryConfig, StaticCredentialProvider};
use reqwest::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
use secrecy::{ExposeSecret, SecretString};

use super::BucketContainer;
use super::renewal::{RenewedKeys, parse_keys};
use super::service::{BucketPlace, SignedBucket};
use crate::content::{Error, ErrorKind, Result};
use crate::http::Patience;
use crate::oci::Digest;
use crate::storage::container::BucketService;
use crate::storage::credential::Credential;
use crate::storage::reference::{ContainerReference, GcsReference, S3Reference, S3Style};
use crate::storage::{failure, http};

const RETRIES: usize = 6;
const RETRY_TIMEOUT: Duration = Duration::from_mins(2);

/// Gives `object_store` the client that all clouds are spoken to with.
#[derive(Debug)]
struct SharedConnector(reqwest::Client);

impl HttpConnector for SharedConnector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(PatientClient {
            http: self.0.clone(),
            patience: Patience::default(),
        }))
    }
}

/// Tells people of trouble that lasts.
#[derive(Debug)]
struct PatientClient {
    http: reqwest::Client,
    patience: Patience,
}

#[async_trait]
impl HttpService for PatientClient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let authority = request.uri().authority();
        let host = authority
            .map(|it| it.as_str().to_owned())
            .unwrap_or_default();
        let is_safe = request.method().is_safe();
        let answer = self.http.call(request);
        let answer = match is_safe {
            true => self.patience.wait(&host, answer).await,
            false => self.patience.wait_for_upload(&host, answer).await,
        };
        let cause = |error| StdError::source(error).and_then(|it| it.downcast_ref());
        let status = answer.as_ref().map(|answer| answer.status().as_u16());
        http::notice(&self.patience, &host, status.map_err(cause));
        answer
    }
}

fn retry() -> RetryConfig {
    RetryConfig {
        max_retries: RETRIES,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    }
}

impl BucketContainer {
    /// Sends nothing yet.
    pub(in crate::storage) fn open_s3(
        reference: &S3Reference,
        credential: &Credential,
    ) -> Result<Self> {
        let name = ContainerReference::S3(reference.clone()).to_string();
        let client = http::client(reference.endpoint.as_ref())?;
        let mut builder = s3_login(&name, credential)?
            .with_bucket_name(&reference.bucket)
            .with_virtual_hosted_style_request(reference.style == S3Style::VirtualHost)
            .with_http_connector(SharedConnector(client.clone()))
            .with_retry(retry());
        if let Some(region) = &reference.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = s3_endpoint(reference) {
            builder = builder.with_endpoint(endpoint);
        }
        let place = BucketPlace::of(&builder, reference);
        let store = opened(builder.clone().build(), &name)?;
        let creating = builder
            .with_credentials(Arc::clone(store.credentials()))
            .with_client_options(ClientOptions::new().with_default_headers(create_only()));
        let creating = opened(creating.build(), &name)?;
        let signed = place.map(|place| SignedBucket {
            http: client,
            credentials: Arc::clone(store.credentials()),
            bucket: reference.bucket.clone(),
            service: BucketService {
                endpoint: place.endpoint(),
                login: identity_of(credential),
            },
            place,
        });
        Ok(Self {
            creating: Some(Arc::new(creating)),
            ..Self::new(Arc::new(store), name, &reference.prefix, signed)
        })
    }

    /// Sends nothing yet.
    pub(in crate::storage) fn open_gcs(
        reference: &GcsReference,
        credential: Option<&SecretString>,
    ) -> Result<Self> {
        let name = ContainerReference::Gcs(reference.clone()).to_string();
        let client = http::client(reference.endpoint.as_ref())?;
        let builder = match credential {
            Some(account) => {
                GoogleCloudStorageBuilder::new().with_service_account_key(account.expose_secret())
            }
            None => GoogleCloudStorageBuilder::from_env(),
        };
        let mut builder = builder
            .with_bucket_name(&reference.bucket)
            .with_http_connector(SharedConnector(client))
            .with_retry(retry());
        if let Some(endpoint) = &reference.endpoint {
            builder = builder.with_base_url(endpoint.as_str().trim_end_matches('/'));
        }
        let store = opened(builder.build(), &name)?;
        Ok(Self::new(Arc::new(store), name, &reference.prefix, None))
    }
}

/// The condition that nothing has the name. `object_store` can set it for objects of one part alone.
fn create_only() -> HeaderMap {
    HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("*"))])
}

/// The keys of AWS that a bucket would be opened with, for requests to another of its services. Sends nothing yet.
pub(in crate::storage) fn find_keys(credential: &Credential) -> Result<AwsCredentialProvider> {
    let name = "AWS";
    let builder = s3_login(name, credential)?
        // No request is sent to it; a builder without one has nothing to build.
        .with_bucket_name("none")
        .with_http_connector(SharedConnector(http::client(None)?))
        .with_retry(retry());
    let store = opened(builder.build(), name)?;
    Ok(Arc::clone(store.credentials()))
}

fn opened<T>(store: object_store::Result<T>, name: &str) -> Result<T> {
    store.map_err(|error| failure::from_object_store(format!("cannot open `{name}`"), &error))
}

/// The place that requests go to; in virtual-host style the bucket is a part of the host's name.
fn s3_endpoint(reference: &S3Reference) -> Option<String> {
    let endpoint = reference.endpoint.as_ref()?;
    let mut endpoint = endpoint.clone();
    if reference.style == S3Style::VirtualHost {
        let host = format!("{}.{}", reference.bucket, endpoint.host_str()?);
        endpoint.set_host(Some(&host)).ok()?;
    }
    Some(endpoint.as_str().trim_end_matches('/').to_owned())
}

/// Tells whether two containers are opened by the same; the keys of a source change, and it does not.
fn identity_of(credential: &Credential) -> Option<Digest> {
    let identity = match credential {
        Credential::Secret(login) => login.expose_secret().trim(),
        Credential::Renewed(source) => source.name(),
        Credential::None | Credential::Entra(_) => return None,
    };
    Some(Digest::sha256(identity.as_bytes()))
}

/// A builder with the keys that were given, or with what the environment offers. A given key is never mixed with the
/// environment's, which only tells the region then.
fn s3_login(name: &str, credential: &Credential) -> Result<AmazonS3Builder> {
    let environment = AmazonS3Builder::from_env();
    let keys: AwsCredentialProvider = match credential {
        Credential::None | Credential::Entra(_) => return Ok(environment),
        Credential::Renewed(source) => {
            Arc::new(RenewedKeys::new(Arc::clone(source), Timestamp::now))
        }
        Credential::Secret(login) => {
            let keys = parse_keys(login.expose_secret()).ok_or_else(|| {
                let message =
                    format!("the credential of `{name}` is not `ID:SECRET` or `ID:SECRET:TOKEN`");
                Error::new(ErrorKind::Denied, message)
            })?;
            Arc::new(StaticCredentialProvider::new(keys))
        }
    };
    let mut builder = AmazonS3Builder::new().with_credentials(keys);
    if let Some(region) = environment.get_config_value(&AmazonS3ConfigKey::Region) {
        builder = builder.with_region(region);
    }
    Ok(builder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Option<String> {
        match text.parse().unwrap() {
            ContainerReference::S3(reference) => s3_endpoint(&reference),
            _ => panic!("not S3"),
        }
    }

    #[test]
    fn the_bucket_is_in_the_host_or_in_the_path() {
        let base = "s3://drop?endpoint=https://oss.example:9000";
        let path = endpoint(&format!("{base}&style=path"));
        assert_eq!(path.as_deref(), Some("https://oss.example:9000"));
        let virtual_host = endpoint(base);
        assert_eq!(
            virtual_host.as_deref(),
            Some("https://drop.oss.example:9000")
        );
        assert_eq!(endpoint("s3://drop"), None);
    }

    #[test]
    fn a_login_that_is_none_is_told_without_it() {
        let word = Credential::Secret(SecretString::from("WORD"));
        let error = s3_login("s3://drop", &word).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(!format!("{error:?}").contains("WORD"));
    }
}
