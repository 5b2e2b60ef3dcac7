//! What goes wrong with BMCs, injected on the wire, and what a user reads of it from the cluster: for each fault Ready and `why`
//! give the reason, and words that name the cause and the next step. All Nodes at once, on one cluster, by one operator.

use std::any::Any;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use futures::future::join_all;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use slipway_api::Node;
use slipway_e2e::lab::namespace::TestNamespace;
use slipway_e2e::lab::operator;
use slipway_e2e::lab::run::Run;
use slipway_e2e::lab::{Authority, Part, ServerCertificate, can_run, eventually, with_namespace};
use slipway_fakes::bmc::ipmi::{self, Call, FakeIpmi, Suite};
use slipway_fakes::bmc::redfish::{self, Bug, FakeRedfish, Flavour};
use slipway_fakes::bmc::{Cause, Identity, Machine, Power, PowerAction, Timing};
use slipway_fakes::faults;
use tokio::sync::Semaphore;

/// The slowest is one that is given a minute to go off.
const SOON: Duration = Duration::from_mins(5);

const CHASSIS_STATUS: Call = Call::Command(0x00, 0x01);
const CHASSIS_CONTROL: Call = Call::Command(0x00, 0x02);
const DEVICE_ID: Call = Call::Command(0x06, 0x01);
const PRIVILEGE: Call = Call::Command(0x06, 0x3b);

/// A Node whose BMC is not as it should be.
struct Case {
    name: &'static str,
    spec: Value,
    /// Reason of Ready in the end; `None`: it does not matter to the user, and the Node is Ready.
    reason: Option<&'static str>,
    /// What Ready's message says.
    says: &'static [&'static str],
    /// What must live as long as the case.
    keep: Box<dyn Any + Send + Sync>,
}

/// The makers of cases: each has a machine of its own.
struct Bench {
    authority: Arc<Authority>,
    next: u16,
}

fn bmc(address: &str, more: &Value) -> Value {
    let mut bmc = json!({"address": address, "credentials": {"secretRef": {"name": "login"}}});
    for (key, value) in more.as_object().into_iter().flatten() {
        bmc[key] = value.clone();
    }
    bmc
}

fn with(bmc: &Value, more: &Value) -> Value {
    let mut spec = json!({ "bmc": bmc });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    spec
}

impl Case {
    fn new(name: &'static str, spec: Value, keep: impl Any + Send + Sync) -> Self {
        Self { name, spec, reason: None, says: &[], keep: Box::new(keep) }
    }

    fn fails(mut self, reason: &'static str, says: &'static [&'static str]) -> Self {
        (self.reason, self.says) = (Some(reason), says);
        self
    }
}

impl Bench {
    fn machine(&mut self) -> Arc<Machine> {
        self.next += 1;
        Machine::new(Identity::numbered(self.next), Timing::default())
    }

    async fn machine_on(&mut self) -> Result<Arc<Machine>> {
        let machine = self.machine();
        machine.ask(PowerAction::On, Cause::Button)?;
        machine.until_power(Power::On).await;
        Ok(machine)
    }

    /// A Node on a BMC that speaks IPMI with these settings and faults.
    async fn ipmi(
        &mut self,
        name: &'static str,
        change: impl FnOnce(&mut ipmi::Settings),
        faults: Vec<ipmi::Fault>,
        more: &Value,
        of_bmc: &Value,
    ) -> Result<Case> {
        let users = vec![ipmi::User::new("admin", "secret-123", ipmi::Privilege::Administrator)];
        let mut settings = ipmi::Settings { users, ..ipmi::Settings::default() };
        change(&mut settings);
        let fake = FakeIpmi::start(self.machine_on().await?, settings).await?;
        for fault in faults {
            fake.inject(fault);
        }
        Ok(Case::new(name, with(&bmc(&format!("ipmi://{}", fake.address()), of_bmc), more), fake))
    }

    async fn ipmi_fault(&mut self, name: &'static str, faults: Vec<ipmi::Fault>, more: &Value) -> Result<Case> {
        self.ipmi(name, |_| {}, faults, more, &json!({})).await
    }

    /// A Node on a BMC that speaks Redfish with these bugs.
    async fn redfish(&mut self, name: &'static str, bugs: Vec<Bug>, more: &Value) -> Result<Case> {
        let fake = FakeRedfish::start(self.machine(), redfish::Settings::of(Flavour::Idrac)).await?;
        for bug in bugs {
            fake.has(bug);
        }
        let address = format!("redfish+{}{}", fake.url(), fake.system());
        Ok(Case::new(name, with(&bmc(&address, &json!({})), more), fake))
    }

    /// The same on one that shows a certificate, and a Node that trusts the lab's CA.
    async fn secure(&mut self, name: &'static str, kind: ServerCertificate) -> Result<Case> {
        let identity = self.authority.server_of_kind(kind, &[IpAddr::from(Ipv4Addr::LOCALHOST)])?;
        let settings = redfish::Settings {
            certificate: Some((identity.cert, identity.key)),
            ..redfish::Settings::of(Flavour::Ilo)
        };
        let fake = FakeRedfish::start(self.machine(), settings).await?;
        let trust = json!({"tls": {"caRef": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}}});
        Ok(Case::new(name, with(&bmc(&format!("redfish+{}", fake.url()), &trust), &json!({})), fake))
    }
}

async fn of_ipmi(bench: &mut Bench) -> Result<Vec<Case>> {
    use ipmi::{Effect, Fault};
    let nothing = &json!({});
    let on = &json!({"power": "On"});
    let off = &json!({"power": "Off", "powerOff": {"mode": "Force"}});
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let silent_at = format!("ipmi://{}", silent.local_addr()?);
    // Connected to a port that nobody sends from, so that all others are refused and no other BMC is given this one's.
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    closed.connect((Ipv4Addr::LOCALHOST, 9))?;
    let closed_at = format!("ipmi://{}", closed.local_addr()?);
    // Too long for a name.
    let nameless = format!("ipmi://{}", "n".repeat(70));
    let mut cases = vec![
        Case::new("silent", with(&bmc(&silent_at, nothing), nothing), silent)
            .fails("BmcTimedOut", &["no answer", "127.0.0.1"]),
        Case::new("refused", with(&bmc(&closed_at, nothing), nothing), closed)
            .fails("BmcConnectionRefused", &["refused"]),
        Case::new("nameless", with(&bmc(&nameless, nothing), nothing), ())
            .fails("EndpointInvalid", &["spec.bmc.address", "is no host name or address", "write redfish+https"]),
    ];
    let login = |name: &'static str| json!({"credentials": {"secretRef": {"name": name}}});
    cases.push(
        bench
            .ipmi("wrong-password", |_| {}, vec![], nothing, &login("wrong"))
            .await?
            .fails("BmcCredentialsRefused", &["password", "Secret wrong was tried 2 times", "Mend the Secret"]),
    );
    cases.push(
        bench
            .ipmi("unknown-user", |_| {}, vec![], nothing, &login("stranger"))
            .await?
            .fails("BmcCredentialsRefused", &["no such user", "Secret stranger"]),
    );
    let user = |settings: &mut ipmi::Settings| settings.users[0].privilege = ipmi::Privilege::User;
    cases.push(
        bench.ipmi("low-privilege", user, vec![], nothing, nothing).await?.fails("BmcPrivilegeMissing", &["privilege"]),
    );
    let kg = |settings: &mut ipmi::Settings| settings.kg = Some(*b"a key of 20 bytes...");
    cases.push(bench.ipmi("wrong-kg", kg, vec![], nothing, nothing).await?.fails("BmcCredentialsRefused", &["K_g"]));
    let full = |settings: &mut ipmi::Settings| settings.sessions = 0;
    cases.push(
        bench.ipmi("no-slot", full, vec![], nothing, nothing).await?.fails("BmcSessionsFull", &["session slots"]),
    );
    let three = |settings: &mut ipmi::Settings| settings.suites = vec![Suite::Three];
    cases.push(
        bench
            .ipmi("only-suite-3", three, vec![], nothing, &json!({"minimumSuite": 17}))
            .await?
            .fails("BmcCipherSuiteMissing", &["cipher suite 17"]),
    );
    let none = |settings: &mut ipmi::Settings| settings.suites = Vec::new();
    cases.push(
        bench
            .ipmi("lower-suites", none, vec![], nothing, nothing)
            .await?
            .fails("BmcCipherSuiteMissing", &["cipher suite 3"]),
    );
    cases.push(
        bench
            .ipmi_fault("forged-rakp", vec![Fault::at(Call::Rakp1, Effect::WrongCode)], nothing)
            .await?
            .fails("BmcCredentialsRefused", &["proof"]),
    );
    cases.push(
        bench
            .ipmi_fault("dumb-after-the-first-step", vec![Fault::at(Call::Rakp1, Effect::LoseRequest)], nothing)
            .await?
            .fails("BmcConnectionLost", &["RAKP 2: no answer"]),
    );
    for (name, faults) in [
        ("busy-once-at-login", vec![Fault::at(PRIVILEGE, Effect::Refuse(0xc0)).nth(1)]),
        ("numbers-left-out", vec![Fault::at(CHASSIS_STATUS, Effect::SequenceGap(5000))]),
        (
            "rakp-garbage",
            vec![Fault::at(Call::Rakp1, Effect::Garbage(300)), Fault::at(Call::Rakp3, Effect::Garbage(9))],
        ),
        ("session-dropped", vec![Fault::at(CHASSIS_STATUS, Effect::ForgetSessions).every(3)]),
        ("sequence-reset", vec![Fault::at(CHASSIS_STATUS, Effect::SequenceReset).nth(2)]),
        ("duplicates", vec![Fault::always(Effect::Duplicate), Fault::at(DEVICE_ID, Effect::Replay)]),
        ("reordered", vec![Fault::at(CHASSIS_STATUS, Effect::Reorder).every(3)]),
        ("lossy", vec![Fault::always(Effect::LoseReply).every(4)]),
    ] {
        cases.push(bench.ipmi_fault(name, faults, on).await?);
    }
    let always_busy = vec![Fault::at(PRIVILEGE, Effect::Refuse(0xc0))];
    cases.push(
        bench
            .ipmi_fault("busy-at-login", always_busy, nothing)
            .await?
            .fails("BmcBusy", &["Set Session Privilege Level", "node busy"]),
    );
    // It does what it was told, and restarts before it says so.
    let restart = |settings: &mut ipmi::Settings| settings.restart = Duration::from_secs(3);
    let reboots = vec![Fault::at(CHASSIS_CONTROL, Effect::RestartAfter).nth(1)];
    cases.push(bench.ipmi("reboots", restart, reboots, off, nothing).await?);
    let mut liar = bench.ipmi_fault("liar", vec![], off).await?;
    if let Some(fake) = liar.keep.downcast_ref::<FakeIpmi>() {
        fake.machine().set_stuck(true);
    }
    liar = liar.fails("PowerOffIgnored", &["took ForceOff", "the host is on", "event log"]);
    cases.push(liar);
    for (name, code, reason, says) in [
        ("busy", 0xc0, "BmcBusy", &["node busy", "next try at"][..]),
        ("forbidden", 0xd4, "BmcPrivilegeMissing", &["insufficient privilege level"]),
        ("no-command", 0xc1, "BmcUnsupported", &["invalid command"]),
        ("not-now", 0xd5, "BmcStateChanged", &["not supported in the present state"]),
    ] {
        let faults = vec![Fault::at(CHASSIS_CONTROL, Effect::Refuse(code))];
        cases.push(bench.ipmi_fault(name, faults, off).await?.fails(reason, says));
    }
    Ok(cases)
}

async fn of_redfish(bench: &mut Bench) -> Result<Vec<Case>> {
    let nothing = &json!({});
    let on = &json!({"power": "On"});
    let at = |fault: faults::Fault, case: Case| {
        if let Some(fake) = case.keep.downcast_ref::<FakeRedfish>() {
            fake.inject(fault);
        }
        case
    };
    let mut cases = vec![
        bench
            .secure("certificate-expired", ServerCertificate::Expired)
            .await?
            .fails("BmcCertificateExpired", &["expired"]),
        bench
            .secure("certificate-wrong-name", ServerCertificate::WrongName)
            .await?
            .fails("BmcCertificateWrongName", &["elsewhere.example"]),
        bench
            .secure("certificate-unknown-ca", ServerCertificate::UnknownAuthority)
            .await?
            .fails("BmcCertificateUntrusted", &["sign"]),
        bench
            .redfish("busy-for-a-minute", vec![Bug::Busy(Some(60))], nothing)
            .await?
            .fails("BmcBusy", &["503", "come back in 60 s"]),
        bench
            .redfish("password-must-change", vec![Bug::WantsNewPassword], nothing)
            .await?
            .fails("BmcPasswordChangeRequired", &["must be changed"]),
        bench.redfish("task-never-ends", vec![Bug::ResetTaskNeverEnds], on).await?,
        bench
            .redfish("task-fails", vec![Bug::ResetTaskFails], on)
            .await?
            .fails("BmcFailed", &["task", "The host did not follow"]),
        bench.redfish("etags-refused", vec![Bug::RefusesEveryEtag], &json!({"boot": {"device": "Pxe"}})).await?,
        bench.redfish("only-compressed", vec![Bug::OnlyCompressed], on).await?,
        bench
            .redfish("compressed-oddly", vec![Bug::CompressesOddly], nothing)
            .await?
            .fails("BmcAnswerInvalid", &["compressed body (zstd)"]),
        bench.redfish("no-json", vec![Bug::NotJson], nothing).await?.fails("BmcAnswerInvalid", &["no JSON"]),
        bench.redfish("huge", vec![Bug::HugeBodies], nothing).await?.fails("BmcAnswerInvalid", &["more than 4 MiB"]),
        bench
            .redfish("redirects", vec![Bug::RedirectsElsewhere], nothing)
            .await?
            .fails("NotABmc", &["redirects", "redfish+https"]),
        bench.redfish("links-elsewhere", vec![Bug::LinksElsewhere], on).await?,
        bench.redfish("root-has-moved", vec![Bug::MovesRoot], on).await?,
        bench.redfish("root-without-links", vec![Bug::RootWithoutLinks], on).await?,
        bench.redfish("serial-is-no-text", vec![Bug::SpoiltTexts], on).await?,
        bench.redfish("media-forbidden", vec![Bug::Answers("VirtualMedia", 403)], on).await?,
        bench.redfish("parts-fail", vec![Bug::Answers("Memory/", 500)], on).await?,
        bench
            .redfish("no-system-yet", vec![Bug::NoSystems], nothing)
            .await?
            .fails("BmcBusy", &["shows no system at all", "just started"]),
        bench
            .redfish("no-such-reset", vec![Bug::OffersResets(&["ForceOff"])], on)
            .await?
            .fails("BmcUnsupported", &["cannot power on", "the resets that it offers are ForceOff"]),
    ];
    let mut wrong = bench.redfish("status-401", vec![], nothing).await?;
    wrong.spec["bmc"]["credentials"]["secretRef"]["name"] = json!("wrong");
    cases.push(wrong.fails("BmcCredentialsRefused", &["401", "Secret wrong was tried 2 times"]));
    let forbidden = faults::Fault::before("system", faults::Effect::Fail(403, "Not for you".into()));
    cases.push(
        at(forbidden, bench.redfish("status-403", vec![], nothing).await?)
            .fails("BmcPrivilegeMissing", &["403", "Not for you"]),
    );
    let mut missing = bench.redfish("no-such-system", vec![], nothing).await?;
    let address = missing.spec["bmc"]["address"].as_str().unwrap_or_default().to_owned();
    missing.spec["bmc"]["address"] = json!(address.replace("System.Embedded.1", "nobody"));
    cases.push(missing.fails("BmcSystemNotFound", &["has no system /redfish/v1/Systems/nobody", "System.Embedded.1"]));
    let mut several = bench.redfish("several-systems", vec![Bug::TwoSystems], nothing).await?;
    several.spec["bmc"]["address"] = json!(address_without_path(&several));
    cases.push(several.fails("BmcSystemNotFound", &["2 systems", "name one in the address", "System.Embedded.1"]));
    for (name, change, reason, says) in [
        (
            "locked",
            (|settings| settings.locks_after = Some(0)) as fn(&mut redfish::Settings),
            "BmcAccountLocked",
            &["locked"][..],
        ),
        ("no-session-slot", |settings| settings.sessions = 0, "BmcSessionsFull", &["sessions"]),
    ] {
        let mut settings = redfish::Settings::of(Flavour::OpenBmc);
        change(&mut settings);
        let fake = FakeRedfish::start(bench.machine(), settings).await?;
        let spec = with(&bmc(&format!("redfish+{}", fake.url()), nothing), nothing);
        cases.push(Case::new(name, spec, fake).fails(reason, says));
    }
    Ok(cases)
}

fn address_without_path(case: &Case) -> String {
    let fake = case.keep.downcast_ref::<FakeRedfish>();
    fake.map_or_else(String::new, |fake| format!("redfish+{}", fake.url()))
}

fn ready(node: &Node) -> Option<(bool, String, String)> {
    let conditions = &node.status.as_ref()?.conditions;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    (ready.observed_generation == node.metadata.generation)
        .then(|| (ready.status == "True", ready.reason.clone(), ready.message.clone()))
}

async fn apply(ns: &TestNamespace, name: &str, spec: &Value) -> Result<()> {
    let node = json!({"apiVersion": "slipway.dev/v1alpha1", "kind": "Node", "metadata": {"name": name}, "spec": spec});
    ns.api::<Node>().patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&node)).await?;
    Ok(())
}

/// What `why` answers, as a user asks it.
async fn why(ns: &TestNamespace, name: &str) -> Result<Value> {
    static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);
    let _turn = ONE_AT_A_TIME.acquire().await?;
    let mut command = tokio::process::Command::new(operator::binary()?);
    command.args(["why", &format!("node/{name}"), "-o", "json", "-n", &ns.name, "--system-namespace", &ns.name]);
    let output = command.arg("--kubeconfig").arg(ns.cluster.kubeconfig()).kill_on_drop(true).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Whether the answer of `why` ends with the cause of a case, and with what to do.
fn explained(case: &Case, answer: &Value) -> Result<()> {
    let Some(reason) = case.reason else {
        ensure!(answer["ready"] == true, "why: {answer:#}");
        return Ok(());
    };
    let deepest = answer["chain"].as_array().and_then(|chain| chain.last()).context("no chain")?;
    let message = deepest["message"].as_str().unwrap_or_default();
    let is_told = deepest["reason"] == reason && case.says.iter().all(|words| message.contains(words));
    let has_next = deepest["toDo"].as_str().is_some_and(|words| !words.is_empty()) && deepest["nextTry"].is_object();
    ensure!(answer["ready"] == false && is_told && has_next, "why: {answer:#}");
    Ok(())
}

/// Waits until a case is as it should be, and returns what is said of it.
async fn judged(ns: &TestNamespace, case: &Case) -> Result<String> {
    let began = Instant::now();
    let api = ns.api::<Node>();
    let (ok, reason, message) = eventually(case.name, SOON, || async {
        let node = api.get(case.name).await?;
        let (ok, reason, message) = ready(&node).context("nothing is said")?;
        let settled =
            case.reason.map_or(ok, |wanted| reason == wanted && case.says.iter().all(|words| message.contains(words)));
        ensure!(settled, "{reason}: {message}");
        explained(case, &why(ns, case.name).await?)?;
        Ok((ok, reason, message))
    })
    .await
    .map_err(|error| anyhow!("{}: wanted {:?} {:?}: {error:#}", case.name, case.reason, case.says))?;
    ensure!(ok == case.reason.is_none(), "{}: Ready is {ok}", case.name);
    ensure!(!message.contains("secret-123"), "{}: the password is told", case.name);
    Ok(format!("{:24} {:>5.1} s  {reason}: {message}", case.name, began.elapsed().as_secs_f64()))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_told_with_its_cause_and_the_next_step() -> Result<()> {
    if !can_run(&[Part::Cluster]) {
        return Ok(());
    }
    let _run = Run::current()?;
    with_namespace(async |ns| {
        let authority = Arc::new(Authority::new("BMCs")?);
        for (name, user, password) in
            [("login", "admin", "secret-123"), ("wrong", "admin", "secret-1234"), ("stranger", "nobody", "secret-123")]
        {
            let secret = json!({"metadata": {"name": name}, "stringData": {"username": user, "password": password}});
            ns.create_secret(&serde_json::from_value(secret)?).await?;
        }
        let ca: k8s_openapi::api::core::v1::ConfigMap =
            serde_json::from_value(json!({"metadata": {"name": "ca"}, "data": {"ca.crt": authority.pem()}}))?;
        ns.create(&ca).await?;
        let mut bench = Bench { authority, next: 0 };
        let mut cases = of_ipmi(&mut bench).await?;
        cases.extend(of_redfish(&mut bench).await?);
        ensure!(cases.iter().filter(|case| case.reason.is_some()).count() >= 25, "{} cases", cases.len());
        let operator = ns.operator().await?;
        for case in &cases {
            apply(&ns, case.name, &case.spec).await.with_context(|| case.name.to_owned())?;
        }
        let outcomes = join_all(cases.iter().map(|case| judged(&ns, case))).await;
        let (mut failed, number) = (Vec::new(), outcomes.len());
        for outcome in outcomes {
            match outcome {
                Ok(line) => println!("{line}"),
                Err(error) => failed.push(format!("{error:#}")),
            }
        }
        ensure!(
            failed.is_empty(),
            "{} of {number} are not told as they should be:\n{}",
            failed.len(),
            failed.join("\n")
        );
        ensure!(!operator.log_text().contains("secret-123"), "no password in the log");
        Ok(())
    })
    .await
}
