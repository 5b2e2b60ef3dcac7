//! `cargo xtask generate`: writes the files that are made from code, or checks that they are up to date.

mod fields;
mod reasons;
mod rules;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use similar::TextDiff;

/// Write the files that are made from code.
#[derive(clap::Args)]
pub struct Args {
    /// Write nothing; show what is not up to date, and fail if anything is.
    #[arg(long)]
    check: bool,
}

/// A file as it should be.
struct File {
    path: PathBuf,
    text: String,
}

/// Writes, or checks, `crds/*.yaml`, the field tables in `docs/` and `docs/design-rules.md`; checks that `docs/troubleshooting.md` is complete.
pub fn run(args: &Args) -> Result<()> {
    let root = crate::workspace_root()?;
    let mut stale = 0;
    for file in files(&root)? {
        let old = read_or_empty(&file.path)?;
        if old == file.text {
            continue;
        }
        let shown = file.path.strip_prefix(&root).unwrap_or(&file.path).display().to_string();
        if args.check {
            stale += 1;
            let diff = TextDiff::from_lines(&old, &file.text);
            print!("{}", diff.unified_diff().header(&shown, &format!("{shown} (as generated)")));
        } else {
            fs::write(&file.path, &file.text).with_context(|| format!("cannot write {shown}"))?;
            eprintln!("wrote {shown}");
        }
    }
    if stale > 0 {
        bail!("{stale} generated files are not up to date; run `cargo xtask generate` and commit the result");
    }
    reasons::check(&root)
}

fn files(root: &Path) -> Result<Vec<File>> {
    let mut files = vec![File { path: root.join("docs/design-rules.md"), text: rules::page() }];
    for crd in slipway_api::crds() {
        files.push(File { path: root.join("crds").join(format!("{}.yaml", crd.spec.names.plural)), text: yaml(&crd)? });
        files.push(with_fields(root.join("docs").join(page(&crd.spec.names.kind)), &crd)?);
    }
    Ok(files)
}

fn yaml(crd: &CustomResourceDefinition) -> Result<String> {
    Ok(format!("# Written by `cargo xtask generate` from crates/api. Do not edit.\n{}", serde_saphyr::to_string(crd)?))
}

/// `ContainerService` is described in `container-service.md`.
fn page(kind: &str) -> String {
    let mut page = String::new();
    for c in kind.chars() {
        if c.is_uppercase() && !page.is_empty() {
            page.push('-');
        }
        page.push(c.to_ascii_lowercase());
    }
    page + ".md"
}

const BEGIN: &str = "<!-- Written by `cargo xtask generate` from here on. -->\n";
const END: &str = "<!-- Written by hand again. -->\n";

/// The page with its field tables renewed, between the two marks.
fn with_fields(path: PathBuf, crd: &CustomResourceDefinition) -> Result<File> {
    let old = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let parts = old.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        bail!("{} has no place for its field tables; it needs the lines\n{BEGIN}{END}", path.display());
    };
    let text = format!("{before}{BEGIN}\n{}\n{END}{after}", fields::tables(crd)?);
    Ok(File { path, text })
}

fn read_or_empty(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(String::new()),
        other => other.with_context(|| format!("cannot read {}", path.display())),
    }
}
