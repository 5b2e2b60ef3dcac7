//! Programs that no package has in the wanted version: built once from pinned Go modules, then kept in a cache.

use std::fs::{self, File};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::images::sha256;
use super::run::output;

/// Programs of one Go module below `tools/`.
#[derive(Clone, Copy, Debug)]
pub struct GoTools {
    /// Folder below `tools/` with go.mod and go.sum.
    pub folder: &'static str,
    /// The required module whose version names the cache's folder.
    pub version_of: &'static str,
    /// Names of the programs, and the packages they are built from.
    pub programs: &'static [(&'static str, &'static str)],
    /// Linker flags; `{version}` is replaced.
    pub ldflags: &'static str,
}

/// etcd, kube-apiserver and kubectl.
pub const KUBE: GoTools = GoTools {
    folder: "kube",
    version_of: "k8s.io/kubernetes",
    programs: &[
        ("etcd", "go.etcd.io/etcd/server/v3"),
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    ],
    // A component without a version refuses to start: its feature gates are resolved by it.
    ldflags: "-s -w -X k8s.io/component-base/version.gitVersion={version} \
              -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35",
};

/// Docker Compose, the reference for what is made of a project.
pub const COMPOSE: GoTools = GoTools {
    folder: "compose",
    version_of: "github.com/docker/compose/v2",
    programs: &[("docker-compose", "github.com/docker/compose/v2/cmd")],
    ldflags: "-s -w -X github.com/docker/compose/v2/internal.Version={version}",
};

/// Oldest Go that builds them.
const GO: (u32, u32) = (1, 25);

/// The folder with etcd, kube-apiserver and kubectl: `KUBEBUILDER_ASSETS` if set, else the cache, else built now.
pub fn kube() -> Result<PathBuf> {
    let Some(dir) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()) else {
        return KUBE.dir();
    };
    let dir = PathBuf::from(dir);
    for (program, _) in KUBE.programs {
        if !dir.join(program).is_file() {
            bail!("KUBEBUILDER_ASSETS is {}, which has no {program}; unset it to have it built", dir.display());
        }
    }
    Ok(dir)
}

/// The folder that things worth keeping are cached in: `SLIPWAY_CACHE`, else `$XDG_CACHE_HOME/slipway`, else `~/.cache/slipway`.
pub fn cache() -> Result<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = var("SLIPWAY_CACHE")
        .or_else(|| Some(var("XDG_CACHE_HOME")?.join("slipway")))
        .or_else(|| Some(var("HOME")?.join(".cache/slipway")))
        .context("neither SLIPWAY_CACHE nor XDG_CACHE_HOME nor HOME is set: where to cache?")?;
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// The repository's root, as cargo says at run time: a program may be run in another checkout than it was built in.
pub fn repository() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().unwrap_or(Path::new("/")).to_owned()
}

/// Fills `cache()/key` by `make` unless it is there, and returns it. Only what is complete is ever seen under that name,
/// and of several processes one fills it while the others wait.
pub fn cached(key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache()?;
    let place = cache.join(key);
    if place.exists() {
        return Ok(place);
    }
    let lock = File::options().create(true).append(true).open(cache.join(format!("{key}.lock")))?;
    if lock.try_lock().is_err() {
        eprintln!("lab: another process is making {key}; waiting for it");
        lock.lock()?;
    }
    if place.exists() {
        return Ok(place);
    }
    let partial = cache.join(format!("{key}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    make(&partial)?;
    fs::rename(&partial, &place)?;
    Ok(place)
}

impl GoTools {
    /// The folder with the programs, built now if the cache has none of this version.
    pub fn dir(&self) -> Result<PathBuf> {
        let source = repository().join("tools").join(self.folder);
        let module = fs::read_to_string(source.join("go.mod"))
            .with_context(|| format!("cannot read go.mod in {}", source.display()))?;
        let sums = fs::read_to_string(source.join("go.sum"))?;
        let version = required_version(&module, self.version_of)?;
        let hash = sha256(format!("{module}{sums}{:?}{}", self.programs, self.ldflags).as_bytes());
        cached(&format!("{}-{version}-{hash:.12}", self.folder), |dir| self.build(&source, &version, dir))
    }

    fn build(&self, source: &Path, version: &str, dir: &Path) -> Result<()> {
        check_go(source)?;
        let began = Instant::now();
        let ldflags = self.ldflags.replace("{version}", version);
        for (index, (program, package)) in self.programs.iter().enumerate() {
            let step = format!(
                "building {program} ({}/{}) from {} {version}",
                index + 1,
                self.programs.len(),
                self.version_of
            );
            let mut go = Command::new("go");
            go.current_dir(source).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly");
            go.args(["build", "-trimpath", "-ldflags", &ldflags, "-o"]).arg(dir.join(program)).arg(package);
            with_progress(&step, &mut go)?;
        }
        eprintln!("lab: built {} {version} in {:.0?}", self.folder, began.elapsed());
        Ok(())
    }
}

/// Runs a command to its end, saying on stderr that it does, and from time to time that it still does.
pub fn with_progress(step: &str, command: &mut Command) -> Result<()> {
    let every = if std::io::stderr().is_terminal() { 5 } else { 20 };
    eprintln!("lab: {step}");
    let errors = tempfile::NamedTempFile::new()?;
    let began = Instant::now();
    let mut next = Duration::from_secs(every);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(errors.reopen()?)
        .stderr(errors.reopen()?)
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if began.elapsed() >= next {
            eprintln!("lab: {step}: {} s", began.elapsed().as_secs());
            next += Duration::from_secs(every);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        bail!("{step}: {program} ended with {status}:\n{}", super::process::tail(errors.path(), 40));
    }
    Ok(())
}

/// The version that go.mod requires of a module.
fn required_version(module: &str, path: &str) -> Result<String> {
    module
        .lines()
        .filter_map(|line| line.trim().strip_prefix("require ").unwrap_or(line.trim()).strip_prefix(path))
        .find_map(|rest| rest.split_whitespace().next().filter(|word| word.starts_with('v')))
        .map(str::to_owned)
        .with_context(|| format!("go.mod does not require {path}"))
}

fn check_go(source: &Path) -> Result<()> {
    let hint = format!("install Go {}.{} or newer (https://go.dev/dl/), or set KUBEBUILDER_ASSETS", GO.0, GO.1);
    // In the module's folder: there a Go that can fetch the toolchain that go.mod asks for already says so.
    let version = output(Command::new("go").args(["env", "GOVERSION"]).current_dir(source))
        .with_context(|| format!("Go is needed to build etcd and the API server: {hint}"))?;
    let version = version.trim().trim_start_matches("go");
    let mut numbers = version.split(['.', '-', 'r', 'b']).map(|part| part.parse::<u32>().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < GO {
        bail!("Go {version} is too old: {hint}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_both_forms_of_require() {
        let module = "require example.org/a v1.2.3\n\nrequire (\n\texample.org/b v2.0.0 // indirect\n)\nreplace example.org/b => x v9.9.9\n";
        assert_eq!(required_version(module, "example.org/a").unwrap(), "v1.2.3");
        assert_eq!(required_version(module, "example.org/b").unwrap(), "v2.0.0");
        assert!(required_version(module, "example.org/c").is_err());
    }
}
