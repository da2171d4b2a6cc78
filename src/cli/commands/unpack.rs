//! `airlift unpack`: a bundle as an OCI image layout directory that other tools read.

use clap::Args;

use super::import::DeliveryArguments;
use crate::cli::container_args::parse_container;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::output::Output;
use crate::cli::tag_args::Before;
use crate::pipeline::{AssumedWithin, RepositoryCreation, TargetReference};
use crate::storage::ContainerReference;

/// Turn a bundle into an OCI image layout directory
///
/// Names in the layout are `REPOSITORY:TAG`, so `skopeo copy oci:DIR:REPOSITORY:TAG …` finds them.
///
/// Example: airlift unpack web.tar.zst <oci:/srv/layout> --trust ops.key.pub
#[derive(Args)]
pub(in crate::cli) struct UnpackArguments {
    /// A bundle, or a directory of them
    #[arg(value_name = "BUNDLE", value_parser = parse_container)]
    bundle: ContainerReference,

    /// The layout directory: `oci:DIR`
    #[arg(value_name = "oci:DIR")]
    target: String,

    #[command(flatten)]
    delivery: DeliveryArguments,
}

pub(in crate::cli) async fn run(
    arguments: UnpackArguments,
    output: Output,
) -> anyhow::Result<Exit> {
    let Ok(target @ TargetReference::Layout { .. }) = arguments.target.parse() else {
        let error = UsageError::new(format!("`{}` is not a layout directory", arguments.target))
            .hint("expected `oci:DIR`; to deliver to a registry, use `airlift import`");
        return Err(error.into());
    };
    // Whoever names a layout of their own means all of it.
    let before = Before {
        assumed: AssumedWithin {
            listed: vec!["**".parse()?],
            ..AssumedWithin::default()
        },
        ..Before::default()
    };
    arguments
        .delivery
        .deliver(
            &[arguments.bundle],
            (&target, before, RepositoryCreation::None),
            None,
            output,
        )
        .await
}
