//! The real `ipmitool` against the fake BMC: what neither our client nor the fake can know of each other's mistakes.
//!
//! Needs ipmitool 1.8.19, the first with cipher suite 17.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use slipway_fakes::bmc::ipmi::{
    Call, Datagram, Effect, End, FakeIpmi, Fault, Lockout, Privilege, Settings, Suite, User,
};
use slipway_fakes::bmc::{
    BootDevice, BootMode, BootOverride, Cause, Happening, Identity, Machine, Power, PowerAction, Soft, Timing,
};
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than anything here should take.
const PATIENCE: Duration = Duration::from_mins(1);
const SUITES: [Suite; 2] = [Suite::Three, Suite::Seventeen];

/// Whether ipmitool is here; else says so, which in CI is a failure.
fn has_ipmitool() -> bool {
    let found = std::process::Command::new("ipmitool").arg("-V").stdout(Stdio::null()).status().is_ok();
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "ipmitool is not installed");
    if !found {
        println!("SKIPPED: ipmitool is not installed");
    }
    found
}

/// What ipmitool printed, and whether it succeeded.
struct Said {
    ok: bool,
    out: String,
    err: String,
}

impl Said {
    /// What it printed, if it succeeded and nothing was complained of.
    #[track_caller]
    fn fine(self) -> String {
        assert!(self.ok, "{}\n{}", self.out, self.err);
        self.out
    }

    #[track_caller]
    fn says(&self, ok: bool, words: &str) {
        let all = format!("{}{}", self.out, self.err);
        assert!(self.ok == ok && all.contains(words), "ended well: {}\n{all}", self.ok);
    }
}

/// Somebody with ipmitool.
struct Tool<'a> {
    bmc: &'a FakeIpmi,
    suite: Suite,
    user: &'a str,
    password: &'a str,
    kg: Option<&'a str>,
}

impl<'a> Tool<'a> {
    fn new(bmc: &'a FakeIpmi, suite: Suite) -> Self {
        Self { bmc, suite, user: "admin", password: "secret", kg: None }
    }

    async fn run(&self, words: &str) -> Said {
        let address = self.bmc.address();
        let mut command = Command::new("ipmitool");
        command
            .args(["-I", "lanplus", "-H", &address.ip().to_string(), "-p", &address.port().to_string()])
            .args(["-U", self.user, "-E", "-C", &self.suite.id().to_string()])
            // Patient, so that on a busy machine nothing is sent twice.
            .args(["-N", "5"])
            .env("IPMI_PASSWORD", self.password)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(kg) = self.kg {
            command.arg("-K").env("IPMI_KGKEY", kg);
        }
        let ended = timeout(PATIENCE, command.args(words.split(' ')).output()).await;
        let output = ended.expect("ipmitool does not end").unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Said { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    async fn fine(&self, words: &str) -> String {
        self.run(words).await.fine()
    }
}

fn machine() -> Arc<Machine> {
    Machine::new(Identity::numbered(7), Timing::default())
}

async fn start(settings: Settings) -> FakeIpmi {
    FakeIpmi::start(machine(), settings).await.unwrap()
}

/// Whether a line of a table has these words in its columns.
#[track_caller]
fn assert_line(table: &str, words: &[&str]) {
    let has = |line: &str| words.iter().all(|word| line.contains(word));
    assert!(table.lines().any(has), "no line with {words:?} in\n{table}");
}

async fn until_power(bmc: &FakeIpmi, power: Power) {
    timeout(PATIENCE, bmc.machine().until_power(power)).await.expect("the power does not change");
}

#[tokio::test]
async fn power() {
    if !has_ipmitool() {
        return;
    }
    for suite in SUITES {
        let bmc = start(Settings::default()).await;
        let tool = Tool::new(&bmc, suite);
        assert_eq!(tool.fine("power status").await, "Chassis Power is off\n");
        assert_eq!(tool.fine("power on").await, "Chassis Power Control: Up/On\n");
        until_power(&bmc, Power::On).await;
        assert_eq!(tool.fine("power status").await, "Chassis Power is on\n");
        tool.fine("power reset").await;
        timeout(PATIENCE, bmc.machine().until(|machine| machine.boots().len() == 2)).await.unwrap();
        tool.fine("power cycle").await;
        timeout(PATIENCE, bmc.machine().until(|machine| machine.boots().len() == 3)).await.unwrap();
        assert_line(
            &tool.fine("chassis restart_cause").await,
            &["System restart cause: chassis power control command"],
        );
        tool.fine("power diag").await;
        tool.fine("power soft").await;
        until_power(&bmc, Power::Off).await;
        tool.fine("power on").await;
        until_power(&bmc, Power::On).await;
        tool.fine("power off").await;
        until_power(&bmc, Power::Off).await;

        let what: Vec<_> = bmc.machine().events().into_iter().map(|event| event.what).collect();
        let asked: Vec<_> = what
            .iter()
            .filter_map(|it| if let Happening::Asked(action, _) = it { Some(*action) } else { None })
            .collect();
        assert_eq!(
            asked,
            [
                PowerAction::On,
                PowerAction::Reset,
                PowerAction::Cycle,
                PowerAction::Diagnostic,
                PowerAction::SoftOff,
                PowerAction::On,
                PowerAction::Off
            ]
        );
        assert!(what.contains(&Happening::Interrupted) && what.contains(&Happening::Off(Cause::System)), "{what:?}");
        tool.run("power reset").await.says(false, "not supported in present state");

        let sessions = bmc.sessions();
        assert!(sessions.iter().all(|session| session.suite == suite), "{sessions:?}");
        assert!(sessions.iter().all(|session| matches!(session.ended, Some((_, End::Closed)))), "{sessions:?}");
        assert_eq!(sessions.len(), 11);
    }
}

#[tokio::test]
async fn a_soft_shutdown_may_be_ignored() {
    if !has_ipmitool() {
        return;
    }
    let bmc = start(Settings::default()).await;
    bmc.machine().set_timing(Timing { soft: Soft::Ignored, ..Timing::immediate() });
    let tool = Tool::new(&bmc, Suite::Seventeen);
    tool.fine("power on").await;
    tool.fine("power soft").await;
    assert_eq!(tool.fine("power status").await, "Chassis Power is on\n");
}

#[tokio::test]
async fn chassis() {
    if !has_ipmitool() {
        return;
    }
    let bmc = start(Settings::default()).await;
    let tool = Tool::new(&bmc, Suite::Seventeen);
    let status = tool.fine("chassis status").await;
    for words in [["System Power", ": off"], ["Power Restore Policy", ": always-off"]] {
        assert_line(&status, &words);
    }
    tool.fine("chassis policy previous").await;
    tool.fine("chassis identify 20").await;
    let status = tool.fine("chassis status").await;
    assert_line(&status, &["Power Restore Policy", ": previous"]);
    assert_line(&tool.fine("chassis poh").await, &["POH Counter"]);
    assert_line(&tool.fine("chassis selftest").await, &["Self Test Results", "passed"]);
}

#[tokio::test]
async fn boot_options() {
    if !has_ipmitool() {
        return;
    }
    for suite in SUITES {
        let bmc = start(Settings::default()).await;
        bmc.machine().set_timing(Timing::immediate());
        let tool = Tool::new(&bmc, suite);
        assert_line(&tool.fine("chassis bootparam get 5").await, &["Boot Flag Invalid"]);

        tool.fine("chassis bootdev pxe").await;
        let pxe = BootOverride { device: BootDevice::Pxe, mode: BootMode::Legacy, persistent: false };
        assert_eq!(bmc.machine().boot_override(), Some(pxe));
        let flags = tool.fine("chassis bootparam get 5").await;
        for words in ["Boot Flag Valid", "Options apply to only next boot", "legacy", "Force PXE"] {
            assert_line(&flags, &[words]);
        }
        assert_line(&tool.fine("chassis bootparam get 0").await, &["set complete"]);

        // Used up by the boot; the flags say so.
        tool.fine("power on").await;
        assert_eq!(bmc.machine().boots().last().map(|boot| boot.device), Some(BootDevice::Pxe));
        assert_line(&tool.fine("chassis bootparam get 5").await, &["Boot Flag Invalid"]);

        for (word, device, shown) in [
            ("disk", BootDevice::Disk, "Force Boot from default Hard-Drive"),
            ("safe", BootDevice::SafeDisk, "Safe-Mode"),
            ("diag", BootDevice::Diagnostic, "Diagnostic Partition"),
            ("cdrom", BootDevice::Cd, "CD/DVD"),
            ("bios", BootDevice::Setup, "BIOS Setup"),
            ("floppy", BootDevice::Removable, "Floppy"),
        ] {
            tool.fine(&format!("chassis bootdev {word} options=persistent,efiboot")).await;
            let wanted = BootOverride { device, mode: BootMode::Uefi, persistent: true };
            assert_eq!(bmc.machine().boot_override(), Some(wanted));
            let flags = tool.fine("chassis bootparam get 5").await;
            for words in ["Boot Flag Valid", "Options apply to all future boots", "EFI", shown] {
                assert_line(&flags, &[words]);
            }
        }
        tool.fine("power reset").await;
        assert!(bmc.machine().boot_override().is_some(), "it was for all boots");
        tool.fine("chassis bootdev none").await;
        assert_eq!(bmc.machine().boot_override(), None);

        // Nobody restarts the machine for a minute.
        tool.fine("chassis bootdev pxe").await;
        bmc.machine().advance(Duration::from_secs(61));
        assert_line(&tool.fine("chassis bootparam get 5").await, &["Boot Flag Invalid"]);
        assert_eq!(bmc.machine().boot_override(), None);
    }
}

#[tokio::test]
async fn event_log() {
    if !has_ipmitool() {
        return;
    }
    for suite in SUITES {
        let bmc = start(Settings::default()).await;
        bmc.machine().set_timing(Timing::immediate());
        let tool = Tool::new(&bmc, suite);
        assert_line(&tool.fine("sel info").await, &["Entries", ": 0"]);
        tool.fine("power on").await;
        // Upper critical, going high: the reading, and the threshold.
        assert!(bmc.log_event([0x01, 1], 0x01, [0x59, 91, 90]));
        let info = tool.fine("sel info").await;
        for words in [["Version", "1.5 (v1.5, v2 compliant)"], ["Entries", ": 2"], ["Overflow", "false"]] {
            assert_line(&info, &words);
        }
        let list = tool.fine("sel list").await;
        assert_line(&list, &["1 |", "System Boot Initiated", "Initiated by power up", "Asserted"]);
        assert_line(&list, &["2 |", "Temperature", "Upper Critical going high", "Asserted"]);
        let long = tool.fine("sel elist").await;
        assert_line(&long, &["2 |", "CPU1 Temp", "Upper Critical going high", "Reading 91 > Threshold 90 degrees C"]);
        tool.fine("sel clear").await;
        assert_line(&tool.fine("sel info").await, &["Entries", ": 0"]);
        assert_eq!(bmc.done(0x0a, 0x47).len(), 1);
        tool.fine("sel time get").await;
    }
}

#[tokio::test]
async fn sensors_and_records() {
    if !has_ipmitool() {
        return;
    }
    for suite in SUITES {
        let bmc = start(Settings::default()).await;
        bmc.machine().set_timing(Timing::immediate());
        let tool = Tool::new(&bmc, suite);
        let off = tool.fine("sdr list all").await;
        assert_line(&off, &["Fan1", "no reading"]);
        assert_line(&off, &["Inlet Temp", "23 degrees C", "ok"]);
        tool.fine("power on").await;
        let on = tool.fine("sdr list all").await;
        for words in [
            ["CPU1 Temp", "42 degrees C", "ok"],
            ["DIMM Margin", "-30 degrees C", "ok"],
            ["Fan1", "6300 RPM", "ok"],
            ["P12V", "12.06 Volts", "ok"],
            ["PSU1 Power", "200 Watts", "ok"],
            ["PSU1 Status", "0x01", "ok"],
            ["System Board", "Log FRU @00h", "ok"],
            ["BMC", "Dynamic MC @ 20h", "ok"],
        ] {
            assert_line(&on, &words);
        }
        assert_line(&tool.fine("sdr type 0x08").await, &["PSU1 Status", "Presence detected"]);
        let table = tool.fine("sensor").await;
        assert_line(&table, &["CPU1 Temp", "42.000", "degrees C", "ok", "85.000", "90.000", "95.000"]);
        assert_line(&table, &["Fan1", "6300.000", "600.000", "900.000", "1200.000"]);
        assert_line(&table, &["P12V", "12.060", "10.500", "10.800", "13.200", "13.500"]);
        assert_line(&table, &["DIMM Margin", "-30.000", "-10.000", "-5.000", "0.000"]);

        assert!(bmc.set_reading("CPU1 Temp", 92) && bmc.set_reading("Fan1", 5));
        let table = tool.fine("sdr list all").await;
        assert_line(&table, &["CPU1 Temp", "92 degrees C", "cr"]);
        assert_line(&table, &["Fan1", "375 RPM", "nr"]);
        // They were read in parts: no more than 32 bytes come at once.
        assert!(bmc.done(0x0a, 0x23).iter().any(|read| read.data[4] != 0));
    }
}

#[tokio::test]
async fn inventory_and_identity() {
    if !has_ipmitool() {
        return;
    }
    for suite in SUITES {
        let bmc = start(Settings::default()).await;
        let tool = Tool::new(&bmc, suite);
        let fru = tool.fine("fru").await;
        for words in [
            ["Chassis Type", ": Rack Mount Chassis"],
            ["Chassis Serial", ": CAX100007"],
            ["Board Mfg Date", "2026"],
            ["Board Product", ": AX-1 Board"],
            ["Product Manufacturer", ": Ahlborn"],
            ["Product Name", ": AX-1"],
            ["Product Serial", ": AX100007"],
        ] {
            assert_line(&fru, &words);
        }
        let info = tool.fine("mc info").await;
        for words in [["Firmware Revision", ": 2.14"], ["IPMI Version", ": 2.0"], ["Manufacturer ID", ": 32473"]] {
            assert_line(&info, &words);
        }
        assert_line(&tool.fine("mc guid ipmi").await, &["System GUID", "3d1f0a51-7c22-4b61-9e10-525400000007"]);
        let lan = tool.fine("lan print 1").await;
        for words in [
            ["IP Address  ", ": 127.0.0.1"],
            ["MAC Address", ": 52:54:00:00:07:00"],
            ["IP Address Source", "Static"],
            ["RMCP+ Cipher Suites", ": 3,17"],
        ] {
            assert_line(&lan, &words);
        }
        assert_line(&tool.fine("channel info 1").await, &["Channel Medium Type", "802.3 LAN"]);
        assert_line(&tool.fine("session info active").await, &["user id", ": 2"]);
    }
}

#[tokio::test]
async fn users() {
    if !has_ipmitool() {
        return;
    }
    for suite in SUITES {
        let users = vec![
            User::new("admin", "secret", Privilege::Administrator),
            User::new("watcher", "looks", Privilege::User),
        ];
        let bmc = start(Settings { users, ..Settings::default() }).await;
        let tool = Tool::new(&bmc, suite);
        let list = tool.fine("user list 1").await;
        assert_line(&list, &["2 ", "admin", "ADMINISTRATOR"]);
        assert_line(&list, &["3 ", "watcher", "USER"]);

        // Sixteen bytes, then twenty.
        tool.fine("user set password 3 brought-by-16 16").await;
        assert!(bmc.has_password("watcher", "brought-by-16"));
        tool.fine("user set password 3 brought-by-twenty-20 20").await;
        assert!(bmc.has_password("watcher", "brought-by-twenty-20"));
        tool.fine("user test 3 20 brought-by-twenty-20").await;
        tool.run("user test 3 20 something-else").await.says(false, "password incorrect");
        tool.run("user test 3 16 brought-by-twent").await.says(false, "wrong password size");
        assert!(bmc.seen().iter().all(|seen| seen.command() != Some((6, 0x47)) || seen.data.is_empty()));

        let watcher = Tool { user: "watcher", password: "brought-by-twenty-20", ..Tool::new(&bmc, suite) };
        assert_eq!(watcher.fine("-L USER power status").await, "Chassis Power is off\n");
        tool.fine("user set name 4 guest").await;
        assert_line(&tool.fine("user list 1").await, &["4 ", "guest"]);
        tool.fine("user disable 3").await;
        watcher.run("-v -L USER power status").await.says(false, "unauthorized name");
    }
}

#[tokio::test]
async fn who_may_not_does_not() {
    if !has_ipmitool() {
        return;
    }
    for suite in SUITES {
        let users = vec![
            User::new("admin", "secret", Privilege::Administrator),
            User::new("watcher", "looks", Privilege::User),
        ];
        let lockout = Some(Lockout { after: 3, lasts: Duration::from_mins(5) });
        let bmc = start(Settings { users, lockout, ..Settings::default() }).await;
        let tool = Tool::new(&bmc, suite);
        let watcher = Tool { user: "watcher", password: "looks", ..Tool::new(&bmc, suite) };
        // More than its limit; within it, but for a command that needs more.
        watcher.run("power status").await.says(false, "Unable to establish IPMI v2 / RMCP+ session");
        watcher.run("-L USER power on").await.says(false, "Insufficient privilege level");
        assert_eq!(bmc.machine().power(), Power::Off);
        assert_eq!(bmc.done(0, 2).len(), 0);

        let nobody = Tool { user: "nobody", ..Tool::new(&bmc, suite) };
        nobody.run("-v power status").await.says(false, "unauthorized name");
        let wrong = Tool { password: "wrong", ..Tool::new(&bmc, suite) };
        wrong.run("power status").await.says(false, "Unable to establish IPMI v2 / RMCP+ session");
        tool.fine("power status").await;
    }
}

#[tokio::test]
async fn the_bmc_may_have_a_key_of_its_own() {
    if !has_ipmitool() {
        return;
    }
    for suite in SUITES {
        let mut kg = [0; 20];
        kg[..9].copy_from_slice(b"key of it");
        let bmc = start(Settings { kg: Some(kg), ..Settings::default() }).await;
        let tool = Tool { kg: Some("key of it"), ..Tool::new(&bmc, suite) };
        assert_eq!(tool.fine("power status").await, "Chassis Power is off\n");
        let before = bmc.sessions().len();
        let wrong = Tool { kg: Some("another"), ..Tool::new(&bmc, suite) };
        wrong.run("power status").await.says(false, "Unable to establish IPMI v2 / RMCP+ session");
        let none = Tool::new(&bmc, suite);
        none.run("power status").await.says(false, "Unable to establish IPMI v2 / RMCP+ session");
        // The BMC learns of that only when nobody uses the session.
        assert!(bmc.seen().iter().all(|seen| seen.session == 0 || seen.session == bmc.sessions()[before - 1].id));
    }
}

#[tokio::test]
async fn suites() {
    if !has_ipmitool() {
        return;
    }
    let old = start(Settings { suites: vec![Suite::Three], ..Settings::default() }).await;
    Tool::new(&old, Suite::Three).fine("power status").await;
    Tool::new(&old, Suite::Seventeen).run("-v power status").await.says(false, "invalid authentication algorithm");

    // Without -C it asks for the list, in pages, and takes the best that it knows.
    let many = Settings { also_lists: vec![1, 2, 6, 7, 8, 15, 16], ..Settings::default() };
    let bmc = start(many).await;
    let address = bmc.address();
    let output = Command::new("ipmitool")
        .args(["-I", "lanplus", "-H", "127.0.0.1", "-p", &address.port().to_string(), "-U", "admin", "-E"])
        .args(["power", "status"])
        .env("IPMI_PASSWORD", "secret")
        .stdin(Stdio::null())
        .output();
    let output = timeout(PATIENCE, output).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(bmc.done(6, 0x54).len() >= 3, "{:?}", bmc.seen());
    assert_eq!(bmc.sessions().last().map(|session| session.suite), Some(Suite::Seventeen));
}

#[tokio::test]
async fn ipv6() {
    if !has_ipmitool() {
        return;
    }
    let bmc = start(Settings { address: IpAddr::V6(Ipv6Addr::LOCALHOST), ..Settings::default() }).await;
    assert_eq!(Tool::new(&bmc, Suite::Seventeen).fine("power status").await, "Chassis Power is off\n");
}

#[tokio::test]
async fn a_bmc_that_restarts_is_deaf_and_comes_back() {
    if !has_ipmitool() {
        return;
    }
    let bmc = start(Settings { restart: Duration::from_mins(2), ..Settings::default() }).await;
    let tool = Tool::new(&bmc, Suite::Seventeen);
    tool.fine("mc reset cold").await;
    let quick = "-N 1 -R 1 power status";
    tool.run(quick).await.says(false, "Unable to establish IPMI v2 / RMCP+ session");
    bmc.machine().advance(Duration::from_secs(121));
    assert_eq!(tool.fine(quick).await, "Chassis Power is off\n");
    assert_eq!(bmc.sessions()[0].ended.map(|(_, how)| how), Some(End::Forgotten));
}

#[tokio::test]
async fn ipmitool_copes_with_a_lossy_network() {
    if !has_ipmitool() {
        return;
    }
    let bmc = start(Settings::default()).await;
    let tool = Tool::new(&bmc, Suite::Seventeen);
    let read = Call::Command(0, 1);
    bmc.inject(Fault::at(read, Effect::LoseReply).nth(1));
    bmc.inject(Fault::always(Effect::Duplicate).every(2));
    assert_eq!(tool.fine("-N 1 power status").await, "Chassis Power is off\n");
    // Asked again with a new number of the packet, the command is done again.
    assert_eq!(bmc.done(0, 1).len(), 2);

    bmc.clear_faults();
    bmc.inject(Fault::at(read, Effect::ClaimPower(Power::On)));
    assert_eq!(tool.fine("power status").await, "Chassis Power is on\n");
    bmc.clear_faults();
    bmc.inject(Fault::at(Call::Command(0, 2), Effect::Refuse(0xc0)));
    tool.run("power on").await.says(false, "Node busy");
    bmc.clear_faults();
    bmc.inject(Fault::at(Call::OpenSession, Effect::Refuse(1)));
    tool.run("-v power status").await.says(false, "insufficient resources");
    bmc.clear_faults();
    bmc.inject(Fault::at(Call::Rakp1, Effect::WrongCode));
    tool.run("-v power status").await.says(false, "RAKP 2 HMAC is invalid");
    assert_eq!(bmc.machine().events().len(), 0);
}

/// Slots are few, and come back when nobody uses their sessions.
#[tokio::test]
async fn slots() {
    if !has_ipmitool() {
        return;
    }
    let bmc = start(Settings { sessions: 1, ..Settings::default() }).await;
    let tool = Tool::new(&bmc, Suite::Seventeen);
    // The BMC never hears that the session is closed.
    bmc.inject(Fault::at(Call::Command(6, 0x3c), Effect::LoseRequest));
    tool.run("-N 1 -R 1 power status").await;
    assert_eq!(bmc.open_sessions(), 1);
    tool.run("-v power status").await.says(false, "insufficient resources");
    bmc.machine().advance(Duration::from_secs(61));
    assert_eq!(bmc.open_sessions(), 0);
    assert_eq!(tool.run("-N 1 -R 1 power status").await.out, "Chassis Power is off\n");
}

/// Sessions of ipmitool, for the client's tests to recompute with another library (`crates/ipmi/tests/vectors`). They are written
/// anew if `SLIPWAY_WRITE_VECTORS` is set; else they are compared, in all that is not random.
#[tokio::test]
async fn recorded_sessions() {
    if !has_ipmitool() {
        return;
    }
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ipmi/tests/vectors");
    for suite in SUITES {
        for (name, kg) in [("", None), ("-kg", Some("a key of the BMC's"))] {
            let recorded = record(suite, kg).await;
            let file = directory.join(format!("ipmitool-suite{}{name}.json", suite.id()));
            if std::env::var_os("SLIPWAY_WRITE_VECTORS").is_some() {
                std::fs::create_dir_all(&directory).unwrap();
                std::fs::write(&file, serde_json::to_string_pretty(&recorded).unwrap() + "\n").unwrap();
            }
            let kept: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            assert_eq!(without_randomness(&kept), without_randomness(&recorded), "{}", file.display());
        }
    }
}

async fn record(suite: Suite, kg: Option<&str>) -> Value {
    let key = kg.map(|kg| {
        let mut key = [0; 20];
        key[..kg.len()].copy_from_slice(kg.as_bytes());
        key
    });
    let bmc = start(Settings { kg: key, ..Settings::default() }).await;
    bmc.record();
    Tool { kg, ..Tool::new(&bmc, suite) }.fine("power status").await;
    let [handshake] = &bmc.handshakes()[..] else { panic!("one session") };
    let datagram = |it: &Datagram| {
        let from = if it.from_client { "console" } else { "bmc" };
        json!({ "from": from, "bytes": hex(&it.bytes) })
    };
    json!({
        "source": format!("ipmitool 1.8.19 -I lanplus -C {} power status, against the fake BMC", suite.id()),
        "suite": suite.id(),
        "username": String::from_utf8_lossy(&handshake.name),
        "password": "secret",
        "kg": key.map(|key| hex(&key)),
        "role": handshake.role,
        "consoleSession": handshake.console_id,
        "bmcSession": handshake.bmc_id,
        "consoleRandom": hex(&handshake.console_random),
        "bmcRandom": hex(&handshake.bmc_random),
        "guid": hex(&handshake.guid),
        "rakp2Code": hex(&handshake.codes[0]),
        "rakp3Code": hex(&handshake.codes[1]),
        "rakp4Code": hex(&handshake.codes[2]),
        "datagrams": bmc.datagrams().iter().map(datagram).collect::<Vec<_>>(),
    })
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The fields whose values are random, by their lengths alone.
fn without_randomness(recorded: &Value) -> Value {
    let mut plain = recorded.clone();
    let length = |value: &mut Value| *value = value.as_str().map_or(Value::Null, |text| text.len().into());
    for field in ["consoleRandom", "bmcRandom", "rakp2Code", "rakp3Code", "rakp4Code"] {
        length(&mut plain[field]);
    }
    for field in ["consoleSession", "bmcSession"] {
        plain[field] = plain[field].is_u64().into();
    }
    // What is lost is sent again, so even their number may differ.
    plain["datagrams"] = plain["datagrams"].is_array().into();
    plain
}
