"""Keys that outlive a Pilot: written by the account that Pilot has, read by the next one, and no older than is said."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from fakes.eventually import eventually
from fakes.issuers import Key, jwks
from isthmus.api import kind_named
from isthmus.console.installation import Installation, documents
from isthmus.discovery.kept_keys import MOST_BYTES, NAME, KeptKeys, KeptKeysSettings, read, written
from isthmus.kit.clock import ManualClock
from isthmus.kit.jwks import KeySet, read_jwks
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.kube.client import Client, path_of
from isthmus.kube.errors import Forbidden
from isthmus.kube.kubeconfig import Access
from isthmus.model.key_source import GoodKeys, KeySource
from unit.ca.installed import SYSTEM, Installed, installed

PILOT = "istio-pilot-service-account"
FILES = Installation(cluster="gke", layout="apart", clusters_dir="/etc/clusters")
CONFIG_MAPS = kind_named("ConfigMap")
ONE, TWO = read_jwks(jwks(Key(kid="one"))), read_jwks(jwks(Key(kid="two")))
NEAR, FAR = (
    KeySource("https://near.example/keys"),
    KeySource("https://far.example/openid", "https://far.example"),
)
NOW = 1_000_000.0


def good(keys: KeySet, ago_s: float = 0.0) -> GoodKeys:
    return GoodKeys(keys=keys, fetched_at=NOW - ago_s)


@pytest.fixture
async def place(tmp_path: Path):
    async with installed(tmp_path, FILES) as found:
        made = [each for each in documents("primary", FILES) if each["metadata"]["name"] == NAME]
        assert len(made) == 1
        await found.apply(made)
        yield found


class Keeper:
    """What keeps keys at an installed cluster, as Pilot's account, at a time that is told."""

    def __init__(self, place: Installed, access: Access, **more) -> None:
        self._place, self._access = place, access
        self.clock = ManualClock(NOW)
        self.kept = KeptKeys(access, KeptKeysSettings(pause_s=0, **more), self.clock)
        self.wanted = Watchable(None)
        self.leads = Watchable(True)

    async def run(self) -> None:
        async with Client(self._access) as client:
            await self.kept.run(client, self.leads, self.wanted)

    async def found(self):
        """The ConfigMap."""
        return await self._place.find("configmaps", NAME, SYSTEM)

    async def until(self, **sources) -> None:
        """Until just these are kept."""

        async def kept():
            await self.clock.advance(0)
            return {each.uri: keys.keys for each, keys in read(await self.found()).items()} == sources

        await eventually(kept)


async def test_keys_of_one_pilot_are_the_next_ones_and_go_with_their_policies(place: Installed) -> None:
    first = Keeper(place, await place.access(SYSTEM, PILOT))
    async with supervise(first.run()):
        first.wanted.set({NEAR: good(ONE), FAR: good(TWO)})
        await first.until(**{NEAR.uri: ONE, FAR.uri: TWO})
        second = Keeper(place, await place.access(SYSTEM, PILOT))
        assert await second.kept.recall(NEAR) == good(ONE)
        assert await second.kept.recall(FAR) == good(TWO)
        assert await second.kept.recall(KeySource("https://near.example/other")) is None
        first.wanted.set({FAR: None})  # a Pilot that could not ask it
        await first.until(**{FAR.uri: TWO})
    entry = json.loads(next(iter((await first.found())["data"].values())))
    assert entry["issuer"] == "https://far.example"
    assert entry["fetched"] == "1970-01-12T13:46:40Z"


async def test_it_is_written_when_keys_differ_and_else_seldom(place: Installed) -> None:
    keeper = Keeper(place, await place.access(SYSTEM, PILOT))

    async def version():
        return (await keeper.found())["metadata"]["resourceVersion"]

    async with supervise(keeper.run()):
        keeper.wanted.set({NEAR: good(ONE)})
        await keeper.until(**{NEAR.uri: ONE})
        before = await version()
        keeper.wanted.set({NEAR: good(ONE, ago_s=-600)})
        await keeper.clock.advance(1)
        await asyncio.sleep(0.5)
        assert await version() == before, "the same keys, ten minutes later"
        keeper.wanted.set({NEAR: good(ONE, ago_s=-4000)})

        async def written_anew():
            await keeper.clock.advance(1)
            return await version() != before

        await eventually(written_anew)
        keeper.wanted.set({NEAR: good(TWO, ago_s=-4001)})
        await keeper.until(**{NEAR.uri: TWO})


async def test_keys_are_no_longer_believed_than_is_said(place: Installed) -> None:
    keeper = Keeper(place, await place.access(SYSTEM, PILOT))
    async with supervise(keeper.run()):
        keeper.wanted.set({NEAR: good(ONE, ago_s=3600), FAR: good(TWO, ago_s=90_000)})
        await keeper.until(**{NEAR.uri: ONE, FAR.uri: TWO})
    assert await keeper.kept.recall(NEAR) is not None
    assert await keeper.kept.recall(FAR) is None, "more than a day old"
    never = Keeper(place, await place.access(SYSTEM, PILOT), kept_s=0)
    assert await never.kept.recall(NEAR) is None


async def test_who_does_not_lead_writes_nothing_and_who_stops_leading_stops(place: Installed) -> None:
    keeper = Keeper(place, await place.access(SYSTEM, PILOT))
    keeper.leads.set(False)
    keeper.wanted.set({NEAR: good(ONE)})
    async with supervise(keeper.run()):
        await asyncio.sleep(0.2)
        assert not (await keeper.found()).get("data")
        keeper.leads.set(True)
        await keeper.until(**{NEAR.uri: ONE})
        keeper.leads.set(False)
        await asyncio.sleep(0.05)
        keeper.wanted.set({NEAR: good(TWO)})
        await asyncio.sleep(0.2)
        await keeper.until(**{NEAR.uri: ONE})


async def test_pilot_writes_this_configmap_and_no_other(place: Installed) -> None:
    await place.make("configmaps", "ConfigMap", "istio", SYSTEM, data={"mesh": ""})
    async with Client(await place.access(SYSTEM, PILOT)) as client:
        found = await client.get(CONFIG_MAPS, SYSTEM, "istio")
        with pytest.raises(Forbidden):
            await client.request("PUT", path_of(CONFIG_MAPS, SYSTEM, "istio"), body=found)
        with pytest.raises(Forbidden):
            await client.delete(CONFIG_MAPS, SYSTEM, NAME)
        with pytest.raises(Forbidden):
            meta = {"name": "more", "namespace": SYSTEM}
            await client.create(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})


async def test_without_the_configmap_nothing_is_kept_and_all_else_goes_on(
    tmp_path: Path, api_server: str
) -> None:
    async with installed(tmp_path, FILES) as bare:
        keeper = Keeper(bare, await bare.access(SYSTEM, PILOT))
        async with supervise(keeper.run()):
            keeper.wanted.set({NEAR: good(ONE)})
            assert await keeper.kept.recall(NEAR) is None
            await asyncio.sleep(0.2)
            made = [each for each in documents("primary", FILES) if each["metadata"]["name"] == NAME]
            await bare.apply(made)
            await keeper.clock.advance(30)
            await keeper.until(**{NEAR.uri: ONE})


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "{}",
        '{"uri": "https://near.example/keys", "fetched": "yesterday", "jwks": {"keys": []}}',
        '{"uri": "https://near.example/keys", "fetched": "2026-01-01T00:00:00Z", "jwks": {"keys": []}}',
        '{"uri": "https://n", "fetched": "2026-01-01T00:00:00Z", "jwks": {"keys": [{"kty": "oct", "k": "AA"}]}}',
        '{"uri": 5, "fetched": "2026-01-01T00:00:00Z", "jwks": ' + "[" * 5000,
    ],
)
def test_what_somebody_else_wrote_there_is_read_with_care(text: str) -> None:
    kept = {**written({FAR: good(TWO)}), "near.json": text}
    assert read({"data": kept}) == {FAR: good(TWO)}


def test_what_is_too_much_leaves_out_the_longest() -> None:
    long = good(KeySet(text=f'{{"keys":[{" " * MOST_BYTES}]}}'))
    kept = written({NEAR: long, FAR: good(TWO)})
    assert read({"data": kept}) == {FAR: good(TWO)}
