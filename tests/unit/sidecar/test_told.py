"""What Pilot tells an agent: messages as Envoy's classes read them, and a whole conversation."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from fakes.eventually import eventually
from fakes.pilot import FakePilot
from isthmus.envoy.types import DeltaDiscoveryRequest, DeltaDiscoveryResponse, Node
from isthmus.kit.tasks import supervise
from isthmus.kit.watchable import Watchable
from isthmus.model.health import HEALTH_TYPE
from isthmus.model.name_table import PART_NAMES, TYPE_URL, Named, entry, part_of
from isthmus.sidecar.ads_messages import Answer, asked_by, node, read_answer, reply, subscription
from isthmus.sidecar.pod_names import NameSettings, PodNames
from isthmus.sidecar.told import Told, Wanted
from isthmus.wire.listeners import Unix
from isthmus.xds.fanout import Fanout

METADATA = {"CLUSTER_ID": "gke", "LABELS": {"app": "a"}, "N": 2.5, "B": True, "L": ["x", 1], "NONE": None}


def test_a_request_says_what_envoys_own_classes_read() -> None:
    who = node("sidecar~1.2.3.4~a.b~b.svc.cluster.local", METADATA, ("eu", "", "rack"))
    read = DeltaDiscoveryRequest.FromString(
        asked_by(who) + subscription(TYPE_URL, ["names"], {"names": "v1"})
    )
    expected = Node(id="sidecar~1.2.3.4~a.b~b.svc.cluster.local")
    expected.metadata.update(METADATA)  # type: ignore[arg-type]
    expected.locality.region, expected.locality.sub_zone = "eu", "rack"
    assert read == DeltaDiscoveryRequest(
        node=expected,
        type_url=TYPE_URL,
        resource_names_subscribe=["names"],
        initial_resource_versions={"names": "v1"},
    )


def test_an_answer_is_read_and_replied_to() -> None:
    said = DeltaDiscoveryResponse(type_url="t", nonce="7", removed_resources=["gone"])
    said.resources.add(name="names", version="v2").resource.value = b"body"
    answer = read_answer(said.SerializeToString())
    assert answer == Answer("t", "7", (("names", "v2", b"body"),))
    assert DeltaDiscoveryRequest.FromString(reply(answer, None)) == DeltaDiscoveryRequest(
        type_url="t", response_nonce="7"
    )
    refused = DeltaDiscoveryRequest.FromString(reply(answer, "no"))
    assert (refused.error_detail.code, refused.error_detail.message) == (3, "no")


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="isthmus-"))
    yield folder
    shutil.rmtree(folder)


async def test_every_new_word_arrives_a_bad_one_is_refused_and_the_last_good_one_is_kept(place: Path) -> None:
    pilot = FakePilot()
    pilot.fanout = Fanout((TYPE_URL,))
    pilot.world.put(TYPE_URL, "names", "1")
    heard: list[bytes] = []

    def take(bodies: Mapping[str, bytes]) -> None:
        (body,) = bodies.values()
        if body.endswith(b"@bad"):
            raise ValueError("bad")
        heard.append(body)

    async def until(word: bytes) -> None:
        async def arrived() -> bool:
            return bool(heard) and heard[-1] == word

        await eventually(arrived)

    def told() -> Told:
        return Told(
            place / "pilot.sock", node("n", {}, ("", "", "")), {TYPE_URL: Wanted(("names",), take)}, place, {}
        )

    async with pilot.serving([Unix(str(place / "pilot.sock"))]):
        pilot.publish()
        async with supervise(told().run()):
            await until(b"names@1")
            for version in ("2", "bad", "3"):
                pilot.world.put(TYPE_URL, "names", version)
                pilot.publish()
                if version != "bad":
                    await until(f"names@{version}".encode())
    told().remember()
    assert heard == [b"names@1", b"names@2", b"names@3", b"names@3"]


async def test_an_agent_says_how_its_workload_is_whenever_that_changes_and_to_each_pilot_anew(
    place: Path,
) -> None:
    fault: Watchable[str | None] = Watchable(None)
    door = place / "pilot.sock"
    told = Told(door, node("n", {}, ("", "", "")), {}, place, {HEALTH_TYPE: fault})
    for number, before in enumerate(([], ["no answer"])):
        # Each has a socket of its own: the core takes that of the first away when it likes.
        door.unlink(missing_ok=True)
        door.symlink_to(place / f"{number}.sock")
        heard: list[str] = []
        pilot = FakePilot()
        pilot.fanout = Fanout((TYPE_URL,))
        pilot.fanout.shared.hears = {HEALTH_TYPE: partial(_hear, heard)}

        async with pilot.serving([Unix(str(door.readlink()))]):
            pilot.publish()
            async with supervise(told.run()):
                await _until(heard, before)
                fault.set("")
                await _until(heard, [*before, ""])
                fault.set("no answer")
                await _until(heard, [*before, "", "no answer"])


def _hear(heard: list[str], _subject: str, why: str) -> None:
    heard.append(why)


async def _until(heard: list[str], wanted: list[str]) -> None:
    async def arrived() -> bool:
        return heard == wanted

    await eventually(arrived)


def test_what_was_never_told_is_not_remembered(place: Path) -> None:
    (place / "NameTable.binpb").write_bytes(b"\xff")

    def take(bodies: Mapping[str, bytes]) -> None:
        raise ValueError(bodies)

    wanted = Wanted(("names",), take)
    Told(place / "no.sock", b"", {TYPE_URL: wanted, "a.b": wanted}, place, {}).remember()


def test_a_part_that_changes_leaves_the_others_as_they_are(place: Path) -> None:
    hosts = [f"s{number}.shop.svc.cluster.local" for number in range(100)]
    parts: dict[str, bytes] = dict.fromkeys(PART_NAMES, b"")
    for host in hosts:
        parts[part_of(host)] += entry(host, Named(("10.0.0.1",), host.partition(".")[0], "shop"))
    settings = NameSettings(
        namespace="shop", domain="cluster.local", port=0, envoy_port=0, mark=None, families=(4,)
    )
    names = PodNames(settings)
    names.take(parts)
    assert names.metrics()["isthmus_dns_names"] == 100
    changed = part_of(hosts[0])
    names.take({changed: entry("new.shop.svc.cluster.local", Named(("10.0.0.2",), "new", "shop"))})
    gone = sum(part_of(host) == changed for host in hosts)
    assert 0 < gone < 20
    assert names.metrics()["isthmus_dns_names"] == 100 - gone + 1
    with pytest.raises(ValueError):
        names.take({changed: b"", PART_NAMES[0]: b"\xff"})
    assert names.metrics()["isthmus_dns_names"] == 100 - gone + 1
