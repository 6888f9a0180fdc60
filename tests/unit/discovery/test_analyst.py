"""Pilot says what is wrong: once in its log, and in the status of the objects for as long as it is so."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from structlog.testing import capture_logs

from fakes.eventually import eventually
from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.discovery.analyst import Analyst, AnalystSettings
from isthmus.discovery.finding_status import statuses_of
from isthmus.discovery.status_writer import Statuses, StatusKey
from isthmus.kit.clock import ManualClock
from isthmus.kit.tasks import supervise
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.findings import Code, Finding, Severity
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId

GKE = ClusterId("gke")


def change(kind, name, generation=1, **body):
    meta = {"name": name, "namespace": "default", "uid": f"uid-{name}", "generation": generation}
    found = decode(kind_named(kind), {"metadata": meta, **body})
    return Change(ChangeKey(GKE, kind_named(kind).ref(found.metadata)), found)


def rule(host, generation=1):
    spec = {"host": host, "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
    return change("DestinationRule", "r", generation, spec=spec)


SERVICE = change(
    "Service", "reviews", spec={"clusterIP": "10.0.0.1", "ports": [{"port": 80, "name": "http"}]}
)
REF = rule("reviews").key.ref


@pytest.fixture
async def pilot():
    builder, statuses = MeshBuilder(MeshSettings(config_cluster=GKE)), Statuses()
    analyst = Analyst(builder, tuple, statuses, AnalystSettings(rest_s=0.01))
    running = asyncio.create_task(analyst.run())
    yield builder, statuses, analyst
    running.cancel()


def told(statuses):
    return statuses.wanted.value.get(StatusKey(GKE, REF, "uid-r"))


async def look_at(pilot, *changes):
    builder, statuses, analyst = pilot
    before = statuses.wanted.value
    builder.apply(changes)
    analyst.look()

    async def is_told():
        return statuses.wanted.value is not before

    await eventually(is_told)
    return told(statuses)


async def test_what_is_wrong_stands_in_the_status_until_it_is_mended(pilot):
    body = await look_at(pilot, SERVICE, rule("nobody"))
    (message,) = body["validationMessages"]
    assert message["type"] == {"name": "UnknownDestinationRuleHost", "code": "IST0174"}
    assert (message["level"], message["path"]) == ("WARNING", "$.spec.host")
    assert message["documentationUrl"].endswith("/ist0174/")
    by_type = {each["type"]: each for each in body["conditions"]}
    assert by_type["PassedAnalysis"]["status"] == "False"
    assert by_type["Reconciled"] | {"message": ""} == {
        "type": "Reconciled",
        "status": "True",
        "reason": "InMesh",
        "message": "",
        "observedGeneration": 1,
    }
    body = await look_at(pilot, rule("reviews", generation=2))
    assert (body["validationMessages"], body["observedGeneration"]) == (None, 2)
    assert {each["status"] for each in body["conditions"]} == {"True"}


async def test_each_finding_is_logged_once_and_so_is_its_end(pilot):
    with capture_logs() as logs:
        await look_at(pilot, SERVICE, rule("nobody"))
        await look_at(pilot, rule("nobody", generation=2))
        await look_at(pilot, rule("reviews", generation=3))
    said = [
        (each["event"], each["code"], each["log_level"]) for each in logs if each["event"].startswith("find")
    ]
    assert said == [("finding", "IST0174", "warning"), ("finding gone", "IST0174", "info")]


async def test_statuses_are_left_alone_where_that_is_set():
    builder, statuses = MeshBuilder(MeshSettings(config_cluster=GKE)), Statuses()
    analyst = Analyst(builder, tuple, statuses, AnalystSettings(rest_s=0.0, in_status=False))
    builder.apply([SERVICE, rule("nobody")])
    running = asyncio.create_task(analyst.run())
    analyst.look()

    async def is_found():
        return bool(analyst.found)

    await eventually(is_found)
    running.cancel()
    assert statuses.wanted.value == {}


def test_an_object_that_does_not_decode_is_not_reconciled_and_the_last_good_one_is_named():
    wrong = Finding(ref=REF, path="$.spec.host", message="is missing", code=Code.SCHEMA, cluster=GKE)
    good = rule("reviews", generation=4).value
    for objects, said in (({REF: good}, "generation 4 holds on"), ({}, "nothing of it is in the mesh")):
        (body,) = statuses_of(GKE, objects, [wrong]).values()
        (reconciled, _) = body["conditions"]
        assert (reconciled["status"], reconciled["reason"]) == ("False", "Invalid")
        assert said in reconciled["message"]
        assert "observedGeneration" not in reconciled


def test_info_alone_passes_and_pods_have_no_such_status():
    info = Finding(ref=REF, message="m", severity=Severity.INFO, code=Code.PORT_NAME)
    pod = change("Pod", "p").value
    told_of = statuses_of(GKE, {REF: rule("reviews").value, kind_named("Pod").ref(pod.metadata): pod}, [info])
    (body,) = told_of.values()
    assert body["conditions"][1]["status"] == "True"
    assert body["validationMessages"][0]["level"] == "INFO"


async def test_a_large_mesh_that_never_rests_is_looked_at_a_twentieth_of_the_time(monkeypatch):
    clock, looks = ManualClock(), []

    async def two_seconds(*_):
        looks.append(clock.now())
        await clock.sleep(2)
        return ()

    monkeypatch.setattr("asyncio.to_thread", two_seconds)
    analyst = Analyst(MeshBuilder(MeshSettings()), tuple, Statuses(), AnalystSettings(rest_s=1), clock)
    async with supervise(analyst.run()):
        for _ in range(200):
            analyst.look()
            await clock.advance(1)
    waits = [later - earlier for earlier, later in itertools.pairwise(looks)]
    assert waits
    assert all(wait >= 40 for wait in waits)
