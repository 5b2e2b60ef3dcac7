//! What is secret in drydock's documents, and where it goes.

use std::collections::BTreeMap;

use super::host::Host;
use super::read::{Field, Scope};

/// Parents that are followed; a longer chain is a circle.
const PARENTS: usize = 64;

/// What one document says of the login at a BMC. `!` takes away what a parent says.
#[derive(Clone, Debug, Default)]
pub(super) struct Login {
    pub(super) account: Option<String>,
    pub(super) credential: Option<String>,
    /// Further parameters that look secret.
    pub(super) others: BTreeMap<String, String>,
}

impl Login {
    fn is_empty(&self) -> bool {
        self.account.is_none() && self.credential.is_none() && self.others.is_empty()
    }
}

/// The Secrets of profiles and nodes.
pub(super) struct Logins<'a> {
    profiles: BTreeMap<&'a str, &'a Host>,
    nodes: &'a [Host],
}

/// A Secret of a BMC's login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoginSecret {
    pub(super) name: String,
    pub(super) data: BTreeMap<String, String>,
}

impl<'a> Logins<'a> {
    pub(super) fn new(profiles: &'a [Host], nodes: &'a [Host]) -> Self {
        Self { profiles: profiles.iter().map(|host| (host.profile.name.as_str(), host)).collect(), nodes }
    }

    /// The host and its parents, the nearest first.
    pub(super) fn chain(&self, host: &'a Host) -> Vec<&'a Host> {
        let parent = |host: &&'a Host| self.profiles.get(host.profile.extends.as_deref()?).copied();
        std::iter::successors(Some(host), parent).take(PARENTS).collect()
    }

    /// The Secret of a host that says anything of its login, with what it inherits of it. Empty: nothing is left of it.
    pub(super) fn own(&self, host: &'a Host) -> Option<LoginSecret> {
        if host.login.is_empty() {
            return None;
        }
        let chain = self.chain(host);
        let nearest = |get: fn(&Login) -> Option<&String>| {
            chain.iter().find_map(|host| get(&host.login)).filter(|text| *text != "!").cloned()
        };
        let mut data: BTreeMap<String, String> =
            chain.iter().rev().flat_map(|host| host.login.others.clone()).collect();
        data.extend(nearest(|login| login.account.as_ref()).map(|account| ("username".to_owned(), account)));
        data.extend(nearest(|login| login.credential.as_ref()).map(|credential| ("password".to_owned(), credential)));
        let kind = if self.nodes.iter().any(|node| std::ptr::eq(node, host)) { "node" } else { "profile" };
        let mut name = host.profile.name.clone();
        name.truncate(240);
        Some(LoginSecret { name: format!("{}-{kind}-bmc", name.trim_end_matches(['-', '.'])), data })
    }

    /// The Secret that holds for a host: its own, or that of the nearest parent.
    pub(super) fn effective(&self, host: &'a Host) -> Option<LoginSecret> {
        let found = self.chain(host).into_iter().find_map(|host| self.own(host));
        found.filter(|secret| !secret.data.is_empty())
    }
}

/// Whether a key names something secret.
pub(super) fn is_secret(key: &str) -> bool {
    const WORDS: [&str; 7] = ["password", "passwd", "passphrase", "secret", "token", "credential", "key"];
    let key = key.to_ascii_lowercase();
    let is_public = ["public", "keyboard", "gpgkey", "authorized"].iter().any(|word| key.contains(word));
    !is_public && WORDS.iter().any(|word| key.contains(word))
}

/// An address without the password that is in it: specs are read by many.
pub(super) fn without_login(scope: &Scope<'_>, field: &Field<'_>, address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some((login, host)) = rest[..end].rsplit_once('@') else { return address.to_owned() };
    let Some((user, password)) = login.split_once(':') else { return address.to_owned() };
    scope.keep_secret(field, password);
    scope.secret_moved(field, "the address holds a password, which is in a Secret now; nothing uses it there");
    format!("{scheme}://{user}@{host}{}", &rest[end..])
}
