"""Several Pilots at one API server: of each object one of them writes."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import msgspec
import pytest

from fakes.eventually import eventually
from fakes.two_clusters import two_clusters
from isthmus import writers
from isthmus.api import kind_named
from isthmus.api.crd import definition
from isthmus.api.resource import Ref
from isthmus.discovery.default_revision import DefaultRevision
from isthmus.discovery.kept_keys import KeptKeys
from isthmus.discovery.registrations import Registrations
from isthmus.discovery.status_writer import Statuses, StatusKey
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube import lease
from isthmus.kube.client import Client
from isthmus.model.build import MeshBuilder
from isthmus.model.mesh import MeshSettings
from isthmus.settings import PilotSettings
from isthmus.writers import ToWrite, Writers

RULES = kind_named("VirtualService")


def ref(name):
    return Ref("VirtualService", "default", name)


def rule(name, revision=""):
    meta = {"name": name, "namespace": "default", "labels": {"istio.io/rev": revision} if revision else {}}
    spec = {"hosts": [name], "http": [{"route": [{"destination": {"host": name}}]}]}
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta, "spec": spec}


@pytest.fixture
async def east(tmp_path, api_server, monkeypatch):
    quick = lease.LeaseSettings(duration_s=1.0, renewal_s=0.1)
    monkeypatch.setattr(lease, "LeaseSettings", lambda **_: quick)
    monkeypatch.setattr(writers, "LeaseSettings", lambda **said: _preceding(quick, **said))
    async with two_clusters(tmp_path) as (first, _):
        await first.apply(definition(RULES))
        for name, revision in (("all", ""), ("stable", "default"), ("next", "canary")):
            await first.create("virtualservices", rule(name, revision))
        yield first


def _preceding(quick, precedes=None, **_):
    return quick if precedes is None else msgspec.structs.replace(quick, precedes=precedes)


def pilot(east, revision, *labelled):
    """What a Pilot of `revision` writes: of each object that it reads that it was there, in its own words."""
    builder, statuses = MeshBuilder(MeshSettings(config_cluster="east")), Statuses()
    registrations = Registrations(lambda: builder.mesh, lambda: None)
    to_write = ToWrite(
        statuses,
        Watchable(()),
        registrations,
        KeptKeys(east.access),
        Watchable(None),
        lambda found: found.name in labelled,
    )
    settings = PilotSettings(cluster="east", revision=revision)
    return Writers(settings, to_write), statuses


def say(statuses, words, *names):
    said = {"conditions": [{"type": "Reconciled", "status": "True", "reason": words, "message": ""}]}
    statuses.want("test", {StatusKey("east", ref(name)): said for name in names})


@asynccontextmanager
async def running(east, *pilots):
    async with Client(east.access) as client, supervise(*(each.run(client) for each in pilots)):
        yield


async def words(east, name):
    found = await east.find("virtualservices", "default", name, RULES.group)
    return [each["reason"] for each in (found.get("status") or {}).get("conditions", ())]


async def until_words(east, **wanted):
    async def stand():
        return {name: await words(east, name) for name in wanted} == {
            name: [each] for name, each in wanted.items()
        }

    await eventually(stand)


async def versions(east):
    found = [
        await east.find("virtualservices", "default", name, RULES.group) for name in ("all", "stable", "next")
    ]
    return [each["metadata"]["resourceVersion"] for each in found]


async def test_of_two_pilots_that_say_different_things_one_writes_and_the_other_follows_when_it_dies(east):
    one, ones = pilot(east, "default")
    two, twos = pilot(east, "default")
    say(ones, "One", "all")
    say(twos, "Two", "all")
    async with Client(east.access) as client:
        first = asyncio.create_task(one.run(client))
        await until_words(east, all="One")
        async with running(east, two):
            before = await versions(east)
            await asyncio.sleep(1.0)
            assert await versions(east) == before, "statuses do not flap"
            first.cancel()
            await asyncio.wait([first])
            await until_words(east, all="Two")


async def test_a_pilot_that_is_killed_is_followed_within_its_lease(east, monkeypatch):
    one, ones = pilot(east, "default")
    two, twos = pilot(east, "default")
    say(ones, "One", "all")
    say(twos, "Two", "all")
    async with Client(east.access) as client:
        first = asyncio.create_task(one.run(client))
        await until_words(east, all="One")
        with monkeypatch.context() as killed:
            killed.setattr(lease.Lease, "_let_go", _nothing)
            first.cancel()
            await asyncio.wait([first])
        async with running(east, two):
            await until_words(east, all="Two")


async def _nothing(_):
    pass


async def test_each_revision_writes_of_its_own_and_the_default_one_of_those_of_none(east):
    stable, says = pilot(east, "default", "stable")
    new, tells = pilot(east, "canary", "next")
    say(says, "Stable", "all", "stable")
    say(tells, "New", "all", "next")
    async with running(east, new):
        await until_words(east, all="New", next="New")
        async with running(east, stable):
            await until_words(east, all="Stable", stable="Stable", next="New")
            before = await versions(east)
            await asyncio.sleep(1.0)
            assert await versions(east) == before


async def test_the_revision_of_tag_default_stands_for_those_that_name_none(east):
    tag = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": "istio-revision-tag-default",
            "labels": {"istio.io/tag": "default", "istio.io/rev": "canary"},
        },
        "webhooks": [],
    }
    async with Client(east.access) as client:
        stable, new = (DefaultRevision(client, name, "istio-system") for name in ("default", "canary"))
        async with supervise(stable.run(), new.run()):
            assert (stable.is_ours.value, new.is_ours.value) == (True, False)
            await client.request(
                "POST", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", body=tag
            )

            async def is_moved():
                return (stable.is_ours.value, new.is_ours.value) == (False, True)

            await eventually(is_moved)
            await client.request(
                "DELETE",
                "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/istio-revision-tag-default",
            )

            async def is_back():
                return (stable.is_ours.value, new.is_ours.value) == (True, False)

            await eventually(is_back)
