use k8s_openapi::api::coordination::v1::LeaseSpec;

use super::*;
use crate::testing::Api as Fake;

fn held(holder: &str, seconds: i32) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(holder.into()),
        lease_duration_seconds: Some(seconds),
        // Hours off: another machine's clock must not matter.
        renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
        ..LeaseSpec::default()
    }
}

#[test]
fn who_may_do_what() {
    let after = |lease: &LeaseSpec, seconds| decide(lease, "me", Duration::from_secs(seconds));
    assert_eq!(after(&LeaseSpec::default(), 0), Decision::Acquire);
    assert_eq!(after(&held("", 15), 0), Decision::Acquire, "given back");
    assert_eq!(after(&held("me", 15), 99), Decision::Renew);
    assert_eq!(after(&held("other", 15), 14), Decision::Wait);
    assert_eq!(after(&held("other", 15), 15), Decision::Acquire);
    assert_eq!(after(&held("other", 60), 15), Decision::Wait, "the holder's own word counts");
    assert_eq!(after(&held("other", -1), 14), Decision::Wait, "nonsense is no reason to take it early");
}

const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/ns/leases/slipway";

fn holder(api: &Fake) -> String {
    api.get(PATH).unwrap()["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_another_begins() {
    let api = Fake::default();
    let (client, cut) = api.cuttable();
    let mut a = Candidate::new(client, "ns", "a".into(), Mandate::default());
    let mut b = Candidate::new(api.client(), "ns", "b".into(), Mandate::default());
    a.acquire(&Waits::default()).await;
    let leader = tokio::spawn(async move {
        a.hold(&Waits::default()).await;
        Instant::now()
    });
    let second = tokio::spawn(async move {
        b.acquire(&Waits::default()).await;
        Instant::now()
    });
    sleep(Duration::from_mins(2)).await;
    assert!(!leader.is_finished() && !second.is_finished(), "a leader that renews stays one");
    assert_eq!(holder(&api), "a");
    let cut_at = Instant::now();
    cut.set(true);
    let (stopped, began) = (leader.await.unwrap(), second.await.unwrap());
    assert!(stopped - cut_at <= GIVE_UP, "stopped {:?} after the cut", stopped - cut_at);
    assert!(began - stopped >= Duration::from_secs(1), "only {:?} between the two", began - stopped);
    assert!(began - cut_at <= DURATION + RENEW_EVERY, "nobody led for {:?}", began - cut_at);
    assert_eq!(api.get(PATH).unwrap()["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_costs_nothing() {
    let api = Fake::default();
    let (client, cut) = api.cuttable();
    let mut a = Candidate::new(client, "ns", "a".into(), Mandate::default());
    a.acquire(&Waits::default()).await;
    let leader = tokio::spawn(async move { a.hold(&Waits::default()).await });
    for _ in 0..5 {
        sleep(Duration::from_secs(12)).await;
        cut.set(true);
        sleep(Duration::from_secs(4)).await;
        cut.set(false);
    }
    assert!(!leader.is_finished());
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_is_taken_at_once() {
    let api = Fake::default();
    let mut a = Candidate::new(api.client(), "ns", "a".into(), Mandate::default());
    let mut b = Candidate::new(api.client(), "ns", "b".into(), Mandate::default());
    a.acquire(&Waits::default()).await;
    let began = Instant::now();
    let second = tokio::spawn(async move {
        b.acquire(&Waits::default()).await;
        b
    });
    sleep(Duration::from_secs(1)).await;
    a.release().await;
    let mut b = second.await.unwrap();
    assert!(began.elapsed() <= RETRY_EVERY * 2, "{:?}", began.elapsed());
    assert_eq!(holder(&api), "b");
    a.release().await;
    assert_eq!(holder(&api), "b", "what is another's is not given back");
    b.release().await;
    assert_eq!(holder(&api), "");
}

#[tokio::test(start_paused = true)]
async fn of_two_that_try_at_once_one_wins() {
    let api = Fake::default();
    let mut all: Vec<_> =
        (0..5).map(|n| Candidate::new(api.client(), "ns", n.to_string(), Mandate::default())).collect();
    for candidate in &mut all {
        // Everybody has seen that there is no lease.
        assert_eq!(candidate.look().await.unwrap(), Decision::Acquire);
    }
    let mut winners = Vec::new();
    for candidate in &mut all {
        if candidate.write().await.is_ok() {
            winners.push(candidate.me.clone());
        }
    }
    assert_eq!(winners, ["0"]);
    assert!(!all[1].attempt().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_lease_another_took_stops_at_once() {
    let api = Fake::default();
    let mut a = Candidate::new(api.client(), "ns", "a".into(), Mandate::default());
    a.acquire(&Waits::default()).await;
    let mut lease = api.get(PATH).unwrap();
    lease["spec"]["holderIdentity"] = "b".into();
    api.put(PATH, lease);
    let began = Instant::now();
    a.hold(&Waits::default()).await;
    assert!(began.elapsed() <= RENEW_EVERY, "{:?}", began.elapsed());
    assert_eq!(holder(&api), "b");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_leader_has_no_mandate_when_it_wakes() {
    let api = Fake::default();
    let mandate = Mandate::default();
    let mut a = Candidate::new(api.client(), "ns", "a".into(), mandate.clone());
    a.acquire(&Waits::default()).await;
    assert_eq!(mandate.check(), Ok(()));
    // Nothing of this process runs meanwhile, its renewals neither.
    tokio::time::advance(GIVE_UP).await;
    assert_eq!(mandate.check().unwrap_err().reason(), "LeaseExpired");
    assert!(a.attempt().await.unwrap(), "nobody has taken it");
    assert_eq!(mandate.check(), Ok(()), "renewed");
}
