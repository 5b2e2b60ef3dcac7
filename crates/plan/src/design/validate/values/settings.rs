//! What holds for the whole site: MAAS, DNS, keys, repositories, tags.

use slipway_api::DesignSpec;
use slipway_api::design::Repository;

use super::Written;
use super::formats::{is_address, is_domain, is_public_key, is_tag, is_url, is_word};
use crate::design::rules::Check;
use crate::design::source::join;
use crate::formats::compose::meant;

/// The distribution's own archives, by their names in MAAS.
const ARCHIVES: [&str; 2] = ["main_archive", "ports_archive"];
const POCKETS: [&str; 3] = ["security", "updates", "backports"];
const COMPONENTS: [&str; 4] = ["main", "restricted", "universe", "multiverse"];
/// How an armoured key of `OpenPGP` begins (RFC 9580 6.2).
const ARMOUR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

pub(super) fn check(spec: &DesignSpec, base: &str, written: &mut Written<'_>) {
    if let Some(maas) = spec.maas.as_ref().filter(|maas| !is_url(&maas.url)) {
        written.wrong(Check::MaasUrl, join(base, "maas.url"), &maas.url, "is no URL");
    }
    if let Some(dns) = &spec.dns {
        let path = join(base, "dns");
        if let Some(domain) = dns.domain.as_ref().filter(|domain| !is_domain(domain)) {
            written.wrong(Check::DomainInvalid, join(&path, "domain"), domain, "is no domain");
        }
        written.each(Check::NameServer, &join(&path, "servers"), &dns.servers, is_address, "is no address");
    }
    for (index, key) in spec.authorized_keys.iter().enumerate() {
        let key: String = key.lines().map(str::trim_end).collect();
        if !is_public_key(&key) {
            // It is not shown: it may be a private one.
            written.tell(
                Check::AuthorizedKey,
                join(base, &format!("authorizedKeys[{index}]")),
                "this is no public SSH key",
            );
        }
    }
    let repositories = join(base, "repositories");
    written.parts(&repositories, spec.repositories.iter().map(|repository| repository.name.as_str()));
    for (index, one) in spec.repositories.iter().enumerate() {
        repository(one, &format!("{repositories}[{index}]"), written);
    }
    written.parts(&join(base, "tagDefinitions"), spec.tag_definitions.iter().map(|tag| tag.name.as_str()));
    for (index, tag) in
        spec.tag_definitions.iter().enumerate().filter(|(_, tag)| !tag.name.is_empty() && !is_tag(&tag.name))
    {
        let path = join(base, &format!("tagDefinitions[{index}].name"));
        written.wrong(Check::TagInvalid, path, &tag.name, "is no tag");
    }
}

fn repository(repository: &Repository, path: &str, written: &mut Written<'_>) {
    let is_ppa = repository.url.strip_prefix("ppa:").is_some_and(is_word);
    if !is_ppa && !is_url(&repository.url) {
        written.wrong(Check::RepositoryUrl, join(path, "url"), &repository.url, "is no URL");
    }
    let is_archive = ARCHIVES.contains(&repository.name.as_str());
    let lists: [(&str, &[String], &[&str]); 4] = [
        ("arches", &repository.arches, &[]),
        ("distributions", &repository.distributions, &[]),
        ("subrepos", &repository.subrepos, &POCKETS),
        ("components", &repository.components, &COMPONENTS),
    ];
    for (field, words, known) in lists {
        let field = join(path, field);
        written.each(Check::RepositoryWord, &field, words, is_word, "is not one word");
        if !is_archive || known.is_empty() {
            continue;
        }
        for (index, word) in
            words.iter().enumerate().filter(|(_, word)| is_word(word) && !known.contains(&word.as_str()))
        {
            let what = format!("is none of {}{}", known.join(", "), meant(word, known.iter().copied()));
            written.wrong(Check::RepositoryPart, format!("{field}[{index}]"), word, what);
        }
    }
    if repository.gpg_key.as_ref().is_some_and(|key| !key.trim_start().starts_with(ARMOUR)) {
        written.tell(Check::RepositoryKey, join(path, "gpgKey"), format!("the key does not begin with {ARMOUR}"));
    }
}
