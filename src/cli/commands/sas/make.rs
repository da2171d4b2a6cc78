//! `airlift sas make`: signs with an account key, or with a key that the service gives to who has logged in.

use anyhow::Context;
use clap::{ArgGroup, Args};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::cli::container_args::parse_container;
use crate::cli::exit::Exit;
use crate::cli::failure::UsageError;
use crate::cli::moment::{Moment, parse_moment};
use crate::cli::output::Output;
use crate::config::{
    InvalidSecretReference, SecretReference, azure_client_options, entra_credential,
};
use crate::storage::sas::{
    DELEGATION_MAX, IpRange, Permissions, Protocols, SasRequest, sign_with_account_key,
    sign_with_delegation_key,
};
use crate::storage::{AzureReference, ContainerReference};

#[derive(Args)]
#[command(group = ArgGroup::new("key").required(true))]
pub(super) struct MakeArguments {
    /// `https://ACCOUNT.blob.core.windows.net/CONTAINER[/OBJECT]`
    #[arg(value_name = "URL", value_parser = parse_container)]
    place: ContainerReference,

    /// Where the storage account's key is: `env:NAME`, `file:PATH`, `exec:PROGRAM`, `azure-key-vault:URL`
    #[arg(long, value_name = "SECRET", group = "key")]
    account_key: Option<String>,

    /// Sign with a key that the service gives to you, logged in to Entra; for at most 7 days
    #[arg(long, group = "key")]
    user_delegation: bool,

    /// What to allow, by letter or by word: `rl`, `read,list`
    #[arg(long, value_name = "PERMISSIONS")]
    permissions: Permissions,

    /// Until when: `8h`, `7d`, or a time such as `2027-01-31T00:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    expires: Moment,

    /// From when; without it at once, whatever the clocks say
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    start: Option<Moment>,

    /// Only for requests from this address or range, such as `192.0.2.1-192.0.2.9`
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpRange>,

    /// Allow it to be used without TLS too
    #[arg(long)]
    allow_http: bool,
}

pub(super) async fn run(arguments: MakeArguments, output: Output) -> anyhow::Result<Exit> {
    let now = Timestamp::now();
    let azure = arguments.azure()?;
    let request = arguments.request(azure, now)?;
    let sas = arguments.sign(azure, &request, now).await?;
    let url = format!("{}?{}", arguments.place, sas.expose_secret());
    let document = json!({
        "url": url,
        "sas": sas.expose_secret(),
        "permissions": request.permissions.to_string(),
        "start": request.start,
        "expires": request.expires,
    });
    output.print(&url, &document)?;
    if azure.endpoint.scheme() == "http" && !arguments.allow_http {
        Output::warn(&format!(
            "`{}` is without TLS and the signature is for https only, so every command refuses the two together; `--allow-http` makes one that can be used",
            arguments.place
        ));
    }
    Output::note(&format!(
        "this is a secret: who has it can {} until {}; keep it in a file and name that with `file:PATH`",
        request.permissions.words(),
        request.expires,
    ));
    Ok(Exit::Done)
}

impl MakeArguments {
    fn azure(&self) -> anyhow::Result<&AzureReference> {
        match &self.place {
            ContainerReference::Azure(azure)
                if azure.sas.is_none() && azure.credential.is_none() =>
            {
                Ok(azure)
            }
            ContainerReference::Azure(_) => {
                let error = UsageError::new(format!("the URL of `{}` has a query", self.place))
                    .hint("give the URL without `?` and what follows it");
                Err(error.into())
            }
            other => {
                let error = UsageError::new(format!("`{other}` is no Azure container"))
                    .hint("expected `https://ACCOUNT.blob.core.windows.net/CONTAINER[/OBJECT]`");
                Err(error.into())
            }
        }
    }

    fn request(&self, azure: &AzureReference, now: Timestamp) -> anyhow::Result<SasRequest> {
        let out_of_range = || UsageError::new("no calendar has this time");
        let whole = |time: Timestamp| Timestamp::from_second(time.as_second());
        let start = match self.start {
            Some(start) => Some(whole(start.counted_from(now).ok_or_else(out_of_range)?)?),
            None => None,
        };
        let from = start.map_or(now, |start| start.max(now));
        let expires = whole(self.expires.counted_from(from).ok_or_else(out_of_range)?)?;
        if expires <= now {
            return Err(UsageError::new(format!("`--expires` is over: {expires}")).into());
        }
        if self.user_delegation && expires.duration_since(from) > DELEGATION_MAX {
            let error = UsageError::new("a user delegation signature lives for 7 days at most");
            return Err(error.hint("say `--expires 7d`, or less").into());
        }
        let request = SasRequest {
            account: azure.account.clone(),
            container: azure.container.clone(),
            object: (!azure.prefix.is_empty()).then(|| azure.prefix.clone()),
            permissions: self.permissions.clone(),
            start,
            expires,
            protocols: match self.allow_http {
                true => Protocols::HttpToo,
                false => Protocols::HttpsOnly,
            },
            ip: self.ip,
        };
        request
            .check()
            .map_err(|error| UsageError::new(error.to_string()))?;
        Ok(request)
    }

    async fn sign(
        &self,
        azure: &AzureReference,
        request: &SasRequest,
        now: Timestamp,
    ) -> anyhow::Result<SecretString> {
        let place = || format!("cannot sign for `{}`", self.place);
        let Some(key) = &self.account_key else {
            let identity = entra_credential()?;
            let client = azure_client_options()?;
            return sign_with_delegation_key(request, &azure.endpoint, identity, client, now)
                .await
                .with_context(place);
        };
        let reference: SecretReference = key.parse().map_err(|error: InvalidSecretReference| {
            UsageError::new(format!("`--account-key`: {error}"))
                .hint("the key itself would be seen by everybody on this machine")
        })?;
        let key = reference.resolve().await?;
        sign_with_account_key(request, &key).with_context(place)
    }
}
