//! One suite for every place that holds artifacts: what `content::Source` and `content::Target` promise.
//!
//! A place that can be written joins with one line in `places!` and a function that makes a `Place`; one that
//! is only read (a bundle) joins in `readings!` with a function from a filled `Memory` to a `Reading`.

mod place;
mod reading;
mod real_places;
mod writing;

use place::{Place, Reading};

/// One test for each check. A place that cannot be had here is skipped, and has said why.
macro_rules! checks {
    ($suite:ident, $make:expr; $($check:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $check() {
            if let Some(place) = $make {
                $suite::$check(&place).await;
            }
        })*
    };
}
/// The suite for places that can be written, once for each. Reading is tested on what was pushed.
macro_rules! places {
    ($($name:ident: $make:path;)*) => {
        $(mod $name {
            use super::{place::filled, reading, writing};

            checks!(writing, $make().await;
                pushed_content_is_there_and_nothing_else
                pushing_twice_is_harmless
                wrong_content_is_refused_and_not_stored
                a_blob_can_come_from_another_repository
                a_mount_from_the_wrong_place_is_a_push
                large_blobs_arrive_whole
                a_manifest_without_its_tag_has_no_tag
                a_tag_moves
                referrers_are_found_when_linked
            );
            checks!(reading, filled($make().await).await;
                manifests_come_byte_for_byte
                blobs_come_in_any_range
                absent_is_said_definitely
                tags_are_listed
                repositories_are_listed
                referrers_are_listed
                every_content_is_verified_from_end_to_end
            );
        })*
    };
}

/// The suite for places that can only be read, once for each.
macro_rules! readings {
    ($($name:ident: $make:path;)*) => {
        $(mod $name {
            use super::{place::samples, reading};

            checks!(reading, $make(samples()).await;
                manifests_come_byte_for_byte
                blobs_come_in_any_range
                absent_is_said_definitely
                tags_are_listed
                repositories_are_listed
                referrers_are_listed
                every_content_is_verified_from_end_to_end
            );
        })*
    };
}

places! {
    memory: crate::conformance::place::memory;
    fake_registry: crate::conformance::real_places::fake_registry;
    fake_registry_without_referrers: crate::conformance::real_places::fake_registry_without_referrers;
    docker_registry: crate::conformance::real_places::docker_registry;
    layout: crate::conformance::real_places::layout;
}

readings! {
    filled_memory: crate::conformance::place::filled_memory;
    bundle: crate::conformance::real_places::bundle;
    bundle_of_volumes: crate::conformance::real_places::bundle_of_volumes;
}
