//! Whether a text has a form: address, path, word, list of CPUs, …

use std::net::IpAddr;

/// Characters of a network interface's name (`IFNAMSIZ` of Linux, less the byte at its end).
const PORT_NAME: usize = 15;
const DOMAIN: usize = 253;
const LABEL: usize = 63;

pub(super) fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// One word, as programs take it apart at blanks.
pub(in crate::design::validate) fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// `scheme://host…`.
pub(super) fn is_url(text: &str) -> bool {
    url_scheme(text).is_some()
}

/// The scheme of a URL that has a host, or a path that stands for one.
pub(in crate::design::validate) fn url_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://").filter(|_| is_word(text))?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let has_host = is_host(host) || scheme == "file" && host.is_empty() && rest.len() > 1;
    (is_scheme && has_host).then_some(scheme)
}

/// A host of a URL, with or without a port.
fn is_host(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) && is_port(port);
    }
    let (host, port) = text.find(':').map_or((text, ""), |at| text.split_at(at));
    !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-._".contains(c)) && is_port(port)
}

/// Nothing, or `:PORT`.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// A domain (RFC 1035): labels of letters, digits and hyphens.
pub(super) fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= DOMAIN && text.split('.').all(is_label)
}

/// Eight, four, four, four and twelve hexadecimal digits (RFC 9562).
pub(super) fn is_uuid(text: &str) -> bool {
    has_groups(text, &[8, 4, 4, 4, 12], |b| b.is_ascii_hexdigit())
}

/// As LVM writes its own (lvm(8)).
pub(super) fn is_lvm_uuid(text: &str) -> bool {
    has_groups(text, &[6, 4, 4, 4, 4, 4, 6], |b| b.is_ascii_alphanumeric())
}

/// A UUID, or the serial number that FAT (`1234-ABCD`) and NTFS have in its place.
pub(super) fn is_filesystem_uuid(text: &str) -> bool {
    is_uuid(text)
        || has_groups(text, &[4, 4], |b| b.is_ascii_hexdigit())
        || has_groups(text, &[16], |b| b.is_ascii_hexdigit())
}

fn has_groups(text: &str, lengths: &[usize], fits: fn(u8) -> bool) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.len() == lengths.len()
        && groups.iter().zip(lengths).all(|(group, length)| group.len() == *length && group.bytes().all(fits))
}

/// `domain:bus:device.function` of PCI, as `lspci -D` writes it; the domain may be left out.
pub(super) fn is_pci(text: &str) -> bool {
    let hex = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let Some((device, function)) = text.rsplit_once('.') else { return false };
    let parts: Vec<&str> = device.split(':').collect();
    let is_device = match parts[..] {
        [domain, bus, device] => hex(domain, 4..=8) && hex(bus, 2..=2) && hex(device, 2..=2),
        [bus, device] => hex(bus, 2..=2) && hex(device, 2..=2),
        _ => false,
    };
    is_device && function.len() == 1 && function.bytes().all(|b| (b'0'..=b'7').contains(&b))
}

/// `host:channel.target.lun`, as lshw writes it, or `host:channel:target:lun`, as the kernel does.
pub(super) fn is_scsi(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '.']).collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    parts.len() == 4 && parts.iter().all(is_number) && text.split(':').count() > 1
}

/// The kernel's list of CPUs: `2,4` or `2-8,16` or `0-31:2/4`, with the flags of `isolcpus` before it
/// (Documentation/admin-guide/kernel-parameters.rst).
pub(super) fn is_cpu_list(text: &str) -> bool {
    let flags = |item: &&str| matches!(*item, "nohz" | "domain" | "managed_irq");
    let mut items = text.split(',').skip_while(flags).peekable();
    items.peek().is_some() && items.all(is_cpus)
}

fn is_cpus(item: &str) -> bool {
    let number = |text: &str| if text == "N" { Some(u32::MAX) } else { text.parse::<u32>().ok() };
    let (range, groups) = item.split_once(':').map_or((item, None), |(range, groups)| (range, Some(groups)));
    let is_range = match range.split_once('-') {
        None => range == "all" || number(range).is_some(),
        Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
    };
    let is_group = |groups: &str| {
        let sizes = groups.split_once('/').and_then(|(used, of)| number(used).zip(number(of)));
        sizes.is_some_and(|(used, of)| 0 < used && used <= of)
    };
    is_range && groups.is_none_or(is_group)
}

/// `2M`, `1G`, or bytes (`memparse` of Linux).
pub(super) fn is_page_size(text: &str) -> bool {
    let digits = text.strip_suffix(|c: char| "kmgtKMGT".contains(c)).unwrap_or(text);
    digits.parse::<u64>().is_ok_and(|size| size > 0)
}

/// A name that Linux takes for a network interface (`dev_valid_name`).
pub(super) fn is_port_name(text: &str) -> bool {
    text.len() <= PORT_NAME && is_part_name(text) && !text.contains(':')
}

/// A name of one part of a path.
pub(super) fn is_part_name(text: &str) -> bool {
    is_word(text) && !text.contains('/') && !matches!(text, "." | "..")
}

/// A name of a volume or volume group (lvm(8), VALID NAMES).
pub(super) fn is_lvm_name(text: &str) -> bool {
    is_part_name(text)
        && !text.starts_with('-')
        && text.len() <= 127
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+_.-".contains(c))
}

/// MAAS takes letters, digits, `-` and `_`.
pub(super) fn is_tag(text: &str) -> bool {
    !text.is_empty() && text.len() <= 256 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
}

/// Speed and duplex, `1000full`.
pub(super) fn is_link_speed(text: &str) -> bool {
    let speed = text.strip_suffix("full").or_else(|| text.strip_suffix("half"));
    text == "auto" || speed.is_some_and(|speed| speed.parse::<u32>().is_ok_and(|speed| speed > 0))
}

/// A line of an `authorized_keys` file (sshd(8)): a type and a key in base64, options before them and a comment behind.
pub(super) fn is_public_key(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_type = |word: &str| {
        let word = word.strip_prefix("sk-").unwrap_or(word);
        word.starts_with("ssh-") || word.starts_with("ecdsa-sha2-")
    };
    // Each begins with the length of its type, three bytes of which are 0.
    words.windows(2).any(|pair| is_type(pair[0]) && pair[1].starts_with("AAAA"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(fits: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(fits(text), "{text}");
        }
        for text in bad {
            assert!(!fits(text), "{text}");
        }
    }

    #[test]
    fn urls_and_domains() {
        all(
            is_url,
            &[
                "http://a",
                "https://a.b:8080/c?d",
                "http://[fd00::1]:5240/MAAS",
                "file:///etc/x",
                "qemu+ssh://u@h/system",
            ],
            &[
                "",
                "a",
                "http://",
                "http:/a",
                "://a",
                "http://a b",
                "http://a:99999",
                "http://a:x/",
                "http://[fd00::1",
                "1a://b",
            ],
        );
        all(is_domain, &["a", "lab.example.com", "1-a.b"], &["", "a.", "a_b", "a..b", &"a".repeat(64)]);
    }

    #[test]
    fn identifiers() {
        let good = "0f0f0f0f-0000-4000-8000-000000000001";
        all(
            is_uuid,
            &[good, &good.to_uppercase()],
            &["", "0f0f0f0f", &good[1..], "0f0f0f0g-0000-4000-8000-000000000001"],
        );
        all(is_lvm_uuid, &["fF0ahp-bcN1-5W3u-8nPW-xyJy-0pzb-RXLxPq"], &[good, "fF0ahp"]);
        all(is_filesystem_uuid, &[good, "1234-ABCD", "0123456789ABCDEF"], &["", "1234", "12345-ABCD"]);
    }

    #[test]
    fn hardware() {
        all(
            is_pci,
            &["0000:00:03.0", "00:1f.7", "10000:e1:00.0"],
            &["", "0000:00:03", "0000:00:03.8", "000:00:03.0", "0000:0g:03.0", "eth0"],
        );
        all(is_scsi, &["2:0.0.0", "0:0:0:0"], &["", "2.0.0.0", "2:0.0", "2:0.0.x", "sda"]);
        all(
            is_cpu_list,
            &["2", "2,4", "2-8,16", "0-31:2/4", "nohz,domain,1-3", "1-N", "all"],
            &["", "2,", "8-2", "two", "2-", "2;4", "nohz", "0-7:4/2", "0-7:0/2"],
        );
        all(is_page_size, &["2M", "1G", "2048k", "1073741824"], &["", "1GB", "G", "0", "1.5G", "-2M", "large"]);
    }

    #[test]
    fn names() {
        all(
            is_port_name,
            &["eno1", "bond0", "enp3s0f0np0"],
            &["", "a b", "eth0:1", "/dev/x", "..", "abcdefghijklmnop"],
        );
        all(is_lvm_name, &["vg0", "log_vg", "a-b.c+d"], &["", "-a", "a/b", "a b", "..", "é"]);
        all(is_tag, &["base", "big-disk_2"], &["", "big disk", "a.b", "a=b"]);
        all(is_link_speed, &["auto", "1000full", "10half"], &["", "fast", "full", "1000", "0full"]);
        all(
            is_public_key,
            &[
                "ssh-ed25519 AAAAC3 me",
                "from=\"10.0.0.1\" ssh-rsa AAAAB3",
                "sk-ssh-ed25519@openssh.com AAAAG",
                "ecdsa-sha2-nistp256 AAAAE2",
            ],
            &["", "hunter2", "ssh-rsa", "ssh-rsa not-a-key", "-----BEGIN OPENSSH PRIVATE KEY-----"],
        );
    }
}
