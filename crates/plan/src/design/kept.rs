//! A site that was good, kept for the time when it is not: what it was compiled from, which the compiler makes the same
//! model of, at a tenth of the model's size; as compressed JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec_with_limit;
use serde::{Deserialize, Serialize};
use slipway_api::design::{DesignSpec, NodeDesign};

use super::compiler::Compiler;
use super::model::Text;
use super::source::{Broken, DesignSource, NodeSource};

/// Level of compression: higher ones take longer and gain next to nothing.
const LEVEL: u8 = 6;
/// Bytes of JSON that are read back: a site of 50 000 Nodes.
const LIMIT: usize = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    designs: Vec<KeptDesign<'a>>,
    nodes: Vec<KeptNode<'a>>,
}

#[derive(Serialize, Deserialize)]
struct KeptDesign<'a> {
    object: Cow<'a, str>,
    base: Cow<'a, str>,
    spec: Cow<'a, DesignSpec>,
}

#[derive(Serialize, Deserialize)]
struct KeptNode<'a> {
    name: Cow<'a, str>,
    labels: Cow<'a, BTreeMap<String, String>>,
    design: Cow<'a, NodeDesign>,
    bmc_address: Option<Cow<'a, str>>,
    has_bmc_credentials: bool,
}

/// What a site was compiled from.
pub fn pack(compiler: &Compiler) -> Vec<u8> {
    let kept = Kept {
        designs: compiler.designs().iter().map(KeptDesign::of).collect(),
        nodes: compiler.node_sources().map(KeptNode::of).collect(),
    };
    compress_to_vec(&serde_json::to_vec(&kept).unwrap_or_default(), LEVEL)
}

/// The site compiled anew. An error says what is wrong with the bytes.
pub fn unpack(bytes: &[u8]) -> Result<Compiler, String> {
    let json = decompress_to_vec_with_limit(bytes, LIMIT).map_err(|error| error.to_string())?;
    let kept: Kept<'_> = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    let designs = kept.designs.into_iter().map(KeptDesign::source);
    let nodes = kept.nodes.into_iter().map(KeptNode::source);
    Ok(Compiler::new(designs.collect(), Vec::new(), nodes.collect()))
}

impl<'a> KeptDesign<'a> {
    fn of(source: &'a DesignSource) -> Self {
        Self {
            object: Cow::Borrowed(&source.object),
            base: Cow::Borrowed(&source.base),
            spec: Cow::Borrowed(&source.spec),
        }
    }

    fn source(self) -> DesignSource {
        DesignSource {
            object: self.object.into_owned(),
            base: self.base.into_owned(),
            spec: Arc::new(self.spec.into_owned()),
            broken: Broken::default(),
        }
    }
}

impl<'a> KeptNode<'a> {
    fn of(source: &'a NodeSource) -> Self {
        Self {
            name: Cow::Borrowed(&source.name),
            labels: Cow::Borrowed(&source.labels),
            design: Cow::Borrowed(&source.design),
            bmc_address: source.bmc_address.as_deref().map(Cow::Borrowed),
            has_bmc_credentials: source.has_bmc_credentials,
        }
    }

    fn source(self) -> NodeSource {
        NodeSource {
            name: Text::from(self.name.into_owned()),
            labels: Arc::new(self.labels.into_owned()),
            design: Arc::new(self.design.into_owned()),
            bmc_address: self.bmc_address.map(Cow::into_owned),
            has_bmc_credentials: self.has_bmc_credentials,
            broken: Broken::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::files::SiteFiles;
    use super::*;

    #[test]
    fn a_site_comes_back_as_it_was() {
        let lab = include_str!("../../tests/design/sites/lab.yaml");
        let mut sites = SiteFiles::read([("lab.yaml", lab)]).compile();
        let compiler = sites.remove("lab").unwrap();
        let bytes = pack(&compiler);
        let back = unpack(&bytes).unwrap();
        assert_eq!(back.hash(), compiler.hash());
        assert_eq!(back.groups(), compiler.groups());
        assert_eq!(pack(&back), bytes, "the same site has the same bytes");
        assert!(bytes.len() < lab.len(), "{} bytes", bytes.len());
    }

    #[test]
    fn what_is_no_site_is_refused_and_a_bomb_has_its_bound() {
        assert!(unpack(b"nonsense").is_err());
        assert!(unpack(&compress_to_vec(b"{}", LEVEL)).is_err());
        assert!(unpack(&compress_to_vec(&vec![b' '; LIMIT + 1], LEVEL)).is_err());
    }
}
