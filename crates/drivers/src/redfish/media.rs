//! Virtual media: an image from a URL, in the drive that takes a CD.

use serde_json::{Value, json};
use slipway_plan::node::bmc::{Command, Media};

use super::client::Client;
use super::errors::{Failure, Refusal};
use super::json::{Path, Resource, link, path, texts};
use super::tree::{Tree, unsupported};
use crate::docker::text::printable;

/// A BMC may ask for more with each refusal; a refused request has done nothing.
const TRIES: usize = 4;
/// URLs may be longer than what else a BMC says; they are compared.
const MAX_IMAGE: usize = 2048;
/// So many drives are looked at.
const MAX_DRIVES: usize = 8;

/// What is inserted.
pub(super) fn read(drive: &Value) -> Media {
    // Some never say whether it is inserted, and some keep the name of what was.
    let is_inserted = drive.get("Inserted").and_then(Value::as_bool).unwrap_or(true);
    let image = drive.get("Image").and_then(Value::as_str).filter(|_| is_inserted);
    Media { image: image.map(|image| printable(image, MAX_IMAGE)).filter(|image| !image.is_empty()) }
}

/// The drive: of the system (from Redfish 2021.1 on), else of a manager.
pub(super) async fn find(client: &mut Client, tree: &Tree, system: &Resource) -> Result<Option<Path>, Failure> {
    let mut places: Vec<Path> = link(&system.body, "/VirtualMedia").into_iter().collect();
    for manager in &tree.managers {
        if !places.is_empty() {
            break;
        }
        let manager = client.get_if_shown(manager).await?;
        places.extend(manager.and_then(|manager| link(&manager.body, "/VirtualMedia")));
    }
    for place in places {
        let drives = tree.members(client, &place).await?;
        let best = drives.iter().take(MAX_DRIVES).find(|drive| takes_cd(drive)).or(drives.first());
        if let Some(drive) = best {
            return Ok(Some(drive.path.clone()));
        }
    }
    Ok(None)
}

fn takes_cd(drive: &Resource) -> bool {
    let kinds = texts(&drive.body, "/MediaTypes");
    let name = drive.path.last().to_lowercase();
    kinds.iter().any(|kind| kind == "CD" || kind == "DVD") || (kinds.is_empty() && name.contains("cd"))
}

/// Inserts an image; another one that is there is ejected before.
pub(super) async fn insert(client: &mut Client, tree: &Tree, image: &str) -> Result<(), Failure> {
    let command = Command::InsertMedia { image: image.to_owned() };
    let mut drive = drive(client, tree, &command).await?;
    match read(&drive.body).image {
        Some(there) if there == image => return Ok(()),
        Some(_) => {
            take_out(client, &drive).await?;
            drive = client.get(&drive.path).await?;
        }
        None => {}
    }
    let Some(target) = target(&drive, "InsertMedia") else {
        return client.patch(drive, &json!({"Image": image, "Inserted": true, "WriteProtected": true})).await;
    };
    let mut body = json!({ "Image": image });
    for _ in 1..TRIES {
        match client.act(&target, &body).await {
            Err(Failure::Refused(refusal)) if complete(&mut body, &refusal) => {}
            done => return done,
        }
    }
    client.act(&target, &body).await
}

/// Adds what the BMC asks for. Whether there is anything to add.
fn complete(body: &mut Value, refusal: &Refusal) -> bool {
    let Some(fields) = body.as_object_mut() else { return false };
    let is_https = fields.get("Image").and_then(Value::as_str).is_some_and(|image| image.starts_with("https"));
    let additions: [(&str, &[(&str, &str)]); 3] = [
        ("TransferProtocolType", &[("TransferProtocolType", if is_https { "HTTPS" } else { "HTTP" })]),
        ("TransferMethod", &[("TransferMethod", "Stream")]),
        ("UserName", &[("UserName", "none"), ("Password", "none")]),
    ];
    for (asked, values) in additions {
        if refusal.status == 400 && refusal.mentions(asked) && !fields.contains_key(asked) {
            fields.extend(values.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
            return true;
        }
    }
    false
}

/// Takes out what is there.
pub(super) async fn eject(client: &mut Client, tree: &Tree) -> Result<(), Failure> {
    let drive = drive(client, tree, &Command::EjectMedia).await?;
    if read(&drive.body).image.is_none() {
        return Ok(());
    }
    take_out(client, &drive).await
}

async fn take_out(client: &mut Client, drive: &Resource) -> Result<(), Failure> {
    match target(drive, "EjectMedia") {
        Some(target) => client.act(&target, &json!({})).await,
        None => client.patch(drive.clone(), &json!({"Image": null, "Inserted": false})).await,
    }
}

async fn drive(client: &mut Client, tree: &Tree, command: &Command) -> Result<Resource, Failure> {
    let Some(path) = &tree.media else { return Err(unsupported(command, "it has no virtual media")) };
    client.get(path).await
}

/// Where an action is called; `None` where it has to be done by PATCH.
fn target(drive: &Resource, action: &str) -> Option<Path> {
    path(&drive.body, &format!("/Actions/#VirtualMedia.{action}/target"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_bmc_asks_for_is_added() {
        let mut body = json!({"Image": "http://h/a.iso"});
        let refusal = |words: &str| Refusal { status: 400, words: words.to_owned(), ..Refusal::default() };
        assert!(!complete(&mut body, &refusal("The image is too large")));
        assert!(complete(&mut body, &refusal("requires the parameter TransferProtocolType to be present")));
        assert!(!complete(&mut body, &refusal("requires the parameter TransferProtocolType to be present")));
        assert!(complete(&mut body, &refusal("requires the parameter UserName")));
        assert_eq!(
            body,
            json!({"Image": "http://h/a.iso", "TransferProtocolType": "HTTP", "UserName": "none", "Password": "none"})
        );
    }

    #[test]
    fn an_image_that_is_not_inserted_is_none() {
        assert_eq!(read(&json!({"Image": "http://h/a.iso", "Inserted": false})).image, None);
        assert!(read(&json!({"Image": "http://h/a.iso", "Inserted": true})).image.is_some());
        assert_eq!(read(&json!({"Image": "", "Inserted": true})).image, None);
    }
}
