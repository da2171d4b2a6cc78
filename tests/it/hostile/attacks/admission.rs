//! Bundles that are signed and whole, and not for here or not for now.

use airlift::bundle::Pipeline;

use super::{Attack, Files, KEY, attack, attack_on};
use crate::hostile::forge::Forge;

const TRUST_AND_LANE: &[&str] = &["--trust", "../keys/snakeoil-p256.pub", "--lane", "ship-2"];
const TRUST_AND_SEQUENCE: &[&str] = &[
    "--trust",
    "../keys/snakeoil-p256.pub",
    "--min-sequence",
    "5",
];

pub(super) const ATTACKS: &[Attack] = &[
    attack_on("wrong-audience", TRUST_AND_LANE, || {
        Files::Plain(for_lane("ship-1").write(&[KEY]))
    }),
    attack("an-audience-where-there-is-no-lane", || {
        Files::Plain(for_lane("ship-1").write(&[KEY]))
    }),
    attack("an-audience-with-control-characters", || {
        Files::Plain(for_lane("\u{1b}[2J\u{202e}ship").write(&[KEY]))
    }),
    attack("expired", || {
        let mut forge = Forge::image();
        forge.inventory.created = "2020-01-01T00:00:00Z".parse().expect("a time");
        forge.inventory.expires = Some("2020-02-01T00:00:00Z".parse().expect("a time"));
        Files::Plain(forge.write(&[KEY]))
    }),
    attack_on("replay", TRUST_AND_SEQUENCE, || {
        Files::Plain(of_pipeline("plant", 4).write(&[KEY]))
    }),
    attack("fork", || {
        let mut other = of_pipeline("plant", 4);
        other.inventory.audience.clear();
        "other".clone_into(&mut other.inventory.name);
        Files::Many(vec![
            ("bundle.tar.zst", of_pipeline("plant", 4).write(&[KEY])),
            ("other.tar.zst", other.write(&[KEY])),
        ])
    }),
    attack("fork-with-a-hostile-name", || {
        let mut other = of_pipeline("plant\u{1b}[31m\n", 4);
        "other".clone_into(&mut other.inventory.name);
        Files::Many(vec![
            (
                "bundle.tar.zst",
                of_pipeline("plant\u{1b}[31m\n", 4).write(&[KEY]),
            ),
            ("other.tar.zst", other.write(&[KEY])),
        ])
    }),
];

fn for_lane(lane: &str) -> Forge {
    let mut forge = Forge::image();
    forge.inventory.audience = vec![lane.to_owned()];
    forge
}

pub(super) fn of_pipeline(name: &str, sequence: u64) -> Forge {
    let mut forge = Forge::image();
    forge.inventory.pipeline = Some(Pipeline {
        name: name.to_owned(),
        id: "00112233445566778899aabbccddeeff".to_owned(),
    });
    forge.inventory.sequence = Some(sequence);
    forge
}
