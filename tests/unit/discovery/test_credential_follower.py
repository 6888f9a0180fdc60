"""Only the Secrets that are wanted are followed, each by itself."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from fakes.credentials import PKI, encoded
from fakes.eventually import eventually
from fakes.two_clusters import World
from isthmus.api.resource import Ref
from isthmus.discovery.cluster_watcher import ClusterWatcher, WatcherSettings
from isthmus.discovery.wanted_credentials import WantedCredentials
from isthmus.kit.clock import SystemClock
from isthmus.kit.tasks import supervise
from isthmus.kube.watch import WatchSettings
from isthmus.model.codes import Code
from isthmus.model.credential_key import CredentialKey

SHOWN = PKI.leaf(dns=("bookinfo.example.com",))
REF = Ref("Secret", "istio-system", "bookinfo")
KEY = CredentialKey("east", REF)


def tls(name, shown=SHOWN):
    data = encoded({"tls.crt": shown.certificate, "tls.key": shown.key})
    meta = {"name": name, "namespace": "istio-system"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "kubernetes.io/tls", "data": data}


class HurriedClock(SystemClock):
    """Its users wait a moment only, however long they mean to; and it can be set forward."""

    ahead_s = 0.0

    def now(self):
        return super().now() + self.ahead_s

    async def sleep(self, seconds):
        await asyncio.sleep(min(seconds, 0.02))


@asynccontextmanager
async def watched(cluster, clock=None):
    world, wanted = World(), WantedCredentials()
    settings = WatcherSettings(
        watch=WatchSettings(first_wait_s=0.02, longest_wait_s=0.05), credentials=wanted.current
    )
    watcher = ClusterWatcher(cluster.spec(), world.put, settings, clock)
    watcher.speak()
    async with supervise(watcher.run()):
        await watcher.synced()
        yield watcher, world, wanted


async def test_a_secret_is_followed_from_when_it_is_wanted_until_it_is_not(east):
    await east.create("secrets", tls("bookinfo"))
    await east.create("secrets", tls("private"))
    async with watched(east) as (_, world, wanted):
        assert not world.mesh.credentials
        wanted.ask([KEY, CredentialKey("west", REF)])
        await world.until(lambda world: world.mesh.credentials)
        assert set(world.mesh.credentials) == {KEY}
        assert world.mesh.credentials[KEY].certificate == SHOWN.certificate
        await east.delete("secrets", "istio-system", "bookinfo")
        await world.until(lambda world: not world.mesh.credentials[KEY].exists)
        wanted.keep(frozenset({"kubernetes://other"}))
        await world.until(lambda world: KEY not in world.mesh.credentials)
        seen = {change.key.ref.name for change in world.changes if change.key.ref.kind == "Secret"}
        assert "private" not in seen


async def test_a_secret_that_is_not_there_is_known_to_be_absent(east):
    async with watched(east) as (_, world, wanted):
        wanted.want("a test", [KEY])
        await world.until(lambda world: KEY in world.mesh.credentials)
        assert not world.mesh.credentials[KEY].exists
        await east.create("secrets", tls("bookinfo"))
        await world.until(lambda world: world.mesh.credentials[KEY].exists)


async def test_a_certificate_that_expires_is_told_before_and_then_a_finding_and_stays(east):
    clock = HurriedClock()
    await east.create("secrets", tls("bookinfo"))
    async with watched(east, clock) as (_, world, wanted):
        wanted.ask([KEY])
        await world.until(lambda world: KEY in world.mesh.credentials)
        clock.ahead_s = world.mesh.credentials[KEY].ends - 100 - clock.now()
        await world.until(lambda world: any("ends at" in each.message for each in world.mesh.findings))
        assert [each.code for each in world.mesh.findings] == [Code.CERTIFICATE_ENDS]
        clock.ahead_s = 7200.0

        async def told():
            return any("expired at" in each.message for each in world.mesh.findings)

        await eventually(told)
        (finding,) = world.mesh.findings
        assert (finding.ref, finding.path, finding.cluster) == (REF, "$.data[tls.crt]", "east")
        assert world.mesh.credentials[KEY].certificate == SHOWN.certificate


async def test_a_watcher_that_takes_over_tells_what_it_knows(east):
    await east.create("secrets", tls("bookinfo"))
    async with watched(east) as (watcher, world, wanted):
        watcher.fall_silent()
        wanted.ask([KEY])

        async def known():
            return bool(watcher._credentials.told)

        await eventually(known)
        assert not world.mesh.credentials
        watcher.speak()
        assert KEY in world.mesh.credentials


async def test_what_was_let_go_is_followed_again_when_it_is_wanted_again(east):
    await east.create("secrets", tls("bookinfo"))
    absent = CredentialKey("east", REF._replace(name="absent"))
    async with watched(east) as (_, world, wanted):
        for _ in range(3):
            wanted.ask([KEY, absent])
            await world.until(lambda world: {KEY, absent} <= set(world.mesh.credentials))
            assert world.mesh.credentials[KEY].exists
            wanted.keep(frozenset())
            wanted.ask([KEY])
            await world.until(lambda world: absent not in world.mesh.credentials)
            await world.until(lambda world: KEY in world.mesh.credentials)
            wanted.keep(frozenset())
            await world.until(lambda world: not world.mesh.credentials)
