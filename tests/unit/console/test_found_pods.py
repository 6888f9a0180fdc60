from __future__ import annotations

import json

import pytest

from isthmus.console import found_pods, pilots
from isthmus.console.found_pods import find_pod
from isthmus.console.meshed import Meshed
from isthmus.console.pilots import Silence, ask_pilots
from isthmus.kube.client import Listing
from isthmus.kube.errors import KubeError, Unreachable
from isthmus.kube.kubeconfig import Access

PODS = {
    "east": ["web-1-of-many", "other"],
    "west": ["web-1"],
    "south": ["web-10", "web-1-again"],
}


class Cluster:
    """A cluster that answers with the pods of its name."""

    def __init__(self, access):
        self._name = access.name

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def list_all(self, _, scope):
        if self._name == "away":
            raise Unreachable("no answer from away")
        names = PODS[self._name] if scope.namespace == "default" else []
        return Listing([json.dumps({"metadata": {"name": each}}).encode() for each in names], "1")


@pytest.fixture(autouse=True)
def clusters(monkeypatch):
    for module in (found_pods, pilots):
        monkeypatch.setattr(module, "Client", Cluster)
        monkeypatch.setattr(module, "access_to", lambda _, context: Access(server="x", name=context))


@pytest.mark.parametrize(
    ("contexts", "found"),
    [
        (("east", "west"), ("west", "web-1")),
        (("east", "south"), ("east", "web-1-of-many")),
        (("south", "east"), ("south", "web-1-again")),
        (("away", "east"), ("east", "web-1-of-many")),
    ],
)
async def test_a_pod_of_that_name_comes_before_one_whose_name_begins_so(contexts, found):
    pod = await find_pod(None, contexts, "web-1")
    assert (pod.context, pod.name) == found


async def test_a_cluster_that_cannot_be_asked_is_said_where_no_other_has_the_pod():
    with pytest.raises(KubeError, match="no answer from away"):
        await find_pod(None, ("away", "west"), "api")
    with pytest.raises(KubeError, match="no pod in namespace 'default' is called api…"):
        await find_pod(None, ("east", "west"), "api")


async def test_a_pilot_that_answers_in_no_json_is_silent_and_takes_no_other_with_it(monkeypatch):
    said = {"one": b"{}", "two": b"<html>"}

    async def running_pods(*_):
        return [*said]

    async def fetch(_, __, pod, *___):
        return said[pod]

    monkeypatch.setattr(pilots, "running_pods", running_pods)
    monkeypatch.setattr(pilots, "fetch", fetch)
    answers = await ask_pilots(Meshed(None, ("east",), "istio-system"), "/debug/clusters")
    assert [each.pod for each in answers.told] == ["one"]
    (silence,) = answers.silent
    assert isinstance(silence, Silence)
    assert "two does not answer in JSON" in silence.why
