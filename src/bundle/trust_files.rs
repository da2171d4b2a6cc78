//! Reads trusted keys from files and directories, and refuses what somebody else could have put there.
//!
//! **Invariants.** A key file, and the directory that lists it, belong to root or to the user, and nobody
//! else may write to them. `<key id>.revoked` beside a key wins, whether the key was named by itself or by
//! its directory; a revocation that cannot be read is an error, never overlooked.

use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::key::{InvalidKey, KeyId, PublicKey};
use super::trust::TrustedKeys;
use crate::content::{self, RootedDirectory};

const KEY_FILE_SIZE_MAX_BYTES: u64 = 64 << 10;
const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// A file that should hold a trusted key.
#[derive(Debug, thiserror::Error)]
pub enum InvalidTrust {
    #[error("cannot use `{name}` as a trusted key")]
    Key {
        name: String,
        #[source]
        cause: InvalidKey,
    },
    #[error("cannot trust what is in `{0}`: others than root and you may write to it")]
    WritableByOthers(String),
    #[error("cannot use `{0}`: a revocation is named `<key id>.revoked`, 16 lower-case hex digits")]
    UnreadableRevocation(String),
    #[error("the trust directory `{0}` holds no `*.pub` file")]
    Empty(String),
    #[error(transparent)]
    Content(#[from] content::Error),
}

impl TrustedKeys {
    /// Adds every `*.pub` of a trust directory for the pipelines, and every `<key id>.revoked`.
    pub fn read_directory(
        &mut self,
        path: &Path,
        pipelines: &[String],
    ) -> Result<(), InvalidTrust> {
        let directory = RootedDirectory::open(path)?;
        check_owner(&read_status(path)?, &path.display().to_string())?;
        let mut has_key = false;
        for name in directory.names()? {
            if name.ends_with(".pub") {
                let key = read_key_file(&directory, &name)?;
                self.add(key, pipelines.to_vec());
                has_key = true;
            }
        }
        self.read_revocations(&directory)?;
        if has_key {
            Ok(())
        } else {
            Err(InvalidTrust::Empty(path.display().to_string()))
        }
    }

    /// Adds one key for the pipelines, and the revocations beside it.
    pub fn read_file(&mut self, path: &Path, pipelines: &[String]) -> Result<(), InvalidTrust> {
        let failed = |cause| content::Error::io(format!("cannot open `{}`", path.display()), cause);
        // The operator names this path, so it may lead through links; what it leads to may not change.
        let path = path.canonicalize().map_err(failed)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let directory = RootedDirectory::open(folder)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let key = read_key_file(&directory, &name)?;
        self.add(key, pipelines.to_vec());
        self.read_revocations(&directory)
    }

    fn read_revocations(&mut self, directory: &RootedDirectory) -> Result<(), InvalidTrust> {
        for name in directory.names()? {
            let Some(stem) = name.strip_suffix(".revoked") else {
                continue;
            };
            let id: KeyId = stem.parse().map_err(|()| {
                InvalidTrust::UnreadableRevocation(
                    directory.path().join(&name).display().to_string(),
                )
            })?;
            self.revoke(id);
        }
        Ok(())
    }
}

fn read_status(path: &Path) -> Result<Metadata, InvalidTrust> {
    let failed = |cause| content::Error::io(format!("cannot inspect `{}`", path.display()), cause);
    Ok(std::fs::metadata(path).map_err(failed)?)
}

/// In a sticky directory others may add files, but the owner of each file is looked at as well.
fn check_owner(status: &Metadata, shown: &str) -> Result<(), InvalidTrust> {
    let is_ours = [0, rustix::process::geteuid().as_raw()].contains(&status.uid());
    let is_protected = status.mode() & WRITABLE_BY_OTHERS == 0 || status.mode() & STICKY != 0;
    if is_ours && is_protected {
        Ok(())
    } else {
        Err(InvalidTrust::WritableByOthers(shown.to_owned()))
    }
}

fn read_key_file(directory: &RootedDirectory, name: &str) -> Result<PublicKey, InvalidTrust> {
    let shown = directory.path().join(name).display().to_string();
    let failed = |cause| content::Error::io(format!("cannot read `{shown}`"), cause);
    let file = directory.open_file(name)?;
    check_owner(&file.metadata().map_err(failed)?, &shown)?;
    let mut pem = String::new();
    file.take(KEY_FILE_SIZE_MAX_BYTES)
        .read_to_string(&mut pem)
        .map_err(failed)?;
    PublicKey::parse(&pem).map_err(|cause| InvalidTrust::Key { name: shown, cause })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::bundle::SigningKey;
    use crate::bundle::key::{KeyAlgorithm, generate_key};
    use crate::bundle::trust::{FoundSignatures, NotTrusted, Signature, SignaturePolicy};

    struct Directory {
        directory: tempfile::TempDir,
        key: SigningKey,
    }

    fn directory_with_key() -> Directory {
        let directory = tempfile::tempdir().unwrap();
        let (pem, public) = generate_key(KeyAlgorithm::EcdsaP256, None).unwrap();
        let path = directory.path().join("k.pub");
        fs::write(&path, public.to_pem().unwrap()).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        Directory {
            directory,
            key: SigningKey::parse(&pem, None).unwrap(),
        }
    }

    fn authenticate(keys: TrustedKeys, key: &SigningKey) -> Result<(), NotTrusted> {
        let signature = Signature {
            key_id: key.public().id().clone(),
            bytes: key.sign(b"message").unwrap(),
        };
        let policy = SignaturePolicy::Require { keys, threshold: 1 };
        let signatures = FoundSignatures {
            inside: &[signature],
            beside: &[],
        };
        policy.authenticate(b"message", signatures)
    }

    #[test]
    fn a_revocation_beside_a_key_counts_for_the_file_too() {
        let Directory { directory, key } = directory_with_key();
        let id = key.public().id();
        fs::write(directory.path().join(format!("{id}.revoked")), "").unwrap();
        let mut keys = TrustedKeys::default();
        keys.read_file(&directory.path().join("k.pub"), &[])
            .unwrap();
        assert_eq!(
            authenticate(keys, &key),
            Err(NotTrusted::Revoked(id.clone()))
        );
    }

    #[test]
    fn a_revocation_that_names_no_key_is_not_overlooked() {
        let Directory { directory, key } = directory_with_key();
        let name = format!(
            "{}.revoked",
            key.public().id().to_string().to_uppercase() + "X"
        );
        fs::write(directory.path().join(name), "").unwrap();
        let read = TrustedKeys::default().read_directory(directory.path(), &[]);
        assert!(matches!(read, Err(InvalidTrust::UnreadableRevocation(_))));
    }

    #[test]
    fn a_key_that_others_could_have_written_is_refused() {
        let Directory { directory, .. } = directory_with_key();
        let file = directory.path().join("k.pub");
        fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        let refused = |read| matches!(read, Err(InvalidTrust::WritableByOthers(_)));
        assert!(refused(TrustedKeys::default().read_file(&file, &[])));
        assert!(refused(
            TrustedKeys::default().read_directory(directory.path(), &[])
        ));
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(refused(
            TrustedKeys::default().read_directory(directory.path(), &[])
        ));
    }
}
