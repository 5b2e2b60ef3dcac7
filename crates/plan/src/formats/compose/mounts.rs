//! `volumes:`, `tmpfs:` and `devices:` of a service.

use super::model::{Device, Mount, MountKind};
use super::read::{At, shorten};
use super::{codes, values};

/// `volumes:` of a service.
pub(super) fn volumes(at: &At<'_>) -> Vec<Mount> {
    let items = at.list().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| match item.value {
            serde_json::Value::Object(_) => long(item),
            _ => item.parsed(codes::INVALID_VALUE, short).and_then(|mount| checked(item, mount)),
        })
        .collect()
}

fn mount(kind: MountKind, target: String) -> Mount {
    Mount {
        kind,
        source: None,
        target,
        read_only: false,
        short: false,
        create_host_path: false,
        propagation: None,
        selinux: None,
        nocopy: false,
        subpath: None,
        tmpfs_size: None,
        tmpfs_mode: None,
    }
}

/// `[source:]target[:mode]`.
fn short(text: &str) -> Result<Mount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!("`{}` has an empty part", shorten(text)));
    }
    if parts[0].len() == 1 && parts.get(1).is_some_and(|part| part.starts_with('\\')) {
        return Err(format!("`{}` begins with a path of Windows; write one of the host", shorten(text)));
    }
    let (source, target, modes) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, modes] => (Some(source), target, modes),
        _ => return Err(format!("`{}` has more than source, target and mode", shorten(text))),
    };
    let is_path = source.is_some_and(|source| source.starts_with(['/', '.', '~']));
    let kind = if is_path { MountKind::Bind } else { MountKind::Volume };
    let mut mount = Mount {
        source: source.map(str::to_owned),
        short: true,
        // What the old docker-compose did, so the short form still does it.
        create_host_path: is_path,
        ..mount(kind, values::container_path(target)?)
    };
    for mode in modes.split(',').filter(|mode| !mode.is_empty()) {
        match mode {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "nocopy" => mount.nocopy = true,
            "z" | "Z" => mount.selinux = Some(mode.to_owned()),
            _ if is_propagation(mode) => mount.propagation = Some(mode.to_owned()),
            // They mean something to Docker Desktop only.
            "cached" | "delegated" | "consistent" => {}
            _ => return Err(format!("`{}` is not a mode of a mount", shorten(mode))),
        }
    }
    Ok(mount)
}

fn is_propagation(word: &str) -> bool {
    matches!(word, "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave")
}

fn long(at: &At<'_>) -> Option<Mount> {
    let fields = at.fields()?;
    let kind = fields
        .required("type", codes::INVALID_VALUE, "write type: bind, volume or tmpfs")
        .and_then(|at| mount_kind(&at));
    let target = fields
        .required("target", codes::INVALID_VALUE, "write target: and the path in the container")
        .and_then(|at| at.parsed(codes::INVALID_VALUE, values::container_path));
    let mut mount = mount(kind.unwrap_or(MountKind::Volume), target.clone().unwrap_or_default());
    mount.source = fields.word("source");
    mount.read_only = fields.boolean("read_only").unwrap_or_default();
    // It means something to Docker Desktop only.
    let _ = fields.text("consistency");
    let options =
        |key, wanted| fields.get(key).filter(|at| kind.is_none_or(|kind| kind == wanted) || not_of_this_type(at));
    // Compose 2.40: created if nothing at all is said under `bind`, else only if that says so.
    mount.create_host_path = kind == Some(MountKind::Bind);
    if let Some(bind) = options("bind", MountKind::Bind).and_then(|at| at.fields()) {
        mount.create_host_path = bind.boolean("create_host_path").unwrap_or_default();
        mount.propagation = bind.parsed("propagation", codes::INVALID_VALUE, |word| {
            if is_propagation(word) {
                Ok(word.to_owned())
            } else {
                Err(format!("`{}` is not a propagation", shorten(word)))
            }
        });
        mount.selinux = bind.parsed("selinux", codes::INVALID_VALUE, |word| match word {
            "z" | "Z" => Ok(word.to_owned()),
            _ => Err("is neither z nor Z".to_owned()),
        });
        bind.finish(&[("recursive", "")]);
    }
    if let Some(volume) = options("volume", MountKind::Volume).and_then(|at| at.fields()) {
        mount.nocopy = volume.boolean("nocopy").unwrap_or_default();
        mount.subpath = volume.word("subpath");
        volume.finish(&[("labels", "put labels on the volume itself, under the top-level volumes:")]);
    }
    if let Some(tmpfs) = options("tmpfs", MountKind::Tmpfs).and_then(|at| at.fields()) {
        mount.tmpfs_size = tmpfs.bytes("size");
        mount.tmpfs_mode = tmpfs.get("mode").and_then(|mode| mode.mode());
        tmpfs.finish(&[]);
    }
    fields.finish(&[("image", "")]);
    match kind? {
        MountKind::Bind if mount.source.is_none() => {
            at.error_with_hint(codes::INVALID_VALUE, "has no source", "write source: and a path of the host");
            None
        }
        MountKind::Tmpfs if mount.source.is_some() => {
            at.invalid("a tmpfs has no source");
            None
        }
        _ => target.and_then(|_| checked(at, mount)),
    }
}

fn mount_kind(at: &At<'_>) -> Option<MountKind> {
    match at.text()?.as_str() {
        "bind" => return Some(MountKind::Bind),
        "volume" => return Some(MountKind::Volume),
        "tmpfs" => return Some(MountKind::Tmpfs),
        other @ ("npipe" | "cluster" | "image") => {
            at.error(codes::UNSUPPORTED_KEY, format!("mounts of type {other} are not supported"));
        }
        _ => at.invalid("is none of bind, volume and tmpfs"),
    }
    None
}

fn not_of_this_type(at: &At<'_>) -> bool {
    at.invalid("does not go with the type of the mount");
    false
}

/// What the short and the long form have in common.
fn checked(at: &At<'_>, mount: Mount) -> Option<Mount> {
    match (mount.kind, mount.source.as_deref()) {
        (MountKind::Bind, Some(source)) if !source.starts_with('/') => {
            at.error_with_hint(
                codes::INVALID_VALUE,
                format!("`{}` is relative, and a host has no project directory", shorten(source)),
                "write an absolute path of the host, or bring the file as one of configs:",
            );
            None
        }
        (MountKind::Volume, Some(source)) => at.or_report(codes::INVALID_NAME, values::key(source)).map(|()| mount),
        _ => Some(mount),
    }
}

/// `tmpfs:`: one path or several, each with options of mount(8) after a colon.
pub(super) fn tmpfs(at: &At<'_>) -> Vec<String> {
    let items = at.one_or_list().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| {
            let text = item.text()?;
            let (path, options) =
                text.split_once(':').map_or((text.as_str(), None), |(path, options)| (path, Some(options)));
            let path = item.or_report(codes::INVALID_VALUE, values::container_path(path))?;
            Some(options.map_or_else(|| path.clone(), |options| format!("{path}:{options}")))
        })
        .collect()
}

/// `devices:`.
pub(super) fn devices(at: &At<'_>) -> Vec<Device> {
    let items = at.list().unwrap_or_default();
    items
        .iter()
        .filter_map(|item| match item.value {
            serde_json::Value::Object(_) => long_device(item),
            _ => item.parsed(codes::INVALID_VALUE, short_device),
        })
        .collect()
}

/// `source[:target[:permissions]]`.
fn short_device(text: &str) -> Result<Device, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, target] => (source, target, "rwm"),
        [source, target, permissions] => (source, target, permissions),
        _ => return Err(format!("`{}` has more than source, target and permissions", shorten(text))),
    };
    device(source, target, permissions)
}

fn long_device(at: &At<'_>) -> Option<Device> {
    let fields = at.fields()?;
    let source = fields.word("source");
    let target = fields.word("target").or_else(|| source.clone());
    let permissions = fields.word("permissions").unwrap_or_else(|| "rwm".into());
    fields.finish(&[]);
    let Some(source) = source else {
        at.error_with_hint(codes::INVALID_VALUE, "has no source", "write source: and a device of the host");
        return None;
    };
    at.or_report(codes::INVALID_VALUE, device(&source, &target?, &permissions))
}

fn device(source: &str, target: &str, permissions: &str) -> Result<Device, String> {
    if permissions.is_empty() || !permissions.chars().all(|c| "rwm".contains(c)) {
        return Err(format!("`{}` is not a set of permissions: r, w and m", shorten(permissions)));
    }
    // A device of the Container Device Interface (vendor.com/class=name) is not a path.
    let are_paths = source.starts_with('/') && target.starts_with('/');
    if !are_paths && !is_cdi(source) {
        return Err(format!("`{}` is not an absolute path of a device", shorten(source)));
    }
    Ok(Device { source: source.to_owned(), target: target.to_owned(), permissions: permissions.to_owned() })
}

/// Whether a device is named as `vendor.com/class=name`, in the Container Device Interface's way.
pub(super) fn is_cdi(source: &str) -> bool {
    !source.starts_with('/')
        && source.split_once('=').is_some_and(|(class, name)| class.contains('/') && !name.is_empty())
}
