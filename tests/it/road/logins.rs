//! Logins on the road: no request too many, and no token asked for twice.

use std::collections::BTreeSet;

use airlift::content::{ErrorKind, Source};
use airlift::registry::Credentials;
use secrecy::SecretString;

use super::{Journey, text_of};
use crate::support::artifacts::{FiveNodes, five_nodes};
use crate::support::registry::{Auth, Authorization, Bearer, Fault, Login, Registry, When};
use crate::support::snapshot::assert_same;

fn seeded(auth: Auth) -> (FiveNodes, Registry, [String; 1]) {
    let five = five_nodes();
    let registry = Registry::with(|behaviour| behaviour.auth = auth);
    registry.seed(&five.memory);
    let reference = format!("{}/{}:{}", registry.address(), five.repository, five.tag);
    (five, registry, [reference])
}

/// Every path once: no probe, no question twice, no login that nobody asked for.
#[tokio::test]
async fn an_open_registry_gets_no_request_too_many() {
    let (five, source, references) = seeded(Auth::Open);
    let (journey, target) = (Journey::new(), Registry::start());
    journey.export(&references).await.unwrap();
    journey.import(&target.address()).await.unwrap();
    assert_same(&target.snapshot(), &five.memory.snapshot());
    for registry in [&source, &target] {
        let all = registry.log().all();
        assert!(all.iter().all(|r| r.authorization == Authorization::None));
        assert_eq!(registry.log().count("*", "/token"), 0);
    }
    assert_eq!(
        source.log().count("GET", "/v2/?"),
        0,
        "nobody asked to probe"
    );
    let asked: Vec<_> = source.log().all();
    let distinct: BTreeSet<_> = asked.iter().map(|r| (r.method.as_str(), &r.path)).collect();
    assert_eq!(asked.len(), distinct.len(), "{}", source.log().lines());
    assert_eq!(
        target.log().count("GET", "/v2/?"),
        1,
        "one probe before anything is pushed"
    );
}

/// On one thread all sixteen set out before the first answer is read.
#[tokio::test]
async fn sixteen_requests_at_once_need_one_token() {
    let (five, source, _) = seeded(Auth::Bearer(Bearer::open()));
    let mut journey = Journey::new();
    journey.registry_options.concurrent_requests_max = 16;
    let client = journey.connections().registry(&source.address()).unwrap();
    let asks = (0..16).map(|_| client.has(&five.repository, &five.m0.descriptor));
    let found = futures_util::future::try_join_all(asks).await.unwrap();
    assert_eq!(found, [true; 16]);
    let log = source.log();
    assert_eq!(log.count("GET", "/token"), 1, "{}", log.lines());
    let refused = log.matching("HEAD", "/manifests/");
    let refused = refused.iter().filter(|r| r.status == Some(401)).count();
    assert_eq!(refused, 1, "one request finds out, the others wait");
    // The registry is known now, and this repository needs another token.
    let other = "apps/other".parse().unwrap();
    let asks = (0..16).map(|_| client.has(&other, &five.m0.descriptor));
    let found = futures_util::future::try_join_all(asks).await.unwrap();
    assert_eq!(found, [false; 16]);
    assert_eq!(log.count("GET", "/token"), 2, "{}", log.lines());
}

/// On the whole road each set of scopes is fetched once.
#[tokio::test]
async fn every_token_is_asked_for_once() {
    let (five, source, references) = seeded(Auth::Bearer(Bearer::open()));
    let target = Registry::with(|behaviour| behaviour.auth = Auth::Bearer(Bearer::open()));
    let journey = Journey::new();
    journey.export(&references).await.unwrap();
    journey.import(&target.address()).await.unwrap();
    assert_same(&target.snapshot(), &five.memory.snapshot());
    assert_eq!(source.log().count("GET", "/token"), 1);
    let asked: Vec<String> = target
        .log()
        .matching("GET", "/token")
        .into_iter()
        .map(|r| r.query)
        .collect();
    let distinct: BTreeSet<&String> = asked.iter().collect();
    assert_eq!(asked.len(), distinct.len(), "{asked:#?}");
}

#[tokio::test]
async fn a_token_service_that_is_down_for_a_moment_is_asked_again() {
    let (_, source, references) = seeded(Auth::Bearer(Bearer::open()));
    source.fault(When::get("/token"), Fault::Status(503));
    Journey::new().export(&references).await.unwrap();
    assert_eq!(source.log().count("GET", "/token"), 2);
}

#[tokio::test]
async fn a_token_service_that_stays_down_is_named_as_such() {
    let (_, source, references) = seeded(Auth::Bearer(Bearer::open()));
    source.fault(When::get("/token").always(), Fault::Status(503));
    let error = Journey::new().export(&references).await.unwrap_err();
    assert!(
        error.is_temporary(),
        "not a refused login: {}",
        text_of(&error)
    );
    assert!(text_of(&error).contains("503"), "{}", text_of(&error));
}

#[tokio::test]
async fn a_token_that_ends_on_the_way_is_replaced() {
    let bearer = Bearer {
        uses: Some(2),
        ..Bearer::open()
    };
    let (five, source, references) = seeded(Auth::Bearer(bearer));
    let (journey, target) = (Journey::new(), Registry::start());
    journey.export(&references).await.unwrap();
    journey.import(&target.address()).await.unwrap();
    assert_same(&target.snapshot(), &five.memory.snapshot());
    assert!(source.log().count("GET", "/token") > 1);
}

#[tokio::test]
async fn a_wrong_password_is_denied_on_its_side_and_not_tried_again() {
    let login = Login::new("ship", "right");
    let auths = [Auth::Basic(login.clone()), Auth::Bearer(Bearer::of(login))];
    for auth in auths {
        let (_, source, references) = seeded(auth);
        let mut journey = Journey::new();
        journey.registry_options.credentials = Credentials::Basic {
            username: "ship".to_owned(),
            password: SecretString::from("wr0ng-secret"),
        };
        let error = journey.export(&references).await.unwrap_err();
        let text = text_of(&error);
        assert_eq!(error.kind(), ErrorKind::Denied, "{text}");
        assert!(text.starts_with("source: "), "{text}");
        assert!(!text.contains("wr0ng-secret"), "{text}");
        assert!(source.log().all().len() <= 3, "{}", source.log().lines());
    }
}
