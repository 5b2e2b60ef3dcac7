"""Two public Redfish clients against one BMC: each logs in, sets a boot override, switches power off and on, and logs out.

Usage: power_cycle.py URL SYSTEM USERNAME, the password on stdin.
"""

import sys
import time

import redfish
import sushy
from sushy import auth

DEADLINE = 20


def until(what, holds):
    end = time.monotonic() + DEADLINE
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"waited {DEADLINE} s for: {what}")
        time.sleep(0.05)


def with_sushy(url, path, username, password):
    root = sushy.Sushy(url, auth=auth.SessionAuth(username, password), verify=False)
    system = root.get_system(path)

    def power_is(state):
        system.refresh(force=True)
        return system.power_state == state

    for reset, state in [
        (sushy.ResetType.ON, sushy.PowerState.ON),
        (sushy.ResetType.FORCE_OFF, sushy.PowerState.OFF),
    ]:
        system.reset_system(reset)
        until(f"power {state} by sushy", lambda: power_is(state))
    system.set_system_boot_options(
        target=sushy.BootSource.PXE, enabled=sushy.BootSourceOverrideEnabled.ONCE
    )
    system.refresh(force=True)
    assert system.boot.target == sushy.BootSource.PXE, system.boot.target
    assert system.boot.enabled == sushy.BootSourceOverrideEnabled.ONCE, system.boot.enabled
    system.reset_system(sushy.ResetType.ON)
    until("power on by sushy", lambda: power_is(sushy.PowerState.ON))
    assert system.boot.enabled != sushy.BootSourceOverrideEnabled.ONCE, "the boot did not use up the override"
    assert len(system.processors.get_members()) == 3
    assert len(system.ethernet_interfaces.get_members()) >= 2
    root._auth.close()
    print("sushy: ok")


def with_dmtf(url, path, username, password):
    client = redfish.redfish_client(base_url=url, username=username, password=password, timeout=10, max_retry=1)
    client.login(auth="session")

    def power():
        return client.get(path).dict["PowerState"]

    target = client.get(path).dict["Actions"]["#ComputerSystem.Reset"]["target"]
    before = power()
    for reset, state in [("ForceOff", "Off"), ("On", "On")]:
        answer = client.post(target, body={"ResetType": reset})
        assert answer.status in (200, 202, 204), answer.status
        until(f"power {state} by DMTF's client", lambda: power() == state)
    assert before == "On", before
    client.logout()
    print("DMTF: ok")


def main():
    url, path, username = sys.argv[1:]
    password = sys.stdin.readline().rstrip("\n")
    with_sushy(url, path, username, password)
    with_dmtf(url, path, username, password)


if __name__ == "__main__":
    main()
