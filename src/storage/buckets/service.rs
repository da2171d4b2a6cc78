//! The requests of S3 that `object_store` does not make: copies from one bucket to another.
//!
//! They are signed by `object_store` with the login that everything else is asked with, and sent by our own client.
//! Only where the service is spoken to in the usual way: not without signatures, not to directory buckets, and not
//! with encryption that the environment asks for, which a copy would have to ask for too.

use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::path::Path;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};

use crate::content::{Error, ErrorKind, Result};
use crate::storage::container::BucketService;
use crate::storage::failure::{self, Said};
use crate::storage::reference::{S3Reference, S3Style};

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
}

impl BucketPlace {
    /// `None` where copies are not asked for.
    pub(super) fn of(builder: &AmazonS3Builder, reference: &S3Reference) -> Option<Self> {
        let setting = |key: &AmazonS3ConfigKey| builder.get_config_value(key);
        let is_set = |name: &str| {
            let value = name.parse().ok().and_then(|key| setting(&key));
            value.is_some_and(|value| value != "false")
        };
        if [
            "aws_skip_signature",
            "aws_s3_express",
            "aws_server_side_encryption",
        ]
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
    /// A `PUT` without a body; the answer's body. What may pass is tried again.
    pub(super) async fn put(
        &self,
        key: &Path,
        query: &[(&str, &str)],
        headers: &[(&'static str, String)],
        message: &str,
    ) -> Result<String> {
        let mut attempt = 1;
        loop {
            match self.put_once(key, query, headers, message).await {
                Ok(body) => return Ok(body),
                Err(Failed::Perhaps(_)) if attempt < ATTEMPTS => {
                    tokio::time::sleep(PAUSE * 2u32.pow(attempt - 1)).await;
                    attempt += 1;
                }
                Err(Failed::Perhaps(error) | Failed::Finally(error)) => return Err(error),
            }
        }
    }

    async fn put_once(
        &self,
        key: &Path,
        query: &[(&str, &str)],
        headers: &[(&'static str, String)],
        message: &str,
    ) -> Result<String, Failed> {
        let url = self.url(key, query);
        let headers = self.sign(&url, headers, message).await;
        let headers = headers.map_err(Failed::Finally)?;
        // A body of no bytes, so that its length is told.
        let request = self.http.put(url).headers(headers).body(Bytes::new());
        let lost = |error: reqwest::Error| {
            let kind = ErrorKind::Temporary { retry_after: None };
            let said = Said::of(&error.without_url());
            Failed::Perhaps(Error::new(kind, message).with_cause(said))
        };
        let answer = request.send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        let body = answer.text().await.map_err(lost)?;
        // A copy that fails after it was begun is told in the body of a success.
        let code = element(&body, "Code").filter(|_| status >= 300 || body.contains("<Error>"));
        if (200..300).contains(&status) && code.is_none() {
            return Ok(body);
        }
        let status = if status < 300 { 500 } else { status };
        let error = failure::from_status(message, status, &code.unwrap_or_default());
        Err(match error.is_temporary() {
            true => Failed::Perhaps(error),
            false => Failed::Finally(error),
        })
    }

    fn url(&self, key: &Path, query: &[(&str, &str)]) -> String {
        let path = utf8_percent_encode(key.as_ref(), &ENCODED_IN_PATH);
        let mut url = format!("{}/{path}", self.place.url);
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
    async fn sign(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        message: &str,
    ) -> Result<HeaderMap> {
        let unfit = || Error::new(ErrorKind::Failed, message.to_owned());
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = url.parse().map_err(|_| unfit())?;
        for (name, value) in headers {
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

/// The text of the first element of this name.
pub(super) fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.replace("&quot;", "\"").replace("&#34;", "\"");
    Some(text.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_with_their_quotes() {
        let xml = "<CopyPartResult><ETag>&quot;a-1&quot;</ETag><Size>3</Size></CopyPartResult>";
        assert_eq!(element(xml, "ETag").as_deref(), Some("\"a-1\""));
        assert_eq!(element(xml, "Code"), None);
    }

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
