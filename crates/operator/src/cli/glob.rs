//! File name patterns, for shells that do not expand them and for arguments in quotes.

use std::path::{Component, Path, PathBuf};

/// Whether a path has `*` or `?` in it.
pub(super) fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(['*', '?']))
}

/// The files that a pattern names, in their order; `*` and `?` stay inside one part of a path.
pub(super) fn matching(pattern: &Path, most: usize) -> Result<Vec<PathBuf>, String> {
    let mut paths = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_str().unwrap_or_default();
        paths = match part {
            Component::Normal(_) if text.contains(['*', '?']) => {
                let mut found: Vec<PathBuf> = paths.iter().flat_map(|path| entries(path, text)).collect();
                found.sort();
                found
            }
            _ => paths.into_iter().map(|path| path.join(part)).filter(|path| path.exists()).collect(),
        };
        if paths.len() > most {
            return Err(format!("{} names more than {most} files", pattern.display()));
        }
    }
    paths.retain(|path| path.is_file());
    if paths.is_empty() {
        return Err(format!("{} names no file", pattern.display()));
    }
    Ok(paths)
}

fn entries(directory: &Path, pattern: &str) -> Vec<PathBuf> {
    let place = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    // As in shells, `*` takes no hidden file.
    let fits = |name: &String| (pattern.starts_with('.') || !name.starts_with('.')) && matches(pattern, name);
    names.filter(fits).map(|name| directory.join(name)).collect()
}

/// Whether a name fits a pattern; the last `*` is tried again with one character more until the rest fits.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match (pattern.get(p), star) {
            (Some('*'), _) => {
                star = Some((p, n));
                p += 1;
            }
            (Some(c), _) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
            (_, Some((at, taken))) => {
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
            _ => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, wanted) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yml", false),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("node-??.yaml", "node-20.yaml", true),
            ("node-??.yaml", "node-200.yaml", false),
            ("*", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} {name}");
        }
    }

    #[test]
    fn files_are_found_in_their_order() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b/2.yaml", "a/1.yaml", "a/x.txt", "a/.hidden.yaml", "c/3.yaml"] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let found = matching(&directory.path().join(pattern), 10)?;
            Ok::<Vec<String>, String>(
                found.iter().map(|p| p.strip_prefix(directory.path()).unwrap().display().to_string()).collect(),
            )
        };
        assert_eq!(found("?/*.yaml"), Ok(vec!["a/1.yaml".to_owned(), "b/2.yaml".to_owned(), "c/3.yaml".to_owned()]));
        assert!(found("*.json").unwrap_err().contains("names no file"));
        assert!(matching(&directory.path().join("?/*"), 2).unwrap_err().contains("more than 2"));
    }
}
