//! A volume taken apart: entries, signatures, end, frames and seek table, each to be changed alone.
//!
//! Written after FORMAT.md and the specifications of tar, zstd and its seekable format.

use airlift::bundle::SigningKey;

use crate::bundle::road::signing_key;

const FRAME_BYTES: usize = 4 << 20;
const BLOCK_BYTES: usize = 128 << 10;

/// One entry of the tar stream.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) header: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) padding: Vec<u8>,
    pub(crate) is_raw: bool,
}

impl Entry {
    /// A regular file, as the format has it.
    pub(crate) fn new(name: &str, data: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            header: header(name, data.len() as u64, tar::EntryType::Regular),
            data: data.to_vec(),
            padding: vec![0; data.len().next_multiple_of(512) - data.len()],
            is_raw: false,
        }
    }

    /// The same bytes under another name or as another kind of entry.
    pub(crate) fn disguise(&mut self, name: &str, kind: tar::EntryType) {
        self.header = header(name, self.data.len() as u64, kind);
    }

    pub(crate) fn size(&self) -> u64 {
        (self.header.len() + self.data.len() + self.padding.len()) as u64
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [&self.header[..], &self.data, &self.padding].concat()
    }
}

/// The header of an entry, with the `L` record that a long name needs.
pub(crate) fn header(name: &str, size: u64, kind: tar::EntryType) -> Vec<u8> {
    let mut bytes = Vec::new();
    if name.len() > 100 {
        let length = name.len() as u64 + 1;
        bytes.extend(block("././@LongLink", length, tar::EntryType::GNULongName));
        bytes.extend(name.bytes());
        bytes.resize((bytes.len() + 1).next_multiple_of(512), 0);
    }
    bytes.extend(block(&name[..name.len().min(100)], size, kind));
    bytes
}

fn block(name: &str, size: u64, kind: tar::EntryType) -> [u8; 512] {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_entry_type(kind);
    header.set_cksum();
    *header.as_bytes()
}

/// One frame as stored, and how many bytes it decodes to.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) stored: Vec<u8>,
    pub(crate) size: usize,
}

impl Frame {
    /// FORMAT.md, "Frames": raw blocks in a single segment.
    pub(crate) fn raw(content: &[u8]) -> Self {
        let size = u32::try_from(content.len()).expect("at most 4 MiB");
        let mut stored = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
        stored.extend(size.to_le_bytes());
        let blocks: Vec<&[u8]> = content.chunks(BLOCK_BYTES).collect();
        for (number, block) in (1..).zip(&blocks) {
            let header =
                u32::try_from(block.len()).expect("small") << 3 | u32::from(number == blocks.len());
            stored.extend(&header.to_le_bytes()[..3]);
            stored.extend(*block);
        }
        Self {
            stored,
            size: content.len(),
        }
    }

    pub(crate) fn compressed(content: &[u8]) -> Self {
        let mut compressor = zstd::bulk::Compressor::new(1).expect("a compressor");
        let checksum = zstd::zstd_safe::CParameter::ChecksumFlag(true);
        compressor.set_parameter(checksum).expect("it is known");
        let stored = compressor.compress(content).expect("it compresses");
        let raw = Self::raw(content);
        if stored.len() < raw.stored.len() {
            return Self {
                stored,
                size: content.len(),
            };
        }
        raw
    }
}

/// A volume in its parts. Fields that are `None` follow from the others, truthfully.
pub(crate) struct Anatomy {
    is_plain: bool,
    pub(crate) entries: Vec<Entry>,
    keys: Vec<SigningKey>,
    pub(crate) signatures: Option<Vec<Entry>>,
    pub(crate) end_text: Option<String>,
    /// Entries behind `airlift/end`.
    pub(crate) behind: Vec<Entry>,
}

impl Anatomy {
    pub(crate) fn new(is_plain: bool, entries: Vec<Entry>) -> Self {
        Self {
            is_plain,
            entries,
            keys: Vec::new(),
            signatures: None,
            end_text: None,
            behind: Vec::new(),
        }
    }

    pub(crate) fn signed_by(mut self, names: &[&str]) -> Self {
        self.keys = names.iter().map(|name| signing_key(name)).collect();
        self.keys.sort_by_key(|key| key.public().id().clone());
        self
    }

    pub(crate) fn position(&self, name: &str) -> usize {
        let found = self.entries.iter().position(|entry| entry.name == name);
        found.unwrap_or_else(|| panic!("there is no entry `{name}`"))
    }

    pub(crate) fn entry(&self, name: &str) -> &Entry {
        &self.entries[self.position(name)]
    }

    pub(crate) fn entry_mut(&mut self, name: &str) -> &mut Entry {
        let position = self.position(name);
        &mut self.entries[position]
    }

    /// Changes the text of the inventory; it is signed as it is then.
    pub(crate) fn with_inventory(mut self, edit: impl FnOnce(String) -> String) -> Self {
        let position = self.position("airlift/inventory.json");
        let text = String::from_utf8(self.entries[position].data.clone()).expect("JSON");
        let edited = edit(text.clone());
        assert_ne!(edited, text, "the edit finds its place");
        self.entries[position] = Entry::new("airlift/inventory.json", edited.as_bytes());
        self
    }

    /// The signature entries, made now where they were not given.
    pub(crate) fn signature_entries(&self) -> Vec<Entry> {
        if let Some(signatures) = &self.signatures {
            return signatures.clone();
        }
        let inventory = &self.entry("airlift/inventory.json").data;
        let sign = |key: &SigningKey| {
            let signature = key.sign(inventory).expect("the key signs");
            signature_entry(&key.public().id().to_string(), &signature)
        };
        self.keys.iter().map(sign).collect()
    }

    /// `airlift/end` and the two zero blocks.
    fn tail(&self, signatures: &[Entry]) -> Vec<u8> {
        let sizes = |entries: &[Entry]| entries.iter().map(Entry::size).sum::<u64>();
        let position = self.position("airlift/inventory.json");
        let inventory = &self.entries[position];
        let offset = sizes(&self.entries[..position]) + inventory.header.len() as u64;
        let text = self.end_text.clone().unwrap_or_else(|| {
            format!(
                "airlift 1\ninventory {offset} {}\nsignatures {} {}\n",
                inventory.data.len(),
                sizes(&self.entries),
                sizes(signatures)
            )
        });
        let end = Entry::new("airlift/end", format!("{text:511}\n").as_bytes());
        let behind: Vec<Vec<u8>> = self.behind.iter().map(Entry::bytes).collect();
        [end.bytes(), behind.concat(), vec![0; 1024]].concat()
    }

    /// The frames of the volume, in order; one for each entry in the guard profile.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        let signatures = self.signature_entries();
        let mut frames = Vec::new();
        for entry in self.entries.iter().chain(&signatures) {
            for cut in entry.bytes().chunks(FRAME_BYTES) {
                frames.push(match entry.is_raw {
                    true => Frame::raw(cut),
                    false => Frame::compressed(cut),
                });
            }
        }
        frames.push(Frame::raw(&self.tail(&signatures)));
        frames
    }

    /// The bytes of the tar stream.
    pub(crate) fn tar_stream(&self) -> Vec<u8> {
        let signatures = self.signature_entries();
        let entries = self.entries.iter().chain(&signatures);
        let mut stream = entries.flat_map(Entry::bytes).collect::<Vec<u8>>();
        stream.extend(self.tail(&signatures));
        stream
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        match self.is_plain {
            true => join(&self.frames()),
            false => self.tar_stream(),
        }
    }
}

pub(crate) fn signature_entry(key_id: &str, signature: &[u8]) -> Entry {
    let mut entry = Entry::new(&format!("airlift/signatures/{key_id}.sig"), signature);
    entry.is_raw = true;
    entry
}

/// The frames one after the other, and their seek table.
pub(crate) fn join(frames: &[Frame]) -> Vec<u8> {
    let pairs: Vec<(u32, u32)> = frames.iter().map(sizes).collect();
    join_with(frames, &pairs)
}

pub(crate) fn sizes(frame: &Frame) -> (u32, u32) {
    let narrow = |size| u32::try_from(size).expect("small");
    (narrow(frame.stored.len()), narrow(frame.size))
}

/// The frames with a seek table that says something else.
pub(crate) fn join_with(frames: &[Frame], pairs: &[(u32, u32)]) -> Vec<u8> {
    let mut bytes: Vec<u8> = frames.iter().flat_map(|f| f.stored.clone()).collect();
    let count = u32::try_from(pairs.len()).expect("few");
    bytes.extend(0x184d_2a5e_u32.to_le_bytes());
    bytes.extend((count * 8 + 9).to_le_bytes());
    for (stored, size) in pairs {
        bytes.extend(stored.to_le_bytes());
        bytes.extend(size.to_le_bytes());
    }
    bytes.extend(count.to_le_bytes());
    bytes.push(0);
    bytes.extend(0x8f92_eab1_u32.to_le_bytes());
    bytes
}
