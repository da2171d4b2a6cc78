//! Keys and raw signatures: ECDSA P-256 with SHA-256, and Ed25519.
//!
//! Private keys are PKCS#8 PEM, encrypted or not; public keys are SPKI PEM: the files that `openssl` makes
//! and reads. No certificates, no other curves.
//!
//! **Invariant.** The algorithm of a verification comes from the public key, never from a signature.
//! Specification: FORMAT.md, "Signatures"; RFC 5958 (PKCS#8), RFC 5480 and RFC 8410 (SPKI).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use pkcs8::der::pem::PemLabel;
use pkcs8::{Document, EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef, SecretDocument};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

use crate::oci::Digest;

/// What stands before the key in the SPKI of each algorithm; the rest is the key, of a fixed length.
const P256_SPKI_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
const P256_SPKI_BYTES: usize = 91;
const ED25519_SPKI_PREFIX: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const ED25519_SPKI_BYTES: usize = 44;
const PUBLIC_LABEL: &str = "PUBLIC KEY";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyAlgorithm {
    #[default]
    EcdsaP256,
    Ed25519,
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// The first 16 hex digits of the SHA-256 of a public key's SPKI.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    fn of(spki: &[u8]) -> Self {
        let mut hex = Digest::sha256(spki).hex();
        hex.truncate(16);
        Self(hex)
    }
}

impl FromStr for KeyId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 16 && text.bytes().all(is_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(())
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a file is not a key that can be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKey {
    #[error("the key is encrypted, and no passphrase was given")]
    Encrypted,
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
    #[error("the key is in SEC 1 form (`EC PRIVATE KEY`), which is not read")]
    Sec1,
    #[error("a private key stands where a public key is expected")]
    PrivateForPublic,
    #[error("a public key stands where a private key is expected")]
    PublicForPrivate,
    #[error("the file is not a PEM key")]
    NotPem,
    #[error("the key is neither ECDSA P-256 nor Ed25519")]
    UnknownAlgorithm,
    #[error("the cryptographic library refused to make or encode a key")]
    Library,
}

/// A public key that signatures are checked against.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
    algorithm: KeyAlgorithm,
    id: KeyId,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

impl PublicKey {
    pub fn parse(pem: &str) -> Result<Self, InvalidKey> {
        let (label, document) = Document::from_pem(pem.trim()).map_err(|_| InvalidKey::NotPem)?;
        match label {
            PUBLIC_LABEL => Self::from_spki(document.as_bytes()),
            label if label.ends_with("PRIVATE KEY") => Err(InvalidKey::PrivateForPublic),
            _ => Err(InvalidKey::NotPem),
        }
    }

    fn from_spki(spki: &[u8]) -> Result<Self, InvalidKey> {
        let algorithm = if spki.starts_with(P256_SPKI_PREFIX) && spki.len() == P256_SPKI_BYTES {
            KeyAlgorithm::EcdsaP256
        } else if spki.starts_with(ED25519_SPKI_PREFIX) && spki.len() == ED25519_SPKI_BYTES {
            KeyAlgorithm::Ed25519
        } else {
            return Err(InvalidKey::UnknownAlgorithm);
        };
        Ok(Self {
            id: KeyId::of(spki),
            spki: spki.to_vec(),
            algorithm,
        })
    }

    pub fn id(&self) -> &KeyId {
        &self.id
    }

    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Whether `signature` over `message` was made with the private half of this key.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &dyn signature::VerificationAlgorithm = match self.algorithm {
            KeyAlgorithm::EcdsaP256 => &signature::ECDSA_P256_SHA256_ASN1,
            KeyAlgorithm::Ed25519 => &signature::ED25519,
        };
        let key = &self.spki[..];
        UnparsedPublicKey::new(algorithm, key)
            .verify(message, signature)
            .is_ok()
    }

    /// The SPKI PEM file.
    pub fn to_pem(&self) -> Result<String, InvalidKey> {
        Document::try_from(&self.spki[..])
            .and_then(|document| document.to_pem(PUBLIC_LABEL, LineEnding::LF))
            .map_err(|_| InvalidKey::Library)
    }
}

enum Pair {
    EcdsaP256(Box<EcdsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

/// A private key that signs inventories.
pub struct SigningKey {
    pair: Pair,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, <redacted>)", self.public.id)
    }
}

impl SigningKey {
    /// Reads PKCS#8 PEM. `Encrypted` asks the caller to come back with a passphrase.
    pub fn parse(pem: &str, passphrase: Option<&SecretString>) -> Result<Self, InvalidKey> {
        let (label, document) =
            SecretDocument::from_pem(pem.trim()).map_err(|_| InvalidKey::NotPem)?;
        match label {
            PrivateKeyInfoRef::PEM_LABEL => Self::from_pkcs8(document.as_bytes()),
            EncryptedPrivateKeyInfoRef::PEM_LABEL => {
                let passphrase = passphrase.ok_or(InvalidKey::Encrypted)?;
                let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
                    .map_err(|_| InvalidKey::NotPem)?;
                let decrypted = encrypted
                    .decrypt(passphrase.expose_secret())
                    .map_err(|_| InvalidKey::WrongPassphrase)?;
                Self::from_pkcs8(decrypted.as_bytes())
            }
            "EC PRIVATE KEY" => Err(InvalidKey::Sec1),
            PUBLIC_LABEL => Err(InvalidKey::PublicForPrivate),
            _ => Err(InvalidKey::NotPem),
        }
    }

    fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, InvalidKey> {
        let ecdsa = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8);
        let (pair, spki) = if let Ok(pair) = ecdsa {
            let spki = pair.public_key().as_der();
            (Pair::EcdsaP256(Box::new(pair)), spki)
        } else {
            let pair =
                Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| InvalidKey::UnknownAlgorithm)?;
            let spki = pair.public_key().as_der();
            (Pair::Ed25519(pair), spki)
        };
        let spki = spki.map_err(|_| InvalidKey::Library)?;
        Ok(Self {
            pair,
            public: PublicKey::from_spki(spki.as_ref())?,
        })
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, InvalidKey> {
        match &self.pair {
            Pair::EcdsaP256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| InvalidKey::Library),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// A new private key as a PKCS#8 PEM file, encrypted where there is a passphrase, and its public key.
pub fn generate_key(
    algorithm: KeyAlgorithm,
    passphrase: Option<&SecretString>,
) -> Result<(Zeroizing<String>, PublicKey), InvalidKey> {
    let pkcs8 = match algorithm {
        KeyAlgorithm::EcdsaP256 => {
            EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_ASN1_SIGNING)
                .and_then(|pair| pair.to_pkcs8v1())
        }
        KeyAlgorithm::Ed25519 => Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()),
    }
    .map_err(|_| InvalidKey::Library)?;
    let public = SigningKey::from_pkcs8(pkcs8.as_ref())?.public;
    let library = |_| InvalidKey::Library;
    let pem = match passphrase {
        None => SecretDocument::try_from(pkcs8.as_ref())
            .and_then(|document| document.to_pem(PrivateKeyInfoRef::PEM_LABEL, LineEnding::LF))
            .map_err(library)?,
        Some(passphrase) => PrivateKeyInfoRef::try_from(pkcs8.as_ref())
            .and_then(|info| info.encrypt(passphrase.expose_secret()))
            .map_err(|_| InvalidKey::Library)?
            .to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)
            .map_err(library)?,
    };
    Ok((pem, public))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_algorithms_sign_verify_and_come_back_from_their_files() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519] {
            let passphrase = SecretString::from("secret");
            for passphrase in [None, Some(&passphrase)] {
                let (pem, public) = generate_key(algorithm, passphrase).unwrap();
                let key = SigningKey::parse(&pem, passphrase).unwrap();
                let signature = key.sign(b"message").unwrap();
                let public = PublicKey::parse(&public.to_pem().unwrap()).unwrap();
                assert_eq!(public.algorithm(), algorithm);
                assert!(public.verifies(b"message", &signature));
                assert!(!public.verifies(b"other", &signature));
            }
        }
    }

    #[test]
    fn wrong_files_are_named() {
        let passphrase = SecretString::from("secret");
        let (pem, public) = generate_key(KeyAlgorithm::EcdsaP256, Some(&passphrase)).unwrap();
        let wrong = SecretString::from("wrong");
        assert!(matches!(
            SigningKey::parse(&pem, None),
            Err(InvalidKey::Encrypted)
        ));
        assert!(matches!(
            SigningKey::parse(&pem, Some(&wrong)),
            Err(InvalidKey::WrongPassphrase)
        ));
        assert!(matches!(
            PublicKey::parse(&pem),
            Err(InvalidKey::PrivateForPublic)
        ));
        let public = public.to_pem().unwrap();
        assert!(matches!(
            SigningKey::parse(&public, None),
            Err(InvalidKey::PublicForPrivate)
        ));
        assert!(matches!(PublicKey::parse("hello"), Err(InvalidKey::NotPem)));
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let (pem, _) = generate_key(KeyAlgorithm::EcdsaP256, None).unwrap();
        let key = SigningKey::parse(&pem, None).unwrap();
        assert!(format!("{key:?}").contains("<redacted>"));
    }
}
