use super::*;
use crate::registry::tests::fake::{Fake, options, reply};

#[tokio::test]
async fn an_identity_token_is_exchanged_and_falls_back() {
    let login = Login::Identity("refresh me".to_owned().into());
    for (exchange, requests) in [(200, 1), (404, 2), (405, 2)] {
        let fake = Fake::start(move |seen| match seen.method.as_str() {
            "POST" => reply(exchange, &[], r#"{"access_token":"a"}"#),
            _ => reply(200, &[], r#"{"access_token":"a"}"#),
        })
        .await;
        let wire = Wire::new(&fake.host, options()).unwrap();
        let service = TokenService {
            realm: wire.base.join("/token").unwrap(),
            service: None,
        };
        let tokens = Tokens::default();
        let token = tokens.get(&wire, &service, &login, &[Scope::Catalog]).await;
        assert_eq!(token.unwrap().expose_secret(), "a");
        let log = fake.log();
        assert_eq!(log.len(), requests);
        let form = String::from_utf8(log[0].body.to_vec()).unwrap();
        assert!(form.contains("grant_type=refresh_token"), "{form}");
        assert!(form.contains("refresh_token=refresh+me"), "{form}");
        assert_eq!(log[0].target, "/token", "secrets stay out of the URL");
    }
}
