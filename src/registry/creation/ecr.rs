//! Repositories of Amazon's ECR, which are created by its API and with keys of AWS, not with the registry's login.
//!
//! The registry's own host name tells the account and the region. Requests are signed by `object_store`, as those to
//! S3 are.
//! Specification: ECR API Reference, `DescribeRepositories` and `CreateRepository`; IAM User Guide, "Signature
//! Version 4".

use std::str::FromStr;

use bytes::Bytes;
use object_store::aws::{AwsAuthorizer, AwsCredential, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::registry::error::{Answer, RegistryError, Result};
use crate::registry::options::{RegistryOptions, Transport};
use crate::registry::retry::{Attempts, Pace};
use crate::registry::transport::Wire;

const SERVICE: &str = "ecr";
const API: &str = "AmazonEC2ContainerRegistry_V20150921";
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const ANSWER_SIZE_MAX_BYTES: u64 = 1 << 20;

/// What the host name of a registry of ECR tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EcrName {
    pub account: String,
    pub region: String,
    /// Where the API is.
    pub api: String,
}

/// A host name is not one of ECR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no registry of ECR: expected `ACCOUNT.dkr.ecr.REGION.amazonaws.com`")]
pub struct NotEcr(String);

impl FromStr for EcrName {
    type Err = NotEcr;

    fn from_str(host: &str) -> Result<Self, NotEcr> {
        let labels: Vec<&str> = host.split('.').collect();
        let (account, service, region, suffix) = match labels[..] {
            [account, "dkr", service, region, "amazonaws", "com"] => {
                (account, service, region, "amazonaws.com")
            }
            [account, "dkr", service, region, "amazonaws", "com", "cn"] => {
                (account, service, region, "amazonaws.com.cn")
            }
            _ => return Err(NotEcr(host.to_owned())),
        };
        let is_account = account.len() == 12 && account.bytes().all(|it| it.is_ascii_digit());
        let is_region = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        let api = match service {
            "ecr" => format!("api.ecr.{region}.{suffix}"),
            "ecr-fips" => format!("ecr-fips.{region}.{suffix}"),
            _ => return Err(NotEcr(host.to_owned())),
        };
        if !is_account || region.is_empty() || !region.bytes().all(is_region) {
            return Err(NotEcr(host.to_owned()));
        }
        Ok(Self {
            account: account.to_owned(),
            region: region.to_owned(),
            api,
        })
    }
}

/// The API of one account in one region.
pub struct Ecr {
    name: EcrName,
    wire: Wire,
    pace: Pace,
    credentials: AwsCredentialProvider,
}

impl Ecr {
    /// `endpoint` takes the place of the API's own address. Sends nothing yet.
    pub fn new(
        name: EcrName,
        endpoint: Option<&Url>,
        options: RegistryOptions,
        credentials: AwsCredentialProvider,
    ) -> Result<Self> {
        let (host, transport) = match endpoint {
            None => (name.api.clone(), Transport::HttpsOnly),
            Some(url) => (host_of(url), transport_of(url)),
        };
        let options = RegistryOptions {
            transport,
            ..options
        };
        Ok(Self {
            wire: Wire::new(&host, options)?,
            pace: Pace::default(),
            name,
            credentials,
        })
    }

    pub(super) async fn has_repository(&self, name: &str) -> Result<bool> {
        let wanted = json!({ "registryId": self.name.account, "repositoryNames": [name] });
        match self.ask("DescribeRepositories", &wanted).await {
            Ok(()) => Ok(true),
            Err(error) if says(&error, "RepositoryNotFoundException") => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn create_repository(&self, name: &str) -> Result<bool> {
        let wanted = json!({ "registryId": self.name.account, "repositoryName": name });
        match self.ask("CreateRepository", &wanted).await {
            Ok(()) => Ok(true),
            Err(error) if says(&error, "RepositoryAlreadyExistsException") => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, action: &str, wanted: &Value) -> Result<()> {
        let body = Bytes::from(wanted.to_string());
        let mut attempts = Attempts::new(&self.wire.options, &self.pace);
        loop {
            self.pace.keep().await;
            match self.ask_once(action, body.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => attempts.again(error).await?,
            }
        }
    }

    async fn ask_once(&self, action: &str, body: Bytes) -> Result<()> {
        let headers = self.sign(action, body.clone()).await?;
        let request = self.wire.request(Method::POST, self.wire.base.clone());
        let (request, host) = self.wire.prepared(request.headers(headers).body(body))?;
        let response = self.wire.execute(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.wire.read(response, ANSWER_SIZE_MAX_BYTES).await?;
        match status.is_success() {
            true => Ok(()),
            false => Err(RegistryError::Answer(Answer::new(
                &host, status, &headers, &body,
            ))),
        }
    }

    async fn sign(&self, action: &str, body: Bytes) -> Result<HeaderMap> {
        let keys = self.credentials.get_credential().await;
        let keys = keys.map_err(|error| {
            tracing::debug!(%error, "no keys of AWS");
            self.refuse_login("the keys of AWS that this machine has cannot be had")
        })?;
        signed_headers(&keys, &self.name.region, &self.wire.base, action, body)
            .ok_or_else(|| self.refuse_login("the keys of AWS cannot sign a request"))
    }

    fn refuse_login(&self, reason: &str) -> RegistryError {
        RegistryError::Login {
            host: self.wire.host.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// The headers of a request, and those that sign them.
fn signed_headers(
    keys: &AwsCredential,
    region: &str,
    url: &Url,
    action: &str,
    body: Bytes,
) -> Option<HeaderMap> {
    let mut request = HttpRequest::new(HttpRequestBody::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = url.as_str().parse().ok()?;
    let target = HeaderValue::try_from(format!("{API}.{action}")).ok()?;
    request.headers_mut().insert(TARGET, target);
    request.headers_mut().insert(CONTENT_TYPE, JSON);
    let signer = AwsAuthorizer::new(keys, SERVICE, region);
    signer.try_authorize(&mut request, None).ok()?;
    Some(request.into_parts().0.headers)
}

fn says(error: &RegistryError, code: &str) -> bool {
    error
        .answer()
        .is_some_and(|answer| answer.has_code(&[code]))
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn transport_of(url: &Url) -> Transport {
    match url.scheme() {
        "http" => Transport::PlainHttpAllowed,
        _ => Transport::HttpsOnly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_tells_account_region_and_where_the_api_is() {
        let api = |host: &str| host.parse::<EcrName>().map(|name| name.api).ok();
        let name: EcrName = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
            .parse()
            .unwrap();
        assert_eq!(
            (&*name.account, &*name.region),
            ("123456789012", "eu-central-1")
        );
        assert_eq!(name.api, "api.ecr.eu-central-1.amazonaws.com");
        let china = api("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn");
        assert_eq!(
            china.as_deref(),
            Some("api.ecr.cn-north-1.amazonaws.com.cn")
        );
        let fips = api("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com");
        assert_eq!(fips.as_deref(), Some("ecr-fips.us-east-1.amazonaws.com"));
        for other in [
            "r.example",
            "12345.dkr.ecr.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com.example",
            "123456789012.dkr.s3.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.a@b.amazonaws.com",
        ] {
            assert_eq!(api(other), None, "{other}");
        }
    }

    /// The signature itself is the crate's; that it is for ECR and covers what is asked is ours.
    #[test]
    fn what_is_asked_is_signed_for_ecr() {
        let keys = AwsCredential {
            key_id: "AKIDEXAMPLE".to_owned(),
            secret_key: "secret".to_owned(),
            token: Some("session".to_owned()),
        };
        let url = Url::parse("https://api.ecr.us-east-1.amazonaws.com/").unwrap();
        let signed = |body| signed_headers(&keys, "us-east-1", &url, "CreateRepository", body);
        let headers = signed(Bytes::from_static(b"{}")).unwrap();
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
        assert!(
            authorization.contains("/us-east-1/ecr/aws4_request, "),
            "{authorization}"
        );
        for name in [
            "content-type",
            "host",
            "x-amz-date",
            "x-amz-security-token",
            "x-amz-target",
        ] {
            assert!(authorization.contains(name), "{name}: {authorization}");
        }
        assert!(!authorization.contains("secret"));
        let other = signed(Bytes::from_static(b"{ }")).unwrap();
        assert_ne!(
            headers["x-amz-content-sha256"],
            other["x-amz-content-sha256"]
        );
    }
}
