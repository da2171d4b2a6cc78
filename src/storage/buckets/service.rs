//! The requests of S3 that `object_store` does not make: copies from one bucket to another, and what is open there.
//!
//! They are signed by `object_store` with the login that everything else is asked with, and sent by our own client.
//! Only where the service is spoken to in the usual way: not without signatures, and not to directory buckets.

use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::path::Path;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};

use crate::content::{Error, ErrorKind, Result};
use crate::storage::answer::ServiceAnswer;
use crate::storage::container::BucketService;
use crate::storage::failure::{self, Said};
use crate::storage::reference::{S3Reference, S3Style};
use crate::storage::xml::element;

const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);
const REGION: &str = "us-east-1";
/// What a name and a value keep as they are when they are signed.
const ENCODED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const ENCODED_IN_PATH: AsciiSet = ENCODED.remove(b'/');

/// Where requests go, which follows from what a bucket is opened with.
pub(super) struct BucketPlace {
    /// With the bucket's name in its host or path, and without a `/` at its end.
    url: String,
    region: String,
    endpoint: Option<String>,
    /// Not with encryption that the environment asks for, which a copy would have to ask for too.
    pub(super) takes_copies: bool,
}

impl BucketPlace {
    /// `None` where it is not asked by requests of our own.
    pub(super) fn of(builder: &AmazonS3Builder, reference: &S3Reference) -> Option<Self> {
        let setting = |key: &AmazonS3ConfigKey| builder.get_config_value(key);
        let is_set = |name: &str| {
            let value = name.parse().ok().and_then(|key| setting(&key));
            value.is_some_and(|value| value != "false")
        };
        if ["aws_skip_signature", "aws_s3_express"]
            .into_iter()
            .any(is_set)
        {
            return None;
        }
        let region = setting(&AmazonS3ConfigKey::Region).unwrap_or_else(|| REGION.to_owned());
        let endpoint = setting(&AmazonS3ConfigKey::S3Endpoint);
        let endpoint = endpoint.or_else(|| setting(&AmazonS3ConfigKey::Endpoint));
        let endpoint = endpoint.map(|url| url.trim_end_matches('/').to_owned());
        let bucket = &reference.bucket;
        let url = match (&endpoint, reference.style) {
            (Some(endpoint), S3Style::VirtualHost) => endpoint.clone(),
            (Some(endpoint), S3Style::Path) => format!("{endpoint}/{bucket}"),
            (None, S3Style::VirtualHost) => format!("https://{bucket}.s3.{region}.amazonaws.com"),
            (None, S3Style::Path) => format!("https://s3.{region}.amazonaws.com/{bucket}"),
        };
        // As it was named, which is the same for all buckets of a service.
        let named = reference.endpoint.as_ref();
        let named = named.map(|url| url.as_str().trim_end_matches('/').to_owned());
        Some(Self {
            url,
            region,
            endpoint: named.or(endpoint),
            takes_copies: !is_set("aws_server_side_encryption"),
        })
    }

    pub(super) fn endpoint(&self) -> Option<String> {
        self.endpoint.clone()
    }
}

/// A bucket, and who asks for it.
pub(super) struct SignedBucket {
    pub(super) http: reqwest::Client,
    pub(super) credentials: AwsCredentialProvider,
    pub(super) place: BucketPlace,
    pub(super) bucket: String,
    pub(super) service: BucketService,
}

/// A request without a body.
struct Asking<'a> {
    method: Method,
    /// An object; without one it is about the bucket.
    key: Option<&'a Path>,
    query: &'a [(&'a str, &'a str)],
    headers: &'a [(&'static str, String)],
    /// What is told when it fails.
    message: &'a str,
}

/// How a request failed.
enum Failed {
    Finally(Error),
    /// It may be sent again.
    Perhaps(Error),
}

/// The value of `x-amz-copy-source`.
pub(super) fn encode_source(bucket: &str, key: &str) -> String {
    let path = format!("{bucket}/{key}");
    utf8_percent_encode(&path, &ENCODED_IN_PATH).to_string()
}

impl SignedBucket {
    /// A `PUT` without a body; the answer's body.
    pub(super) async fn put(
        &self,
        key: &Path,
        query: &[(&str, &str)],
        headers: &[(&'static str, String)],
        message: &str,
    ) -> Result<String> {
        self.ask(&Asking {
            method: Method::PUT,
            key: Some(key),
            query,
            headers,
            message,
        })
        .await
    }

    /// What the service says of an object, or of the bucket.
    pub(super) async fn get(
        &self,
        key: Option<&Path>,
        query: &[(&str, &str)],
        message: &str,
    ) -> Result<String> {
        self.ask(&Asking {
            method: Method::GET,
            key,
            query,
            headers: &[],
            message,
        })
        .await
    }

    /// What may pass is tried again.
    async fn ask(&self, asking: &Asking<'_>) -> Result<String> {
        let mut attempt = 1;
        loop {
            match self.ask_once(asking).await {
                Ok(body) => return Ok(body),
                Err(Failed::Perhaps(_)) if attempt < ATTEMPTS => {
                    tokio::time::sleep(PAUSE * 2u32.pow(attempt - 1)).await;
                    attempt += 1;
                }
                Err(Failed::Perhaps(error) | Failed::Finally(error)) => return Err(error),
            }
        }
    }

    async fn ask_once(&self, asking: &Asking<'_>) -> Result<String, Failed> {
        let message = asking.message;
        let url = self.url(asking.key, asking.query);
        let headers = self.sign(&url, asking).await;
        let headers = headers.map_err(Failed::Finally)?;
        let request = self.http.request(asking.method.clone(), url);
        let mut request = request.headers(headers);
        if asking.method == Method::PUT {
            // A body of no bytes, so that its length is told.
            request = request.body(Bytes::new());
        }
        let lost = |error: reqwest::Error| {
            let kind = ErrorKind::Temporary { retry_after: None };
            let said = Said::of(&error.without_url());
            Failed::Perhaps(Error::new(kind, message).with_cause(said))
        };
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        let body = answer.text().await.map_err(lost)?;
        // A copy that fails after it was begun is told in the body of a success.
        let is_error = element(&body, "Code").is_some() && body.contains("<Error>");
        if (200..300).contains(&status) && !is_error {
            return Ok(body);
        }
        let error = failure::from_answer(message, ServiceAnswer::new(status, "", &body));
        Err(match error.is_temporary() {
            true => Failed::Perhaps(error),
            false => Failed::Finally(error),
        })
    }

    fn url(&self, key: Option<&Path>, query: &[(&str, &str)]) -> String {
        let mut url = self.place.url.clone();
        if let Some(key) = key {
            let path = utf8_percent_encode(key.as_ref(), &ENCODED_IN_PATH);
            url.push_str(&format!("/{path}"));
        }
        for (position, (name, value)) in query.iter().enumerate() {
            let mark = if position == 0 { '?' } else { '&' };
            url.push_str(&format!(
                "{mark}{name}={}",
                utf8_percent_encode(value, &ENCODED)
            ));
        }
        url
    }

    /// The headers, and those that sign them.
    async fn sign(&self, url: &str, asking: &Asking<'_>) -> Result<HeaderMap> {
        let message = asking.message;
        let unfit = || Error::new(ErrorKind::Failed, message.to_owned());
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = asking.method.clone();
        *request.uri_mut() = url.parse().map_err(|_| unfit())?;
        for (name, value) in asking.headers {
            let value = HeaderValue::from_str(value).map_err(|_| unfit())?;
            request.headers_mut().insert(*name, value);
        }
        let told = |error| failure::from_object_store(message, &error);
        let credential = self.credentials.get_credential().await.map_err(told)?;
        AwsAuthorizer::new(&credential, "s3", &self.place.region)
            .try_authorize(&mut request, None)
            .map_err(told)?;
        Ok(request.into_parts().0.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_asked_where_object_store_asks() {
        let place = |text: &str| {
            let reference = match text.parse() {
                Ok(crate::storage::ContainerReference::S3(reference)) => reference,
                other => panic!("{other:?}"),
            };
            let mut builder = AmazonS3Builder::new().with_bucket_name(&reference.bucket);
            if let Some(endpoint) = &reference.endpoint {
                builder = builder.with_endpoint(endpoint.as_str());
            }
            BucketPlace::of(&builder, &reference).map(|place| (place.url, place.endpoint))
        };
        let base = "https://oss.example:9000".to_owned();
        let path = place("s3://drop?endpoint=https://oss.example:9000&style=path");
        assert_eq!(path, Some((format!("{base}/drop"), Some(base))));
        let amazon = "https://drop.s3.us-east-1.amazonaws.com".to_owned();
        assert_eq!(place("s3://drop"), Some((amazon, None)));
        let reference = "s3://drop".parse().unwrap();
        if let crate::storage::ContainerReference::S3(reference) = reference {
            let unsigned = AmazonS3Builder::new().with_skip_signature(true);
            assert!(BucketPlace::of(&unsigned, &reference).is_none());
        }
    }

    #[test]
    fn sources_keep_their_slashes() {
        assert_eq!(encode_source("drop", "a/b c+d.tar"), "drop/a/b%20c%2Bd.tar");
    }
}
