//! What a message says: that there is a new object in our container, or nothing that concerns us.
//!
//! Pure. Event Grid's own schema and that of `CloudEvents` 1.0 are read, as JSON or, as Event Grid writes them, as
//! base64 of it. A message is a stranger's text: its URL is taken apart and compared, and never opened.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use url::Url;

use crate::storage::reference::{AzureReference, decode};

const CREATED: &str = "Microsoft.Storage.BlobCreated";
const OF_STORAGE: &str = "Microsoft.Storage.";

/// What a message means for a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// There is a new object of this name in our container.
    Created(String),
    /// It is about our container, and nothing is new there.
    Nothing,
    /// It is about another place.
    Elsewhere,
    /// It is no event.
    Malformed,
}

/// An event of either schema; what it does not say is empty.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    #[serde(rename = "eventType")]
    grid_type: String,
    #[serde(rename = "type")]
    cloud_type: String,
    data: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Body {
    One(Event),
    Several(Vec<Event>),
}

impl Notice {
    /// Reads a message for the watch of `container`.
    pub(super) fn read(message: &str, container: &AzureReference) -> Self {
        let events = match parse(message) {
            Some(Body::One(event)) => vec![event],
            Some(Body::Several(events)) => events,
            None => return Self::Malformed,
        };
        let judged = events.iter().map(|event| judge(event, container));
        // Where several events are in one message, the one that says most counts.
        judged.min_by_key(Self::weight).unwrap_or(Self::Malformed)
    }

    fn weight(&self) -> u8 {
        match self {
            Self::Created(_) => 0,
            Self::Nothing => 1,
            Self::Elsewhere => 2,
            Self::Malformed => 3,
        }
    }
}

fn parse(message: &str) -> Option<Body> {
    let text = message.trim();
    if text.starts_with(['{', '[']) {
        return serde_json::from_str(text).ok();
    }
    serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()
}

fn judge(event: &Event, container: &AzureReference) -> Notice {
    let kind = match event.grid_type.as_str() {
        "" => event.cloud_type.as_str(),
        kind => kind,
    };
    if kind.is_empty() {
        return Notice::Malformed;
    }
    if !kind.starts_with(OF_STORAGE) {
        return Notice::Elsewhere;
    }
    let Some((account, path)) = event.data["url"].as_str().and_then(take_apart) else {
        return Notice::Malformed;
    };
    match object_of(&account, &path, container) {
        None => Notice::Elsewhere,
        Some(object) if kind == CREATED => Notice::Created(object.to_owned()),
        Some(_) => Notice::Nothing,
    }
}

/// Account, and container and object, of a blob's URL. A hierarchical namespace tells its other address.
fn take_apart(url: &str) -> Option<(String, String)> {
    let url = Url::parse(url).ok()?;
    let path = decode(url.path().strip_prefix('/')?);
    let host = url.host_str()?;
    let account = [".blob.", ".dfs."].iter().find_map(|service| {
        let (account, _) = host.split_once(service)?;
        Some(account.to_owned())
    });
    if let Some(account) = account {
        return Some((account, path));
    }
    let (account, path) = path.split_once('/')?;
    Some((account.to_owned(), path.to_owned()))
}

/// The object's name below the watched prefix. The host does not count: one account has several addresses.
fn object_of<'a>(account: &str, path: &'a str, container: &AzureReference) -> Option<&'a str> {
    let (name, object) = path.split_once('/')?;
    if account != container.account || name != container.container {
        return None;
    }
    match container.prefix.as_str() {
        "" => Some(object),
        prefix => object.strip_prefix(prefix)?.strip_prefix('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::ContainerReference;

    /// From Microsoft's description of the events of Blob Storage, both schemas, shortened.
    const GRID: &str = r#"{"topic":"/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/acme",
        "subject":"/blobServices/default/containers/drop/blobs/ship/a b.tar.zst","eventType":"Microsoft.Storage.BlobCreated",
        "eventTime":"2026-11-22T08:00:00Z","id":"831e1650","data":{"api":"PutBlockList","contentLength":524288,
        "eTag":"0x8D4BCC2E4835CD0","blobType":"BlockBlob","url":"https://acme.blob.core.windows.net/drop/ship/a%20b.tar.zst"},
        "dataVersion":"","metadataVersion":"1"}"#;
    const CLOUD: &str = r#"{"specversion":"1.0","type":"Microsoft.Storage.BlobCreated","id":"9aeb0fdf","time":"2026-11-22T08:00:00Z",
        "source":"/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/acme",
        "subject":"/blobServices/default/containers/drop/blobs/ship/a b.tar.zst",
        "data":{"api":"PutBlockList","url":"https://acme.dfs.core.windows.net/drop/ship/a%20b.tar.zst"}}"#;

    fn container(url: &str) -> AzureReference {
        match url.parse() {
            Ok(ContainerReference::Azure(azure)) => azure,
            other => panic!("{other:?}"),
        }
    }

    fn read(message: &str) -> Notice {
        let watched = container("https://acme.blob.core.windows.net/drop/ship");
        Notice::read(message, &watched)
    }

    #[test]
    fn both_schemas_are_read_plain_and_as_base64() {
        let created = Notice::Created("a b.tar.zst".to_owned());
        for event in [GRID, CLOUD] {
            assert_eq!(read(event), created);
            assert_eq!(read(&STANDARD.encode(event)), created);
            assert_eq!(read(&format!("[{event}]")), created);
        }
    }

    #[test]
    fn only_account_container_and_prefix_count() {
        let of = |url: &str| Notice::read(GRID, &container(url));
        assert_eq!(
            of("https://acme.blob.core.windows.net/other"),
            Notice::Elsewhere
        );
        assert_eq!(
            of("https://else.blob.core.windows.net/drop"),
            Notice::Elsewhere
        );
        assert_eq!(
            of("https://acme.blob.core.windows.net/drop/shi"),
            Notice::Elsewhere
        );
        let whole = Notice::Created("ship/a b.tar.zst".to_owned());
        assert_eq!(of("https://10.0.0.5/acme/drop"), whole);
    }

    #[test]
    fn other_events_are_told_apart() {
        let deleted = GRID.replace("BlobCreated", "BlobDeleted");
        assert_eq!(read(&deleted), Notice::Nothing);
        let foreign = CLOUD.replace("Microsoft.Storage.", "Contoso.Orders.");
        assert_eq!(read(&foreign), Notice::Elsewhere);
        for garbage in [
            "",
            "hello",
            "{}",
            "[]",
            "{\"eventType\":7}",
            "bm8=",
            "e30=",
            "[1]",
        ] {
            assert_eq!(read(garbage), Notice::Malformed, "{garbage}");
        }
        let no_url = CLOUD.replace("\"url\"", "\"uri\"");
        assert_eq!(read(&no_url), Notice::Malformed);
    }
}
