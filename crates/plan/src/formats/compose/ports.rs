//! `ports:` and `expose:`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::model::Port;
use super::read::{At, shorten, unique};
use super::{codes, values};

/// Ports that one service may publish, ranges counted port by port.
pub const MAX_PORTS: usize = 1024;

/// `ports:`, with ranges expanded.
pub(super) fn ports(at: &At<'_>) -> Vec<Port> {
    let mut ports = Vec::new();
    for item in at.list().unwrap_or_default() {
        match item.value {
            serde_json::Value::Object(_) => ports.extend(long(&item)),
            _ => ports.extend(
                item.text().and_then(|text| item.or_report(codes::INVALID_PORT, short(&text))).unwrap_or_default(),
            ),
        }
        if ports.len() > MAX_PORTS {
            at.error(codes::TOO_LARGE, format!("publishes more than {MAX_PORTS} ports"));
            return Vec::new();
        }
    }
    // Compose drops repetitions.
    unique(ports.into_iter())
}

/// `[ip:][published:]target[/protocol]`, each side maybe a range.
fn short(text: &str) -> Result<Vec<Port>, String> {
    let (mapping, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    let protocol = self::protocol(protocol)?;
    let mut parts = mapping.rsplitn(3, ':');
    let target = range(parts.next().unwrap_or_default())?;
    if *target.start() == 0 {
        return Err(format!("`{}` has no port of the container between 1 and 65535", shorten(text)));
    }
    let published = match parts.next() {
        None | Some("") => None,
        Some(published) => Some(range(published)?),
    };
    let host_ip = parts.next().filter(|ip| !ip.is_empty()).map(host_ip).transpose()?;
    let count = size(&target);
    if count > MAX_PORTS {
        return Err(format!("`{text}` is a range of {count} ports; at most {MAX_PORTS} are published"));
    }
    let port = |target, published| Port { target, published, host_ip, protocol: protocol.clone() };
    match published {
        None => Ok(target.map(|target| port(target, None)).collect()),
        Some(published) if size(&published) == count => {
            Ok(target.zip(published).map(|(target, published)| port(target, Some(published.to_string()))).collect())
        }
        // The engine picks a free one of the range.
        Some(published) if count == 1 => {
            let range = format!("{}-{}", published.start(), published.end());
            Ok(target.map(|target| port(target, Some(range.clone()))).collect())
        }
        Some(published) => {
            Err(format!("`{text}` maps {} ports of the host to {count} of the container", size(&published)))
        }
    }
}

fn long(at: &At<'_>) -> Option<Port> {
    let fields = at.fields()?;
    let protocol = fields.parsed("protocol", codes::INVALID_PORT, protocol).unwrap_or_else(|| "tcp".into());
    let host_ip = fields.parsed("host_ip", codes::INVALID_ADDRESS, host_ip);
    let published = fields.text("published").filter(|text| !text.is_empty()).and_then(|text| {
        let range = at.or_report(codes::INVALID_PORT, range(&text))?;
        Some(if range.start() == range.end() { range.start().to_string() } else { text })
    });
    if let Some(mode) = fields.get("mode")
        && !matches!(mode.text().as_deref(), Some("host" | "ingress"))
    {
        mode.invalid("is neither host nor ingress");
    }
    // Words for people and proxies; the engine does not see them.
    let _ = (fields.text("name"), fields.text("app_protocol"));
    let target = fields
        .required("target", codes::INVALID_PORT, "write target: and the port in the container")
        .and_then(|at| at.parsed(codes::INVALID_PORT, self::target));
    fields.finish(&[]);
    Some(Port { target: target?, published, host_ip, protocol })
}

/// `expose:`: ports or ranges, with or without a protocol.
pub(super) fn expose(at: &At<'_>) -> Vec<String> {
    at.words_that(codes::INVALID_PORT, |text| {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        self::protocol(protocol)?;
        let ports = range(ports)?;
        if *ports.start() == 0 {
            return Err(format!("`{}` is not a port", shorten(text)));
        }
        Ok(())
    })
}

fn target(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("`{}` is not a port between 1 and 65535", shorten(text))),
        Ok(port) => Ok(port),
    }
}

fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    match (start.parse::<u16>(), end.parse::<u16>()) {
        (Ok(start), Ok(end)) if start <= end => Ok(start..=end),
        (Ok(start), Ok(end)) => Err(format!("the range {start}-{end} ends before it starts")),
        _ => Err(format!("`{}` is not a port or a range of ports between 1 and 65535", shorten(text))),
    }
}

fn size(range: &RangeInclusive<u16>) -> usize {
    usize::from(range.end() - range.start()) + 1
}

fn protocol(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "" => Ok("tcp".to_owned()),
        "tcp" | "udp" | "sctp" => Ok(lower),
        _ => Err(format!("`{}` is not a protocol: tcp, udp or sctp", shorten(text))),
    }
}

fn host_ip(text: &str) -> Result<IpAddr, String> {
    values::address(text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        let word = |port: Port| {
            let ip = port.host_ip.map(|ip| format!("{ip} ")).unwrap_or_default();
            format!("{ip}{}>{}/{}", port.published.unwrap_or_default(), port.target, port.protocol)
        };
        match short(text) {
            Ok(ports) => ports.into_iter().map(word).collect::<Vec<_>>().join(" "),
            Err(reason) => format!("! {reason}"),
        }
    }

    #[test]
    fn the_short_form() {
        for (text, wanted) in [
            ("80", ">80/tcp"),
            ("8080:80", "8080>80/tcp"),
            ("53:53/udp", "53>53/udp"),
            ("53:53/UDP", "53>53/udp"),
            ("80:80/", "80>80/tcp"),
            ("127.0.0.1:8080:80", "127.0.0.1 8080>80/tcp"),
            ("127.0.0.1::80", "127.0.0.1 >80/tcp"),
            ("[::1]:8080:80", "::1 8080>80/tcp"),
            ("::1:8080:80", "::1 8080>80/tcp"),
            ("3000-3002", ">3000/tcp >3001/tcp >3002/tcp"),
            ("9090-9091:8080-8081", "9090>8080/tcp 9091>8081/tcp"),
            ("8000-8010:80", "8000-8010>80/tcp"),
            ("0:80", "0>80/tcp"),
        ] {
            assert_eq!(words(text), wanted, "{text}");
        }
        for text in [
            "",
            "a",
            "80:",
            "70000:80",
            "80:70000",
            "80/icmp",
            "1-3:1-2",
            "3-1:80",
            "1.2.3:80:80",
            "a:80:80",
            "-1:80",
            "80-:80",
            "1-65535:1-65535",
            "1:2:3:4:5",
            "80/tcp/udp",
            "0",
            "80:0",
            "0-1",
        ] {
            assert!(words(text).starts_with("! "), "{text}: {}", words(text));
        }
    }
}
