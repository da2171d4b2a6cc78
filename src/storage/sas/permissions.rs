//! What a shared access signature may allow, by letter and by word, in the order that the service wants.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// One thing that may be allowed. The order of the variants is the order of the letters in a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    Read,
    Add,
    Create,
    Write,
    Delete,
    DeleteVersion,
    PermanentDelete,
    List,
    Tags,
    Filter,
    Move,
    Execute,
    Ownership,
    Permissions,
    Immutability,
}

impl Permission {
    pub const ALL: [Self; 15] = [
        Self::Read,
        Self::Add,
        Self::Create,
        Self::Write,
        Self::Delete,
        Self::DeleteVersion,
        Self::PermanentDelete,
        Self::List,
        Self::Tags,
        Self::Filter,
        Self::Move,
        Self::Execute,
        Self::Ownership,
        Self::Permissions,
        Self::Immutability,
    ];

    pub fn letter(self) -> char {
        match self {
            Self::Read => 'r',
            Self::Add => 'a',
            Self::Create => 'c',
            Self::Write => 'w',
            Self::Delete => 'd',
            Self::DeleteVersion => 'x',
            Self::PermanentDelete => 'y',
            Self::List => 'l',
            Self::Tags => 't',
            Self::Filter => 'f',
            Self::Move => 'm',
            Self::Execute => 'e',
            Self::Ownership => 'o',
            Self::Permissions => 'p',
            Self::Immutability => 'i',
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Add => "add",
            Self::Create => "create",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::DeleteVersion => "delete-version",
            Self::PermanentDelete => "permanent-delete",
            Self::List => "list",
            Self::Tags => "tags",
            Self::Filter => "filter",
            Self::Move => "move",
            Self::Execute => "execute",
            Self::Ownership => "ownership",
            Self::Permissions => "permissions",
            Self::Immutability => "immutability",
        }
    }

    fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.letter() == letter)
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }
}

/// As in `list` (l).
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.word(), self.letter())
    }
}

/// A set of permissions; shown as letters, in the service's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions(BTreeSet<Permission>);

impl Permissions {
    /// The letters that are known; a service may know more.
    pub(super) fn of_letters(letters: &str) -> Self {
        letters
            .chars()
            .filter_map(Permission::from_letter)
            .collect()
    }

    pub fn contains(&self, permission: Permission) -> bool {
        self.0.contains(&permission)
    }

    pub fn iter(&self) -> impl Iterator<Item = Permission> + '_ {
        self.0.iter().copied()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As in `read, list`.
    pub fn words(&self) -> String {
        let words: Vec<&str> = self.iter().map(Permission::word).collect();
        words.join(", ")
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().collect())
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter()
            .try_for_each(|permission| write!(f, "{}", permission.letter()))
    }
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{0}` is no permission: expected letters such as `rl`, or words such as `read,list`; known are read, add, create, write, delete, delete-version, permanent-delete, list, tags, filter, move, execute, ownership, permissions, immutability"
)]
pub struct UnknownPermission(String);

impl FromStr for Permissions {
    type Err = UnknownPermission;

    /// `rl`, `read,list`, or both mixed: `rl,delete`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut permissions = BTreeSet::new();
        for part in text.split(',').map(str::trim) {
            if let Some(permission) = Permission::from_word(part) {
                permissions.insert(permission);
                continue;
            }
            let letters: Option<Vec<Permission>> =
                part.chars().map(Permission::from_letter).collect();
            match letters {
                Some(letters) if !letters.is_empty() => permissions.extend(letters),
                _ => return Err(UnknownPermission(part.to_owned())),
            }
        }
        Ok(Self(permissions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Permissions {
        text.parse().unwrap()
    }

    #[test]
    fn letters_and_words_are_the_same_and_come_in_the_services_order() {
        assert_eq!(parse("lr").to_string(), "rl");
        assert_eq!(parse("list, read"), parse("rl"));
        assert_eq!(parse("add").to_string(), "a");
        assert_eq!(parse("rl,delete").to_string(), "rdl");
        assert_eq!(parse("rrr").to_string(), "r");
        assert_eq!(parse("wcl").words(), "create, write, list");
        for permission in Permission::ALL {
            assert_eq!(
                parse(permission.word()),
                parse(&permission.letter().to_string())
            );
        }
    }

    #[test]
    fn what_is_no_permission_is_named() {
        for wrong in ["", "rz", "read,", "reads", "R"] {
            assert!(wrong.parse::<Permissions>().is_err(), "{wrong}");
        }
        let error = "read,hover".parse::<Permissions>().unwrap_err();
        assert!(error.to_string().starts_with("`hover` is no permission"));
    }
}
