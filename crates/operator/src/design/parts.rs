//! The parts of a Design as they are now: itself, the Designs that it includes, and the texts of ConfigMaps.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use kube::ResourceExt;
use slipway_api::Design;
use slipway_api::design::IncludeSource;
use slipway_plan::Finding;
use slipway_plan::design::DesignSource;
use slipway_plan::design::namespace::roots;
use slipway_plan::design::source::{NotIncluded, read_text, with_includes};

use crate::error::Error;
use crate::reconcile::{Cache, Key, Pass};

/// ConfigMaps that are read for one Design; what lies beyond is not there.
const MOST_TEXTS: usize = 256;

/// The parts of a Design.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The Design itself first.
    pub sources: Vec<DesignSource>,
    /// What is wrong with the includes.
    pub findings: Vec<Finding>,
    /// Equal for equal parts.
    pub stamp: u64,
    /// The ConfigMaps that were asked for.
    pub config_maps: BTreeSet<String>,
}

/// The key of a ConfigMap, by name.
type Entry = (String, String);

/// What there is under it.
struct Text {
    /// The content, or why there is none.
    source: Result<DesignSource, NotIncluded>,
    /// What is wrong with it.
    unreadable: Option<Finding>,
    stamp: u64,
}

/// Reads all parts: from the cache, and ConfigMaps from the API server.
pub async fn read(designs: &Cache<Design>, pass: &Pass<Design>) -> Result<Parts, Error> {
    let mut texts: HashMap<Entry, Text> = HashMap::new();
    loop {
        let wanted = RefCell::new(BTreeSet::new());
        let (sources, mut findings) = gather(designs, pass, &texts, &wanted);
        let wanted = wanted.into_inner();
        if wanted.is_empty() || texts.len() > MOST_TEXTS {
            findings.extend(texts.values().filter_map(|text| text.unreadable.clone()));
            let config_maps = texts.keys().map(|(name, _)| name.clone()).collect();
            let stamp = stamp(designs, pass, &sources, &texts);
            return Ok(Parts { sources, findings, stamp, config_maps });
        }
        for entry in wanted {
            let text = text(pass, &entry).await?;
            texts.insert(entry, text);
        }
    }
}

fn gather(
    designs: &Cache<Design>,
    pass: &Pass<Design>,
    texts: &HashMap<Entry, Text>,
    wanted: &RefCell<BTreeSet<Entry>>,
) -> (Vec<DesignSource>, Vec<Finding>) {
    let object = pass.object();
    let root = DesignSource::of_spec(&pass.key.name, Arc::new(object.spec.clone()));
    with_includes(root, &|include| match include {
        IncludeSource::DesignRef(reference) => {
            let other = designs.get(&Key::new(&pass.key.namespace, &reference.name));
            let other = other.ok_or_else(|| NotIncluded::Missing(format!("Design/{} is not there", reference.name)))?;
            Ok(DesignSource::of_spec(&reference.name, Arc::new(other.spec.clone())))
        }
        IncludeSource::ConfigMapKeyRef(reference) => {
            let entry = (reference.name.clone(), reference.key.clone());
            if let Some(text) = texts.get(&entry) {
                return text.source.clone();
            }
            wanted.borrow_mut().insert(entry);
            Err(NotIncluded::Missing("it has not been read yet".to_owned()))
        }
    })
}

async fn text(pass: &Pass<Design>, (name, key): &Entry) -> Result<Text, Error> {
    let object = format!("ConfigMap/{name}");
    let config_map = pass.config_map(name).await?;
    let content = config_map.and_then(|config_map| config_map.data?.remove(key));
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    let stamp = hasher.finish();
    let missing = || NotIncluded::Missing(format!("{object} with a text in its key {key} is not there"));
    let (source, unreadable) = match content.map(|content| read_text(&object, key, &content)) {
        Some(Ok(Some(document))) => (Ok(DesignSource::of_config_map(name, key, &document.value)), None),
        Some(Ok(None)) | None => (Err(missing()), None),
        Some(Err(finding)) => (Err(NotIncluded::Unreadable), Some(finding)),
    };
    Ok(Text { source, unreadable, stamp })
}

/// Generations count the changes of a spec, and texts have a hash.
fn stamp(designs: &Cache<Design>, pass: &Pass<Design>, sources: &[DesignSource], texts: &HashMap<Entry, Text>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for source in sources {
        source.object.hash(&mut hasher);
        let name = source.object.strip_prefix("Design/");
        let design = name.and_then(|name| designs.get(&Key::new(&pass.key.namespace, name)));
        let of = |design: &Design| (design.uid(), design.metadata.generation);
        design.as_deref().map(of).hash(&mut hasher);
    }
    (pass.object().uid(), pass.generation()).hash(&mut hasher);
    let texts: BTreeMap<&Entry, u64> = texts.iter().map(|(entry, text)| (entry, text.stamp)).collect();
    texts.hash(&mut hasher);
    hasher.finish()
}

/// The Design that a Design is a part of, if it is no site of its own.
pub fn part_of(designs: &[Arc<Design>], name: &str) -> Option<String> {
    let all: BTreeMap<&str, Vec<&str>> =
        designs.iter().filter_map(|design| Some((design.metadata.name.as_deref()?, included(design)))).collect();
    let roots = roots(&all);
    if roots.contains(name) || !all.contains_key(name) {
        return None;
    }
    roots.into_iter().find(|root| reaches(&all, root, name)).map(str::to_owned)
}

fn included(design: &Design) -> Vec<&str> {
    design
        .spec
        .include
        .iter()
        .filter_map(|include| match include {
            IncludeSource::DesignRef(reference) => Some(reference.name.as_str()),
            IncludeSource::ConfigMapKeyRef(_) => None,
        })
        .collect()
}

fn reaches(all: &BTreeMap<&str, Vec<&str>>, from: &str, to: &str) -> bool {
    let (mut open, mut seen) = (vec![from], HashSet::new());
    while let Some(next) = open.pop() {
        if next == to {
            return true;
        }
        if seen.insert(next) {
            open.extend(all.get(next).into_iter().flatten().copied());
        }
    }
    false
}
