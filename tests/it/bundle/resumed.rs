//! A volume that was cut behind any entry and gone on with has the bytes of one that was not.

use airlift::bundle::{FinishedEntry, Inventory, VolumeWriter};
use airlift::content::{MemoryObject, RawStream, VerifiedStream};
use airlift::oci::{Descriptor, Digest};
use bytes::Bytes;
use futures_util::stream;

use super::round_trip::runtime;
use crate::hostile::forge::Forge;
use crate::support::artifacts::{Dice, LAYER};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Contents that are stored as they are and contents that are compressed, of several sizes of frames.
fn contents() -> Vec<(Descriptor, Bytes)> {
    let mut dice = Dice::new(3);
    let sizes = [0, 1, 511, 70_000, 5 << 20, 3000];
    let content = |(number, size): (usize, usize)| {
        let media_type = if number % 2 == 0 { LAYER } else { CONFIG };
        let bytes = dice.bytes(size);
        let descriptor = Descriptor::new(media_type, Digest::sha256(&bytes), size as u64);
        (descriptor, bytes.into())
    };
    sizes.into_iter().enumerate().map(content).collect()
}

/// Writes the contents behind `before`; the object's bytes from there on, and the entries.
async fn write(
    inventory: &Inventory,
    before: &[FinishedEntry],
    contents: &[(Descriptor, Bytes)],
) -> (Bytes, Vec<FinishedEntry>) {
    let object = MemoryObject::default();
    let mut writer = VolumeWriter::resume(object.writer(), inventory.profile, before.to_vec());
    let mut entries = before.to_vec();
    for (descriptor, bytes) in contents {
        let raw = RawStream::new(stream::iter([Ok(bytes.clone())]));
        let content = VerifiedStream::new(raw, descriptor.clone());
        let failure = writer.write_blob(content, vec![0]).await.unwrap();
        assert!(failure.is_none(), "{failure:?}");
        entries.extend(writer.take_finished());
    }
    writer.finish(inventory.clone(), &[]).await.unwrap();
    writer.into_object().finish().await.unwrap();
    (object.bytes(), entries)
}

#[test]
fn a_volume_that_is_gone_on_with_has_the_same_bytes() {
    let contents = contents();
    for forge in [Forge::image(), Forge::image().guard()] {
        let inventory = forge.inventory;
        runtime().block_on(async {
            let (whole, entries) = write(&inventory, &[], &contents).await;
            assert_eq!(entries.len(), contents.len());
            for (count, entry) in (1..).zip(&entries) {
                let (rest, again) = write(&inventory, &entries[..count], &contents[count..]).await;
                let start = usize::try_from(entry.end_offset).unwrap();
                assert!(
                    rest == whole[start..],
                    "{count} entries, {:?}",
                    inventory.profile
                );
                assert_eq!(again, entries);
                let packed = FinishedEntry::unpack_frames(&entry.pack_frames());
                assert_eq!(packed.as_ref(), Some(&entry.frames));
            }
        });
    }
}
