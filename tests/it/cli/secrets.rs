//! Secrets are never printed: not in results, not in errors, not in the most talkative log.

use super::{Desk, registry_with_layers};
use crate::support::base64;
use crate::support::registry::{Auth, Bearer, Login};

const PASSWORD: &str = "correct-horse-battery";

#[test]
fn passwords_and_tokens_stay_out_of_every_output() {
    let desk = Desk::with_bundle();
    let registry = registry_with_layers();
    let host = registry.address();
    let encoded = base64::encode(format!("ops:{PASSWORD}").as_bytes());
    let config = format!(r#"{{"auths":{{"{host}":{{"auth":"{encoded}"}}}}}}"#);
    let login = Login::new("ops", PASSWORD);
    let wrong = Login::new("ops", "another");
    let doors = [
        Auth::Basic(login.clone()),
        Auth::Bearer(Bearer::of(login)),
        Auth::Basic(wrong.clone()),
        Auth::Bearer(Bearer::of(wrong)),
    ];
    for door in doors {
        registry.behave(|it| it.auth = door);
        for line in [
            format!("export {host}/apps/web:1.4 --container out --unsigned --log trace"),
            format!("import usb --target {host} --trust ops.key.pub --log trace"),
            format!("list {host} --log trace --output json"),
        ] {
            let output = desk
                .command(&line)
                .home_file(".docker/config.json", &config)
                .run();
            output.assert_nowhere(PASSWORD).assert_nowhere(&encoded);
            for header in ["Bearer ey", "Basic b3"] {
                output.assert_nowhere(header);
            }
        }
    }
}

#[test]
fn passphrases_stay_out_of_every_output() {
    let desk = Desk::new();
    let run = |line: &str, passphrase: &str| {
        let command = desk.command(&format!("{line} --log trace"));
        command.env("AIRLIFT_KEY_PASSPHRASE", passphrase).run()
    };
    run("key generate --out new.key --encrypt", PASSWORD)
        .assert_success()
        .assert_nowhere(PASSWORD);
    let export = "export oci:near/helm-chart --container usb --sign-key new.key";
    run(export, PASSWORD)
        .assert_success()
        .assert_nowhere(PASSWORD);
    run(export, "battery-staple")
        .assert_code(1)
        .assert_nowhere("battery-staple");
    run("--help", PASSWORD).assert_nowhere(PASSWORD);
}
