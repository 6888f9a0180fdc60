from __future__ import annotations

import asyncio

import pytest

from fakes.objects_of import pod
from isthmus.lab.kubelet.pod_status import pod_status

NOW, THEN = "2026-01-01T00:01:00Z", "2026-01-01T00:00:00Z"


class SeemingContainer:
    """Satisfies what `pod_status` asks of a container."""

    def __init__(self, state, *, ready=False, restarts=0, last=None, **spec):
        self.spec = {"name": "main", **spec}
        self.state, self.is_ready, self.restarts, self.last_state = state, ready, restarts, last or {}
        self.started = asyncio.Event()
        if "running" in state:
            self.started.set()

    @property
    def status(self):
        return {"name": self.spec["name"], "state": self.state, "ready": self.is_ready}


WAITING = {"waiting": {"reason": "ContainerCreating"}}
RUNNING = {"running": {"startedAt": THEN}}


def ended(code):
    return {"terminated": {"exitCode": code}}


def status(mains, inits=(), before=None, policy="Always"):
    made = pod(restartPolicy=policy) | ({"status": before} if before else {})
    inits = [SeemingContainer(each) if isinstance(each, dict) else each for each in inits]
    mains = [SeemingContainer(each) if isinstance(each, dict) else each for each in mains]
    return pod_status(made, inits, mains, NOW)


def conditions(found):
    return {each["type"]: each["status"] == "True" for each in found["conditions"]}


@pytest.mark.parametrize(
    ("policy", "mains", "phase"),
    [
        ("Always", [WAITING], "Pending"),
        ("Always", [RUNNING], "Running"),
        ("Always", [RUNNING, WAITING], "Running"),
        ("Always", [ended(0)], "Pending"),
        ("Never", [ended(0), ended(0)], "Succeeded"),
        ("Never", [ended(0), ended(1)], "Failed"),
        ("Never", [ended(1), RUNNING], "Running"),
        ("OnFailure", [ended(0)], "Succeeded"),
        ("OnFailure", [SeemingContainer(ended(1), restarts=1)], "Running"),
    ],
)
def test_the_phase_follows_the_containers_and_the_policy(policy, mains, phase):
    assert status(mains, policy=policy)["phase"] == phase


def test_a_container_that_restarts_keeps_its_pod_running():
    crashed = SeemingContainer({"waiting": {"reason": "CrashLoopBackOff"}}, restarts=1, last=ended(1))
    assert status([crashed])["phase"] == "Running"


def test_a_pod_is_ready_when_all_its_containers_are():
    one, two = SeemingContainer(RUNNING, ready=True), SeemingContainer(RUNNING)
    assert conditions(status([one])) == dict.fromkeys(
        ("PodScheduled", "Initialized", "ContainersReady", "Ready"), True
    )
    assert conditions(status([one, two])) | {"Ready": None} == {
        "PodScheduled": True,
        "Initialized": True,
        "ContainersReady": False,
        "Ready": None,
    }


def test_a_pod_is_initialized_when_all_before_have_ended_well():
    assert not conditions(status([WAITING], [ended(0), RUNNING]))["Initialized"]
    assert not conditions(status([WAITING], [ended(1)]))["Initialized"]
    found = status([WAITING], [ended(0)])
    assert conditions(found)["Initialized"]
    assert found["initContainerStatuses"][0]["ready"] is True


def test_an_init_container_that_fails_for_good_fails_its_pod():
    assert status([WAITING], [ended(1)], policy="Never")["phase"] == "Failed"
    assert status([WAITING], [ended(1)])["phase"] == "Pending"


def test_a_sidecar_is_done_when_it_has_started_and_counts_for_readiness():
    sidecar = SeemingContainer(RUNNING, restartPolicy="Always")
    found = conditions(status([SeemingContainer(RUNNING, ready=True)], [sidecar]))
    assert (found["Initialized"], found["Ready"]) == (True, False)
    sidecar.is_ready = True
    assert conditions(status([SeemingContainer(RUNNING, ready=True)], [sidecar]))["Ready"]


def test_conditions_keep_their_times_until_they_change():
    before = {
        "podIP": "10.124.0.9",
        "conditions": [
            {"type": "Ready", "status": "True", "lastTransitionTime": THEN},
            {"type": "Initialized", "status": "True", "lastTransitionTime": THEN},
        ],
    }
    found = status([SeemingContainer(RUNNING)], before=before)
    times = {each["type"]: each["lastTransitionTime"] for each in found["conditions"]}
    assert (times["Initialized"], times["Ready"]) == (THEN, NOW)
    assert found["podIP"] == "10.124.0.9"
