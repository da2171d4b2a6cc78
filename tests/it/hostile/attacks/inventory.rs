//! Signed inventories, and end entries, that lie about the volume or are not of this format.

use airlift::bundle::{Past, ToldEvent, ToldKind};
use airlift::oci::Digest;

use super::{Attack, Files, KEY, attack};
use crate::hostile::anatomy::{Anatomy, Entry};
use crate::hostile::forge::Forge;

const END: &str = "airlift/inventory.json";

pub(super) const ATTACKS: &[Attack] = &[
    attack("wrong-inventory-version", || {
        edited("inventory.v1+json", "inventory.v3+json")
    }),
    attack("inventory-version-with-control-characters", || {
        edited("inventory.v1+json", "\\u001b[2J\\u202e")
    }),
    attack("unknown-field", || {
        edited("\"audience\":[]", "\"audience\":[],\"run\":\"sh\"")
    }),
    attack("unknown-field-of-a-row", || {
        edited("\"offset\":512", "\"offset\":512,\"mode\":1")
    }),
    attack("duplicate-field", || {
        edited("\"volume\":1", "\"volume\":1,\"volume\":1")
    }),
    attack("missing-field", || edited("\"audience\":[],", "")),
    attack("fields-in-another-order", || {
        edited("\"volume\":1,\"volumes\":1", "\"volumes\":1,\"volume\":1")
    }),
    attack("white-space", || {
        edited("{\"mediaType\"", "{ \"mediaType\"")
    }),
    attack("escaped-spelling", || {
        edited("\"apps/web\"", "\"apps\\/web\"")
    }),
    attack("number-spelled-otherwise", || {
        edited("\"volume\":1,", "\"volume\":1.0,")
    }),
    attack("text-behind-the-inventory", || {
        edited_whole(|text| text + "{}")
    }),
    attack("null-for-an-absent-field", || {
        edited("\"audience\"", "\"expires\":null,\"audience\"")
    }),
    attack("inventory-that-is-no-json", || {
        edited_whole(|_| "hello".to_owned())
    }),
    attack("empty-inventory", || edited_whole(|_| String::new())),
    attack("inventory-nested-deeply", || {
        edited_whole(|_| "[".repeat(100_000))
    }),
    attack("inventory-that-is-no-utf-8", || {
        let mut anatomy = image();
        let data = &mut anatomy.entry_mut(END).data;
        let at = data
            .windows(4)
            .position(|w| w == b"apps")
            .expect("a repository");
        data[at] = 0xff;
        Files::Plain(anatomy.write())
    }),
    attack("offset-overlap", || {
        edited("\"offset\":2560", "\"offset\":1536")
    }),
    attack("offset-gap", || {
        edited("\"offset\":2560", "\"offset\":3072")
    }),
    attack("offset-beyond-the-end", || {
        edited("\"offset\":2560", "\"offset\":1000000000")
    }),
    attack("offset-of-u64-max", || {
        edited("\"offset\":2560", "\"offset\":18446744073709551615")
    }),
    attack("offset-negative", || {
        edited("\"offset\":2560", "\"offset\":-1")
    }),
    attack("offset-of-zero", || {
        edited("\"offset\":512", "\"offset\":0")
    }),
    attack("last-size-of-u64-max", || {
        // The last row is that of the signature's manifest; nothing behind it is listed.
        edited_whole(|text| {
            let at = text.rfind("\"size\":").expect("a row") + 7;
            let end = at + text[at..].find(',').expect("more fields");
            format!("{}18446744073709551615{}", &text[..at], &text[end..])
        })
    }),
    attack("guard-profile-in-a-plain-volume", || {
        edited("\"plain\"", "\"guard\"")
    }),
    attack("unknown-profile", || edited("\"plain\"", "\"denser\"")),
    attack("unknown-encoding", || {
        edited("\"encoding\":\"raw\"", "\"encoding\":\"lz4\"")
    }),
    attack("encoding-of-the-other-profile", || {
        edited("\"encoding\":\"raw\"", "\"encoding\":\"tar\"")
    }),
    attack("volume-zero-of-zero", || {
        edited("\"volume\":1,\"volumes\":1", "\"volume\":0,\"volumes\":0")
    }),
    attack("volume-two-of-one", || {
        edited("\"volume\":1,", "\"volume\":2,")
    }),
    attack("volume-one-of-four-billion", || {
        edited_whole(|text| {
            let at = text.find("\"artifacts\":[").expect("the list") + 13;
            let end = text.find("],\"contents\"").expect("the next list");
            let text = format!("{}{}", &text[..at], &text[end..]);
            text.replace("\"volumes\":1", "\"volumes\":4294967295")
        })
    }),
    attack("past-with-too-many-events", || {
        told(|past| past.events = vec![past.events[0].clone(); 33])
    }),
    attack("past-with-a-text-that-is-too-long", || {
        told(|past| past.events[0].comment = Some("x".repeat(1025)))
    }),
    attack("past-with-a-comment-that-is-too-long", || {
        told(|past| past.comment = Some("x".repeat(1025)))
    }),
    attack("past-with-control-characters", || {
        told(|past| past.events[0].who = Some("\u{1b}[2J\u{202e}ops".to_owned()))
    }),
    attack("past-of-something-else", || {
        told(|past| past.events[0].digest = Digest::sha256(b"something else"))
    }),
    attack("bundle-name-with-dots", || {
        edited("\"name\":\"bundle\"", "\"name\":\"../bundle\"")
    }),
    attack("bundle-name-of-61-characters", || {
        edited(
            "\"name\":\"bundle\"",
            &format!("\"name\":\"{}\"", "b".repeat(61)),
        )
    }),
    attack("set-that-is-no-hex", || {
        edited("\"set\":\"0123", "\"set\":\"../3")
    }),
    attack("sequence-without-a-pipeline", || {
        edited("\"audience\"", "\"sequence\":1,\"audience\"")
    }),
    attack("assumed-content", || {
        let digest = format!("sha256:{}", "0".repeat(64));
        let row = format!(
            "{{\"mediaType\":\"a/b\",\"digest\":\"{digest}\",\"size\":1,\"repositories\":[0]}}"
        );
        edited("\"assumed\":[]", &format!("\"assumed\":[{row}]"))
    }),
    attack("digest-in-upper-case", || {
        edited("\"digest\":\"sha256:", "\"digest\":\"SHA256:")
    }),
    attack("digest-with-dots", || {
        edited("\"digest\":\"sha256:", "\"digest\":\"sha256:../../")
    }),
    attack("end-of-another-version", || {
        with_end(|text| text.replace("airlift 1", "airlift 2"))
    }),
    attack("end-of-a-hostile-version", || {
        with_end(|text| text.replace("airlift 1", "airlift \u{1b}[2J"))
    }),
    attack("end-without-an-inventory", || {
        with_end(|text| text.replace("inventory", "inventary"))
    }),
    attack("end-with-an-offset-of-zero", || {
        with_end(|text| with_number(&text, 1, 0))
    }),
    attack("end-with-an-offset-of-u64-max", || {
        with_end(|text| with_number(&text, 1, u64::MAX))
    }),
    attack("end-with-a-huge-inventory", || {
        with_end(|text| with_number(&text, 2, 65 << 20))
    }),
    attack("end-with-signatures-of-u64-max", || {
        with_end(|text| with_number(&text, 4, u64::MAX))
    }),
    attack("end-with-a-sign", || {
        with_end(|text| text.replace("inventory ", "inventory +"))
    }),
    attack("inventory-of-65-mib", || {
        let mut anatomy = image();
        let position = anatomy.position(END);
        anatomy.entries[position] = Entry::new(END, &vec![b' '; 65 << 20]);
        Files::Plain(anatomy.write())
    }),
];

fn image() -> Anatomy {
    Forge::image().lay().signed_by(&[KEY])
}

fn edited_whole(edit: impl FnOnce(String) -> String) -> Files {
    Files::Plain(image().with_inventory(edit).write())
}

/// An image that tells of one promotion, changed and signed.
fn told(change: impl FnOnce(&mut Past)) -> Files {
    let mut forge = Forge::image();
    let mut past = Past {
        who: Some("ops (1000)".to_owned()),
        comment: None,
        events: vec![ToldEvent {
            digest: forge.inventory.artifacts[0].root.digest.clone(),
            kind: ToldKind::Promoted,
            time: "2026-11-22T11:16:06Z".parse().expect("a time"),
            who: Some("ops (1000)".to_owned()),
            comment: None,
            pipeline: None,
            source: None,
            target: None,
            bundle: None,
            inventory: None,
        }],
    };
    change(&mut past);
    forge.inventory.past = Some(past);
    Files::Plain(forge.write(&[KEY]))
}

/// The first `from` of the inventory is `to`; the key signs it.
fn edited(from: &str, to: &str) -> Files {
    edited_whole(|text| text.replacen(from, to, 1))
}

fn with_end(edit: impl FnOnce(String) -> String) -> Files {
    let mut anatomy = image();
    let stream = anatomy.tar_stream();
    let end = &stream[stream.len() - 1536..stream.len() - 1024];
    let text = String::from_utf8(end.to_vec()).expect("it is ASCII");
    anatomy.end_text = Some(edit(text).trim_end_matches([' ', '\n']).to_owned() + "\n");
    Files::Plain(anatomy.write())
}

/// The text with another number at `place`, counted from 1 behind `airlift 1`.
fn with_number(text: &str, place: usize, number: u64) -> String {
    let lines: Vec<&str> = text.lines().take(3).collect();
    let mut words: Vec<Vec<String>> = lines[1..]
        .iter()
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect();
    words[(place - 1) / 2][1 + (place - 1) % 2] = number.to_string();
    let lines: Vec<String> = words.iter().map(|line| line.join(" ")).collect();
    format!("airlift 1\n{}\n", lines.join("\n"))
}
