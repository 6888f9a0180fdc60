"""Capture as nft does it, with a real Envoy as Pilot tells it, and callers from other network namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

V4, V6 = ("10.99.0.1", "10.99.0.2"), ("fd00:99::1", "fd00:99::2")
ENVOY = {V4: "127.0.0.6", V6: "::6"}
REDIRECT = {"virtual_interfaces": ["k6t0"]}
TPROXY = {"virtual_interfaces": ["k6t0"], "keeps_source": True}
PASSED = {"exclude_interfaces": ["up0"]}
PASSED_BY_TPROXY = {"exclude_interfaces": ["up0"], "keeps_source": True}
WISHES = {"redirect": REDIRECT, "tproxy": TPROXY, "passed": PASSED, "passed-by-tproxy": PASSED_BY_TPROXY}


@pytest.fixture(scope="module")
def pods(tmp_path_factory):
    """What was observed, by the pod's address and the wish."""
    if missing := [each for each in ("nft", "ip", "unshare", "nsenter") if shutil.which(each) is None]:
        pytest.skip(f"not there: {', '.join(missing)}")
    command = [sys.executable, "-m", "fakes.captured_pod", str(tmp_path_factory.mktemp("pods"))]
    asked = [(place, wish) for place in (V4, V6) for wish in WISHES.values()]
    done = subprocess.run(
        [*(["unshare", "-Ur"] if os.geteuid() else []), *command],
        input=json.dumps(asked), capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    if "Operation not permitted" in done.stderr:
        pytest.skip(f"no network namespaces: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, done.stdout.splitlines())
    return {(place, name): next(lines) for place in (V4, V6) for name in WISHES}


pytestmark = [pytest.mark.lab, pytest.mark.parametrize("place", [V4, V6], ids=["ipv4", "ipv6"])]


def test_redirected_callers_are_envoy_to_the_application(pods, place):
    found = pods[place, "redirect"]
    assert (found["8080"], found["9000"], found["itself"]) == (ENVOY[place],) * 3


def test_by_tproxy_the_application_sees_who_calls(pods, place):
    found, (pod, other) = pods[place, "tproxy"], place
    assert (found["8080"], found["9000"], found["itself"]) == (other, other, pod)


@pytest.mark.parametrize("mode", ["redirect", "tproxy"])
def test_what_is_the_proxys_own_comes_without_it_and_what_the_pod_calls_is_answered(pods, place, mode):
    found, (pod, other) = pods[place, mode], place
    assert (found["15020"], found["out"]) == (other, pod)


@pytest.mark.parametrize("mode", ["redirect", "tproxy"])
def test_nobody_reaches_the_application_past_an_envoy_that_does_not_run(pods, place, mode):
    assert pods[place, mode]["before"] == "ConnectionRefusedError"


@pytest.mark.parametrize("mode", ["redirect", "tproxy"])
def test_what_a_machine_within_the_pod_calls_goes_out_through_envoy(pods, place, mode):
    # There is no other way: the pod's kernel hands nothing on from one link to another.
    assert pods[place, mode]["machine"] == place[0]


@pytest.mark.parametrize("mode", ["passed", "passed-by-tproxy"])
def test_what_passes_an_excluded_interface_is_not_captured(pods, place, mode):
    found, other = pods[place, mode], place[1]
    assert [found[key] for key in ("before", "8080", "9000", "15020")] == [other] * 4


@pytest.mark.parametrize("mode", WISHES)
def test_capture_that_is_taken_away_leaves_nothing(pods, place, mode):
    assert (pods[place, mode]["clean"], pods[place, mode]["rules"]) == (place[1], 0)
