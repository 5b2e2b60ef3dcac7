//! How a host is: what the BMC sums up, and which part it is that makes it so.

use serde_json::Value;
use slipway_plan::node::bmc::{Health, HealthLevel, Sensor};

use super::client::Client;
use super::errors::Failure;
use super::json::{Path, elements, link, number, text, word};
use super::tree::Tree;

/// So many chassis are looked at.
const MAX_CHASSIS: usize = 4;
/// Where older BMCs list what is measured, in `Thermal` and `Power`.
const LISTS: [&str; 5] = ["/Temperatures", "/Fans", "/PowerSupplies", "/Voltages", "/Redundancy"];

/// The health of a resource and all below it.
pub(super) fn rollup(resource: &Value) -> HealthLevel {
    let own = level(resource, "/Status/Health");
    level(resource, "/Status/HealthRollup").max(level(resource, "/Status/HealthRollUp")).max(own)
}

/// How bad a word of the schema says that something is.
pub(super) fn named(word: Option<&str>) -> HealthLevel {
    match word {
        Some("ok") => HealthLevel::Ok,
        Some("warning") => HealthLevel::Warning,
        Some("critical") => HealthLevel::Critical,
        _ => HealthLevel::Unknown,
    }
}

fn level(resource: &Value, pointer: &str) -> HealthLevel {
    named(word(resource, pointer).as_deref())
}

/// How the host is. Only if it is not well is it looked for why, and not at a slow BMC: that takes many requests.
pub(super) async fn health(client: &mut Client, tree: &Tree) -> Result<Health, Failure> {
    let system = client.get(&tree.system).await?;
    let mut whole = rollup(&system.body);
    let mut chassis = Vec::new();
    for path in tree.chassis.iter().take(MAX_CHASSIS) {
        chassis.extend(client.get_if_shown(path).await?);
    }
    for one in &chassis {
        whole = whole.max(rollup(&one.body));
    }
    if whole <= HealthLevel::Ok || client.is_slow() {
        return Ok(Health { level: whole, worst: None });
    }
    let mut worst: Option<Sensor> = None;
    // A part that is as bad as the whole is what was looked for.
    let is_found = |worst: &Option<Sensor>| worst.as_ref().is_some_and(|worst| worst.level >= whole);
    for one in &chassis {
        for list in ["/Thermal", "/Power"].iter().filter_map(|pointer| link(&one.body, pointer)) {
            let list = client.get_if_shown(&list).await?;
            keep_worst(&mut worst, list.map_or_else(Vec::new, |list| sensors(&list.body)));
        }
        let subsystems = [("/Sensors", ""), ("/ThermalSubsystem", "/Fans"), ("/PowerSubsystem", "/PowerSupplies")];
        for (pointer, below) in subsystems {
            if is_found(&worst) {
                break;
            }
            let Some(place) = place(client, link(&one.body, pointer), below).await? else { continue };
            keep_worst(&mut worst, parts(client, tree, &place).await?);
        }
    }
    for pointer in ["/Memory", "/Processors", "/Storage", "/EthernetInterfaces"] {
        if is_found(&worst) {
            break;
        }
        let Some(place) = link(&system.body, pointer) else { continue };
        keep_worst(&mut worst, parts(client, tree, &place).await?);
    }
    Ok(Health { level: whole, worst })
}

/// The collection behind a link, or below the resource behind it.
async fn place(client: &mut Client, path: Option<Path>, below: &str) -> Result<Option<Path>, Failure> {
    match path {
        Some(path) if !below.is_empty() => {
            let resource = client.get_if_shown(&path).await?;
            Ok(resource.and_then(|resource| link(&resource.body, below)))
        }
        path => Ok(path),
    }
}

/// Members that are not well.
async fn parts(client: &mut Client, tree: &Tree, collection: &Path) -> Result<Vec<Sensor>, Failure> {
    Ok(tree.members(client, collection).await?.iter().filter_map(|part| sensor(&part.body)).collect())
}

/// What is not well among the things that are listed in one resource.
pub(super) fn sensors(resource: &Value) -> Vec<Sensor> {
    LISTS.iter().flat_map(|list| elements(resource, list)).filter_map(sensor).collect()
}

/// A sensor or part, if it is not well.
fn sensor(part: &Value) -> Option<Sensor> {
    let level = rollup(part);
    if level <= HealthLevel::Ok {
        return None;
    }
    let name = ["/Name", "/MemberId", "/Id"].iter().find_map(|pointer| text(part, pointer))?;
    Some(Sensor { name, level, reading: reading(part) })
}

/// What it reads, with its unit; else the state it is in.
fn reading(part: &Value) -> Option<String> {
    let measured = |pointer: &str, unit: &str| Some(format!("{} {unit}", number(part, pointer)?));
    let unit = || text(part, "/ReadingUnits").unwrap_or_default();
    let unit = match unit().as_str() {
        "Cel" => "°C".to_owned(),
        _ => unit(),
    };
    measured("/ReadingCelsius", "°C")
        .or_else(|| measured("/ReadingVolts", "V"))
        .or_else(|| measured("/Reading", &unit))
        .map(|reading| reading.trim_end().to_owned())
        .or_else(|| text(part, "/Status/State").filter(|state| state != "Enabled"))
}

fn keep_worst(worst: &mut Option<Sensor>, found: Vec<Sensor>) {
    for sensor in found {
        if worst.as_ref().is_none_or(|worst| worst.level < sensor.level) {
            *worst = Some(sensor);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_worse_of_own_and_rolled_up_counts() {
        let status = |status: Value| rollup(&json!({ "Status": status }));
        assert_eq!(status(json!({"Health": "OK", "HealthRollup": "Critical"})), HealthLevel::Critical);
        assert_eq!(status(json!({"Health": "Warning"})), HealthLevel::Warning);
        assert_eq!(status(json!({"Health": "Ok"})), HealthLevel::Ok);
        assert_eq!(status(json!({"Health": null})), HealthLevel::Unknown);
        assert_eq!(rollup(&json!(["Status"])), HealthLevel::Unknown);
    }

    #[test]
    fn a_sensor_says_what_it_reads() {
        let thermal = json!({
            "Temperatures": [
                {"Name": "Inlet", "ReadingCelsius": 21, "Status": {"Health": "OK"}},
                {"Name": "CPU1 Temp", "ReadingCelsius": 96.5, "Status": {"Health": "Critical"}},
            ],
            "Fans": [{"Name": "Fan 3", "Reading": 0, "ReadingUnits": "RPM", "Status": {"Health": "Warning"}}],
            "PowerSupplies": [{"Name": "PSU 2", "Status": {"State": "UnavailableOffline", "Health": "Warning"}}],
        });
        let said: Vec<_> = sensors(&thermal).into_iter().map(|it| (it.name, it.reading.unwrap_or_default())).collect();
        let pair = |name: &str, reading: &str| (name.to_owned(), reading.to_owned());
        assert_eq!(said, [pair("CPU1 Temp", "96.5 °C"), pair("Fan 3", "0 RPM"), pair("PSU 2", "UnavailableOffline")]);
        let mut worst = None;
        keep_worst(&mut worst, sensors(&thermal));
        assert_eq!(worst.unwrap().name, "CPU1 Temp");
    }
}
