//! Boot actions: pipelines, templates, and what they render to on a Node.
//!
//! Templates are Jinja. They see `node.hostname`, `node.domain`, `node.tags`, `node.labels`, `node.network.NAME.ip`, `.cidr`
//! and `.dns_suffix` of each static address, `node.network.default`, `node.interfaces.NAME.sriov`, and `action.action_id`,
//! `action.action_key`, `action.report_url`, `action.design_ref`.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};
use slipway_api::design::{Asset, AssetType, BootAction, LocationStep, PipelineStep};

use super::model::{AddressKind, NodeModel};
use super::rules::Check;
use super::site::Site;

/// Instructions that one rendering may take.
const FUEL: u64 = 50_000;
/// Bytes that one rendering may write.
const OUTPUT: usize = 1 << 20;
/// How the engine's message begins if a value is used that is not there.
pub(super) const UNDEFINED: &str = "undefined value";
/// File mode of an asset that names none.
const MODE: u32 = 0o600;

/// What a template can see of a run, beside its Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Identifies the action on this Node, in this run.
    pub action_id: String,
    /// Proves who reports; a secret.
    pub action_key: String,
    /// Where to report to.
    pub report_url: String,
    /// The Design.
    pub design_ref: String,
}

impl Run {
    /// Stands in for a run where only the form matters.
    pub fn example() -> Self {
        Self {
            action_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            action_key: "0".repeat(64),
            report_url: "http://localhost/bootactions/".into(),
            design_ref: "design".into(),
        }
    }
}

/// An asset as a Node gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Unit or file.
    pub type_: AssetType,
    /// Where it is put.
    pub path: String,
    /// Mode of the file.
    pub mode: u32,
    /// What it holds, or where to fetch that.
    pub content: Content,
}

/// Where the content of an asset comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// It is here.
    Data(Vec<u8>),
    /// To be fetched, and then to be put through the asset's `dataPipeline`.
    Location(String),
}

/// Why something does not render.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The template is wrong.
    #[error("{0}")]
    Template(String),
    /// It uses a value that this Node does not have.
    #[error("{0}")]
    Undefined(String),
    /// The content does not suit a step.
    #[error("{0}")]
    Pipeline(String),
}

impl RenderError {
    pub(super) fn check(&self) -> Check {
        match self {
            Self::Template(_) => Check::TemplateInvalid,
            Self::Undefined(_) => Check::TemplateUndefined,
            Self::Pipeline(_) => Check::PipelineFails,
        }
    }
}

/// Those things of a Node that decide whether a template renders on it: which values there are, not what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Shape(u64);

impl Shape {
    pub(super) fn of(model: &NodeModel) -> Self {
        let mut hasher = DefaultHasher::new();
        for address in &model.addressing {
            (matches!(address.address, AddressKind::Static(_)), &address.network).hash(&mut hasher);
        }
        for interface in &model.network.interfaces {
            (&interface.name, interface.sriov.is_some()).hash(&mut hasher);
        }
        model.metadata.owner_data.keys().for_each(|key| key.hash(&mut hasher));
        model.metadata.labels.keys().for_each(|key| key.hash(&mut hasher));
        (model.metadata.tags.len(), model.primary_network.is_some()).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// What templates see.
pub(super) fn template_context(site: &Site, model: &NodeModel, run: &Run) -> Value {
    let mut network: BTreeMap<&str, Value> = BTreeMap::new();
    for address in &model.addressing {
        if let AddressKind::Static(ip) = address.address {
            let facts = site.facts(&address.network);
            let cidr = facts.and_then(|facts| facts.model.cidr).map(|cidr| cidr.to_string());
            let suffix = facts.and_then(|facts| facts.model.dns.domain.clone());
            network.insert(&address.network, context! { ip => ip.to_string(), cidr, dns_suffix => suffix });
        }
    }
    if let Some(default) = model.primary_network.as_ref().and_then(|primary| network.get(&*primary.value)).cloned() {
        network.insert("default", default);
    }
    let interfaces: BTreeMap<&str, Value> = model
        .network
        .interfaces
        .iter()
        .map(|interface| {
            let value = match &interface.sriov {
                None => context! { sriov => false },
                Some(sriov) => context! {
                    sriov => true, vf_count => sriov.vf_count.value, trustedmode => sriov.trusted.value
                },
            };
            (&*interface.name, value)
        })
        .collect();
    let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
    labels.extend(model.metadata.owner_data.iter().map(|(key, value)| (&**key, &*value.value)));
    labels.extend(model.metadata.labels.iter().map(|(key, value)| (&**key, &*value.value)));
    let tags: Vec<Value> = model.metadata.tags.iter().map(|tag| Value::from(&*tag.value)).collect();
    context! {
        node => context! {
            hostname => &*model.name,
            domain => &*model.domain.value,
            tags,
            labels => Value::from_pairs(labels),
            network => Value::from_pairs(network),
            interfaces => Value::from_pairs(interfaces),
        },
        action => context! {
            action_id => run.action_id.as_str(),
            action_key => run.action_key.as_str(),
            report_url => run.report_url.as_str(),
            design_ref => run.design_ref.as_str(),
        },
    }
}

/// What a boot action puts on a Node. Package lists are not among it: they are installed, not written.
pub(super) fn render(
    action: &BootAction,
    seen: &Value,
    undefined: UndefinedBehavior,
) -> Vec<Result<Rendered, (usize, &'static str, RenderError)>> {
    let files = action.assets.iter().enumerate().filter(|(_, asset)| asset.type_ != AssetType::PackageList);
    let rendered = files.map(|(index, asset)| {
        let content = match (&asset.location, &asset.data) {
            (Some(location), _) => {
                let location = location.clone().into_bytes();
                let steps: Vec<_> =
                    asset.location_pipeline.iter().map(|LocationStep::Template| PipelineStep::Template).collect();
                let text = pipeline(location, &steps, seen, undefined).map_err(|e| (index, "location", e))?;
                Content::Location(String::from_utf8_lossy(&text).into_owned())
            }
            (None, data) => {
                let data = data.clone().unwrap_or_default().into_bytes();
                Content::Data(pipeline(data, &asset.data_pipeline, seen, undefined).map_err(|e| (index, "data", e))?)
            }
        };
        let mode = asset.permissions.as_deref().and_then(mode).unwrap_or(MODE);
        Ok(Rendered { type_: asset.type_, path: asset.path.clone().unwrap_or_default(), mode, content })
    });
    rendered.collect()
}

/// Whether an asset is the same on every Node.
pub(super) fn is_fixed(asset: &Asset) -> bool {
    !asset.data_pipeline.contains(&PipelineStep::Template) && asset.location_pipeline.is_empty()
}

/// A file mode: three octal digits or more, also as Python writes them.
pub(super) fn mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let is_octal = digits.len() >= 3 && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    u32::from_str_radix(digits, 8).ok().filter(|mode| is_octal && *mode <= 0o7777)
}

/// Puts content through a pipeline.
fn pipeline(
    mut content: Vec<u8>,
    steps: &[PipelineStep],
    seen: &Value,
    undefined: UndefinedBehavior,
) -> Result<Vec<u8>, RenderError> {
    for step in steps {
        content = match step {
            PipelineStep::Template => template(&content, seen, undefined)?,
            step => fixed(content, [*step]).map_err(RenderError::Pipeline)?,
        };
    }
    Ok(content)
}

/// The steps that need no Node. An error says why.
pub(super) fn fixed(mut content: Vec<u8>, steps: impl IntoIterator<Item = PipelineStep>) -> Result<Vec<u8>, String> {
    for step in steps {
        match step {
            PipelineStep::Base64Encode => content = base64_engine().encode(&content).into_bytes(),
            PipelineStep::Base64Decode => {
                // As Python's b64decode, which drydock uses: what is not of the alphabet is passed over.
                content.retain(|b| b.is_ascii_alphanumeric() || b"+/=".contains(b));
                content = base64_engine().decode(&content).map_err(|error| format!("is not base64: {error}"))?;
            }
            PipelineStep::Utf8Decode | PipelineStep::Utf8Encode | PipelineStep::Template => {
                std::str::from_utf8(&content).map_err(|error| format!("is not UTF-8: {error}"))?;
            }
        }
    }
    Ok(content)
}

fn base64_engine() -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical);
    GeneralPurpose::new(&alphabet::STANDARD, config)
}

/// Renders a template. Where it must be strict, a value that is not there is an error of its own if the template renders
/// without it, as Jinja does by default.
fn template(source: &[u8], seen: &Value, undefined: UndefinedBehavior) -> Result<Vec<u8>, RenderError> {
    let source =
        std::str::from_utf8(source).map_err(|error| RenderError::Pipeline(format!("is not UTF-8: {error}")))?;
    let error = match rendered(source, seen, undefined) {
        Ok(content) => return Ok(content),
        Err(error) => error,
    };
    let message = described(&error);
    let is_strict = undefined == UndefinedBehavior::Strict && error.kind() == ErrorKind::UndefinedError;
    if is_strict && rendered(source, seen, UndefinedBehavior::Lenient).is_ok() {
        return Err(RenderError::Undefined(message));
    }
    Err(RenderError::Template(message))
}

fn rendered(source: &str, seen: &Value, undefined: UndefinedBehavior) -> Result<Vec<u8>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(undefined);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(50);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    let mut output = Bounded(Vec::new());
    environment.template_from_str(source)?.render_captured_to(seen.clone(), &mut output)?;
    Ok(output.0)
}

/// The engine's message in one line, bounded, with the line of the template.
fn described(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" in line {line} of the template")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail:.200}")).unwrap_or_default();
    format!("{}{detail}{line}", error.kind())
}

struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT {
            return Err(io::Error::other(format!("more than {OUTPUT} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
