//! Who may do what: people as the operating system knows them, and the lists of the configuration file.
//!
//! Somebody is whom the operating system says; no flag and no variable of the environment says it.

use std::collections::BTreeSet;
use std::str::FromStr;

use crate::config::{find_groups, find_users, group_names, login_name};

/// A user, or everybody of a group, in a list of those who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Person {
    User(String),
    Group(String),
}

impl FromStr for Person {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, group) = match text.strip_prefix('@') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let is_valid = |c: char| c.is_ascii_alphanumeric() || "._-$".contains(c);
        if name.is_empty() || !name.chars().all(is_valid) {
            return Err("expected the name of a user, or `@` and the name of a group");
        }
        Ok(match group {
            true => Self::Group(name.to_owned()),
            false => Self::User(name.to_owned()),
        })
    }
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(name) => f.write_str(name),
            Self::Group(name) => write!(f, "@{name}"),
        }
    }
}

/// A list as messages have it.
pub(super) fn show_people(list: &[Person]) -> String {
    let shown: Vec<String> = list.iter().map(ToString::to_string).collect();
    shown.join(", ")
}

/// Whoever runs this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Somebody {
    pub(super) user: String,
    pub(super) groups: Vec<String>,
}

/// The user and the groups of this process. Without a name it is the number that counts.
pub(super) async fn myself() -> Somebody {
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    let others = rustix::process::getgroups().unwrap_or_default();
    let ids: BTreeSet<u32> = others
        .iter()
        .map(|group| group.as_raw())
        .chain([group])
        .collect();
    let ids: Vec<u32> = ids.into_iter().collect();
    let names = group_names(&ids).await;
    Somebody {
        user: login_name(user).await.unwrap_or_else(|| user.to_string()),
        groups: ids
            .iter()
            .zip(names)
            .map(|(id, name)| name.unwrap_or_else(|| id.to_string()))
            .collect(),
    }
}

/// Those whom the operating system does not know. What is a number is somebody without a name.
pub(super) async fn find_unknown(people: &[Person]) -> Vec<Person> {
    let mut users = Vec::new();
    let mut groups = Vec::new();
    for person in people {
        match person {
            Person::User(name) if !is_number(name) => users.push(name.as_str()),
            Person::Group(name) if !is_number(name) => groups.push(name.as_str()),
            Person::User(_) | Person::Group(_) => {}
        }
    }
    let (are_users, are_groups) = (find_users(&users).await, find_groups(&groups).await);
    let without = |found: Vec<bool>, names: Vec<&str>, as_person: fn(String) -> Person| {
        let pairs = names.into_iter().zip(found);
        let missing = pairs.filter(|(_, is_there)| !is_there);
        let missing = missing.map(move |(name, _)| as_person(name.to_owned()));
        missing.collect::<Vec<_>>()
    };
    let mut unknown = without(are_users, users, Person::User);
    unknown.extend(without(are_groups, groups, Person::Group));
    unknown
}

fn is_number(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `list` has them; an empty list has everybody.
pub(super) fn is_allowed(somebody: &Somebody, list: &[Person]) -> bool {
    list.is_empty()
        || list.iter().any(|person| match person {
            Person::User(name) => *name == somebody.user,
            Person::Group(name) => somebody.groups.contains(name),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(list: &[&str]) -> Vec<Person> {
        list.iter()
            .map(|text| text.parse().expect("a person"))
            .collect()
    }

    #[test]
    fn a_list_names_users_and_groups_and_no_list_names_everybody() {
        let ada = Somebody {
            user: "ada".to_owned(),
            groups: vec!["ops".to_owned()],
        };
        assert!(is_allowed(&ada, &[]));
        assert!(is_allowed(&ada, &people(&["bob", "ada"])));
        assert!(is_allowed(&ada, &people(&["@ops"])));
        assert!(
            !is_allowed(&ada, &people(&["ops", "@ada"])),
            "a user is no group"
        );
        assert!("@".parse::<Person>().is_err());
        assert!("a b".parse::<Person>().is_err());
    }
}
