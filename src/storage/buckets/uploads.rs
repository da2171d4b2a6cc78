//! What S3 says of multipart uploads: those that are open in a bucket, and the parts that it has of one.

use jiff::Timestamp;
use object_store::path::Path;

use super::BucketContainer;
use super::service::SignedBucket;
use crate::content::{ErrorKind, Result, Uploaded, UploadedPart};
use crate::storage::container::{OpenUpload, StorageContainer};
use crate::storage::xml::{element, elements};

/// A part that the service has.
struct ListedPart {
    /// Counted from one.
    number: u64,
    etag: String,
    size_bytes: u64,
    modified: Option<Timestamp>,
}

struct ListedUpload {
    key: String,
    upload_id: String,
    initiated: Option<Timestamp>,
}

/// What the service still has of the upload, from the first part on, as it was recorded; `None` where it has lost the
/// upload. Where it cannot be asked, or not by us, the completion will tell.
pub(super) async fn find_uploaded(
    container: &BucketContainer,
    object: &str,
    uploaded: Uploaded,
) -> Result<Option<Uploaded>> {
    let Some(signed) = &container.signed else {
        return Ok(Some(uploaded));
    };
    let path = container.path(object)?;
    let shown = container.shown(object);
    match list_parts(signed, &path, &uploaded.upload_id, &shown).await {
        Ok(Some(listed)) => Ok(Some(Uploaded {
            parts: confirmed(uploaded.parts, &listed),
            upload_id: uploaded.upload_id,
        })),
        Ok(None) => Ok(None),
        Err(error) if cannot_tell(error.kind()) => Ok(Some(uploaded)),
        Err(error) => Err(error),
    }
}

fn cannot_tell(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Denied | ErrorKind::Unsupported)
}

/// The first parts, as long as they are what was recorded.
fn confirmed(recorded: Vec<UploadedPart>, listed: &[ListedPart]) -> Vec<UploadedPart> {
    let etag = |text: &str| text.trim_matches('"').to_owned();
    let is_it = |number: u64, part: &UploadedPart| {
        listed.iter().any(|listed| {
            (listed.number, listed.size_bytes) == (number, part.size_bytes)
                && etag(&listed.etag) == etag(&part.id)
        })
    };
    let numbered = (1..).zip(recorded);
    let kept = numbered.take_while(|(number, part)| is_it(*number, part));
    kept.map(|(_, part)| part).collect()
}

/// The open uploads, each with the time of its last part; `None` where nobody tells us.
pub(super) async fn list(container: &BucketContainer) -> Result<Option<Vec<OpenUpload>>> {
    let Some(signed) = &container.signed else {
        return Ok(None);
    };
    let message = format!("cannot list the open uploads of `{}`", container.name());
    let listed = match list_uploads(signed, &container.prefix, &message).await {
        Err(error) if cannot_tell(error.kind()) => return Ok(None),
        listed => listed?,
    };
    let mut uploads = Vec::new();
    for listed in listed {
        uploads.extend(inspect(container, signed, listed).await?);
    }
    Ok(Some(uploads))
}

/// `None` where it ends in this moment, or is not of this container.
async fn inspect(
    container: &BucketContainer,
    signed: &SignedBucket,
    listed: ListedUpload,
) -> Result<Option<OpenUpload>> {
    let (Some(object), Ok(path)) = (
        listed.key.strip_prefix(&container.prefix),
        Path::parse(&listed.key),
    ) else {
        return Ok(None);
    };
    let shown = container.shown(object);
    let parts = match list_parts(signed, &path, &listed.upload_id, &shown).await {
        Ok(None) => return Ok(None),
        Err(error) if cannot_tell(error.kind()) => None,
        parts => parts?,
    };
    let parts = parts.as_ref();
    let newest = |parts: &Vec<ListedPart>| parts.iter().filter_map(|part| part.modified).max();
    Ok(Some(OpenUpload {
        object: object.to_owned(),
        upload_id: listed.upload_id,
        size_bytes: parts.map(|parts| parts.iter().map(|part| part.size_bytes).sum()),
        // Where its parts are not told, nobody knows how long it has been left alone.
        modified: parts.and_then(|parts| newest(parts).or(listed.initiated)),
        is_held: false,
    }))
}

/// `None` where the service has no such upload.
async fn list_parts(
    signed: &SignedBucket,
    key: &Path,
    upload_id: &str,
    shown: &str,
) -> Result<Option<Vec<ListedPart>>> {
    let message = format!("cannot list the parts of `{shown}`");
    let mut parts = Vec::new();
    let mut marker = String::new();
    loop {
        let mut query = vec![("uploadId", upload_id)];
        if !marker.is_empty() {
            query.push(("part-number-marker", &marker));
        }
        let page = match signed.get(Some(key), &query, &message).await {
            Err(error) if error.is_not_found() => return Ok(None),
            page => page?,
        };
        parts.extend(elements(&page, "Part").filter_map(read_part));
        match next(&page, "NextPartNumberMarker").filter(|next| *next != marker) {
            Some(next) => marker = next,
            None => return Ok(Some(parts)),
        }
    }
}

async fn list_uploads(
    signed: &SignedBucket,
    prefix: &str,
    message: &str,
) -> Result<Vec<ListedUpload>> {
    let mut uploads = Vec::new();
    let mut markers = (String::new(), String::new());
    loop {
        let mut query = vec![("uploads", ""), ("prefix", prefix)];
        if !markers.0.is_empty() {
            query.push(("key-marker", &markers.0));
            query.push(("upload-id-marker", &markers.1));
        }
        let page = signed.get(None, &query, message).await?;
        uploads.extend(elements(&page, "Upload").filter_map(read_upload));
        let Some(key) = next(&page, "NextKeyMarker") else {
            return Ok(uploads);
        };
        let following = (key, next(&page, "NextUploadIdMarker").unwrap_or_default());
        if following == markers {
            return Ok(uploads);
        }
        markers = following;
    }
}

/// Where a listing that is not at its end goes on.
fn next(page: &str, name: &str) -> Option<String> {
    let is_truncated = element(page, "IsTruncated").as_deref() == Some("true");
    element(page, name).filter(|marker| is_truncated && !marker.is_empty())
}

fn read_part(xml: &str) -> Option<ListedPart> {
    Some(ListedPart {
        number: element(xml, "PartNumber")?.parse().ok()?,
        etag: element(xml, "ETag")?,
        size_bytes: element(xml, "Size")?.parse().ok()?,
        modified: element(xml, "LastModified").and_then(|time| time.parse().ok()),
    })
}

fn read_upload(xml: &str) -> Option<ListedUpload> {
    Some(ListedUpload {
        key: element(xml, "Key")?,
        upload_id: element(xml, "UploadId")?,
        initiated: element(xml, "Initiated").and_then(|time| time.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parts_that_are_as_recorded_are_kept() {
        let page = "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>3</NextPartNumberMarker>\
            <Part><PartNumber>1</PartNumber><LastModified>2027-01-31T12:00:00.000Z</LastModified>\
            <ETag>&quot;a&quot;</ETag><Size>8</Size></Part>\
            <Part><PartNumber>2</PartNumber><ETag>\"b\"</ETag><Size>8</Size></Part>\
            <Part><PartNumber>3</PartNumber><ETag>c</ETag><Size>7</Size></Part></ListPartsResult>";
        let listed: Vec<ListedPart> = elements(page, "Part").filter_map(read_part).collect();
        assert_eq!(
            listed[0].modified,
            Some("2027-01-31T12:00:00Z".parse().unwrap())
        );
        assert_eq!(next(page, "NextPartNumberMarker").as_deref(), Some("3"));
        assert_eq!(next(&page.replace("true", "false"), "IsTruncated"), None);
        let kept = |recorded: &[(&str, u64)]| {
            let part = |(id, size_bytes): &(&str, u64)| UploadedPart {
                id: format!("\"{id}\""),
                size_bytes: *size_bytes,
            };
            confirmed(recorded.iter().map(part).collect(), &listed).len()
        };
        assert_eq!(kept(&[("a", 8), ("b", 8), ("c", 7)]), 3);
        assert_eq!(kept(&[("a", 8), ("b", 8), ("c", 7), ("d", 8)]), 3, "lost");
        assert_eq!(kept(&[("a", 8), ("x", 8), ("c", 7)]), 1, "replaced");
        assert_eq!(kept(&[("a", 9)]), 0, "of another size");
    }

    #[test]
    fn uploads_are_read_with_their_names() {
        let page = "<Upload><Key>a&amp;b/one.tar</Key><UploadId>u</UploadId>\
            <Initiated>2027-01-31T12:00:00Z</Initiated></Upload>";
        let read = elements(page, "Upload").find_map(read_upload).unwrap();
        assert_eq!((&*read.key, &*read.upload_id), ("a&b/one.tar", "u"));
        assert!(read.initiated.is_some());
    }
}
