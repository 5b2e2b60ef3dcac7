//! Power: what it is, and `ComputerSystem.Reset` with the values that the BMC itself offers.

use std::time::Duration;

use serde_json::{Value, json};
use slipway_plan::node::bmc::{Command, PowerState};

use super::client::Client;
use super::errors::Failure;
use super::json::{Path, Resource, elements, path, spelled, text, texts, word};
use super::tree::{Tree, unsupported};

const ACTION: &str = "/Actions/#ComputerSystem.Reset";
/// What a power cycle is made of where the BMC has none.
const OFF_AND_ON: [&str; 2] = ["ForceOff", "On"];
/// Time between looks whether the host is off.
const OFF_LOOK: Duration = Duration::from_millis(500);

/// The host's power.
pub(super) fn state(system: &Value) -> PowerState {
    match word(system, "/PowerState").as_deref() {
        Some("on") => PowerState::On,
        Some("off") => PowerState::Off,
        Some("poweringon") => PowerState::PoweringOn,
        Some("poweringoff") => PowerState::PoweringOff,
        _ => PowerState::Unknown,
    }
}

/// When the host was last reset, if the BMC tells; year 0 is its word for not knowing (Dell).
pub(super) fn last_reset(system: &Value) -> Option<String> {
    text(system, "/LastResetTime").filter(|time| !time.starts_with("0000"))
}

/// Sends a reset, once. What is so already is not asked for again: some BMCs refuse it, for others it is a restart.
pub(super) async fn reset(client: &mut Client, tree: &Tree, command: &Command) -> Result<(), Failure> {
    let system = client.get(&tree.system).await?;
    let power = state(&system.body);
    match (command, power) {
        (Command::PowerOn, PowerState::On) | (Command::ForceOff | Command::ShutDown, PowerState::Off) => return Ok(()),
        _ => {}
    }
    let offered = offered(client, &system).await?;
    let wanted = wanted(command, power);
    let value = match &offered {
        // A BMC that does not say what it takes is told the name that the specification has.
        None => wanted.first().map(|value| (*value).to_owned()),
        Some(offered) => wanted.iter().find_map(|value| spelled(offered, value)),
    };
    let Some(value) = value else {
        let offered = offered.unwrap_or_default();
        if *command == Command::PowerCycle
            && power == PowerState::On
            && let [Some(off), Some(on)] = OFF_AND_ON.map(|value| spelled(&offered, value))
        {
            return off_and_on(client, tree, &target(&system), [off, on]).await;
        }
        let offered = offered.join(", ");
        return Err(unsupported(command, &format!("the resets that it offers are {offered}")));
    };
    client.act(&target(&system), &json!({ "ResetType": value })).await
}

/// A power cycle where the BMC has none: off, and on once it is off, each sent once. If it does not go off, or is not heard
/// of, nothing more is sent: what came of it is for the caller to find out.
async fn off_and_on(client: &mut Client, tree: &Tree, target: &Path, values: [String; 2]) -> Result<(), Failure> {
    let [off, on] = values;
    client.act(target, &json!({ "ResetType": off })).await?;
    let half_done = |failure: Failure| failure.in_doubt("the host was told to go off, and not yet to go on");
    loop {
        let system = client.get(&tree.system).await.map_err(half_done)?;
        if state(&system.body) == PowerState::Off {
            break;
        }
        client.pause(OFF_LOOK).await.map_err(half_done)?;
    }
    client.act(target, &json!({ "ResetType": on })).await.map_err(half_done)
}

/// The values that do it, best first.
fn wanted(command: &Command, power: PowerState) -> &'static [&'static str] {
    match command {
        Command::PowerOn => &["On", "ForceOn"],
        // A short press of the button asks the operating system too, but turns on what is off.
        Command::ShutDown if power == PowerState::On => &["GracefulShutdown", "PushPowerButton"],
        Command::ShutDown => &["GracefulShutdown"],
        Command::ForceOff => &["ForceOff"],
        Command::GracefulRestart => &["GracefulRestart"],
        Command::Reset => &["ForceRestart"],
        Command::PowerCycle => &["PowerCycle"],
        _ => &[],
    }
}

/// What the BMC takes, if it tells: in the action, or in the action's `ActionInfo` (DSP0266, "Action info").
async fn offered(client: &mut Client, system: &Resource) -> Result<Option<Vec<String>>, Failure> {
    let annotated = format!("{ACTION}/ResetType@Redfish.AllowableValues");
    let inline = texts(&system.body, &annotated);
    if !inline.is_empty() {
        return Ok(Some(inline));
    }
    let Some(info) = path(&system.body, &format!("{ACTION}/@Redfish.ActionInfo")) else { return Ok(None) };
    let info = client.get_if_any(&info).await?;
    Ok(info.and_then(|info| {
        let is_type = |parameter: &&Value| text(parameter, "/Name").as_deref() == Some("ResetType");
        let values = |parameter| texts(parameter, "/AllowableValues");
        // A list of nothing says nothing.
        elements(&info.body, "/Parameters").find(is_type).map(values).filter(|values| !values.is_empty())
    }))
}

fn target(system: &Resource) -> Path {
    path(&system.body, &format!("{ACTION}/target")).unwrap_or_else(|| system.path.join("Actions/ComputerSystem.Reset"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_nobody_knows_is_unknown() {
        for (said, state_) in [
            (json!("On"), PowerState::On),
            (json!("OFF"), PowerState::Off),
            (json!("PoweringOff"), PowerState::PoweringOff),
            (json!("Paused"), PowerState::Unknown),
            (json!(1), PowerState::Unknown),
            (Value::Null, PowerState::Unknown),
        ] {
            assert_eq!(state(&json!({ "PowerState": said })), state_);
        }
    }

    #[test]
    fn the_button_is_pressed_only_on_what_runs() {
        assert!(wanted(&Command::ShutDown, PowerState::On).contains(&"PushPowerButton"));
        assert!(!wanted(&Command::ShutDown, PowerState::Unknown).contains(&"PushPowerButton"));
    }

    #[test]
    fn a_reset_time_of_year_zero_is_not_said() {
        assert_eq!(last_reset(&json!({"LastResetTime": "0000-00-00T00:00:00+00:00"})), None);
        assert!(last_reset(&json!({"LastResetTime": "2026-11-21T10:00:00Z"})).is_some());
    }
}
