from __future__ import annotations

import asyncio
import dataclasses
import errno
import threading
import time
import tracemalloc
from contextlib import asynccontextmanager

import msgspec
import pytest

from fakes.eventually import eventually
from isthmus.api import kind_named
from isthmus.api.decode import decode
from isthmus.api.errors import InvalidConfig
from isthmus.api.resource import Ref
from isthmus.discovery.cluster_keeper import ClusterKeeper, KeeperSettings
from isthmus.discovery.last_known import file_of
from isthmus.discovery.registry import ClusterSpec
from isthmus.kit import journal
from isthmus.kit.clock import SystemClock
from isthmus.kit.tasks import supervise
from isthmus.kube.kubeconfig import Access

POD = Ref("Pod", "default", "reviews-1")
RULE = Ref("VirtualService", "default", "reviews")
SPEC = ClusterSpec(id="west/1", access=Access(server="https://west.example"), source="test")


def pod(number=1, **more):
    meta = {"name": f"reviews-{number}", "namespace": "default", **more}
    env = [{"name": "PASSWORD", "value": "hunter2"}]
    return {"metadata": meta, "spec": {"containers": [{"name": "app", "env": env}]}}


def decoded(kind, obj):
    raw = msgspec.json.encode(obj)
    try:
        return decode(kind_named(kind), raw), raw
    except InvalidConfig as error:
        return error, raw


@dataclasses.dataclass
class Known:
    """A cluster that somebody follows."""

    is_whole: bool = True
    known: dict = dataclasses.field(default_factory=dict)
    raw: dict = dataclasses.field(default_factory=dict)

    def put(self, kind, obj):
        fact, raw = decoded(kind, obj)
        ref = Ref(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
        self.known[ref] = fact
        if isinstance(fact, InvalidConfig) and kind_named(kind).is_config:
            self.raw[ref] = raw

    def facts(self):
        return self.known

    def fact(self, ref):
        return self.known.get(ref)

    def undecoded(self, ref):
        return self.raw.get(ref, b"")


def keeper(folder, spec=SPEC, **more):
    return ClusterKeeper(spec, KeeperSettings(folder=folder, period_s=0.02, **more), SystemClock())


@asynccontextmanager
async def keeping(folder, known, **more):
    kept = keeper(folder, **more)
    async with supervise(kept.run(known)):
        yield kept


async def until_kept(folder, wanted, **more):
    async def is_so():
        found = await keeper(folder, **more).recall()
        return found is not None and dict(found.facts) == wanted

    await eventually(is_so)


@pytest.fixture
def known():
    found = Known()
    found.put("Pod", pod())
    return found


async def test_what_changes_is_kept(tmp_path, known):
    async with keeping(tmp_path, known) as kept:
        await until_kept(tmp_path, known.known)
        known.put("Pod", pod(2))
        kept.heard(Ref("Pod", "default", "reviews-2"))
        await until_kept(tmp_path, known.known)
        del known.known[POD]
        kept.heard(POD)
        await until_kept(tmp_path, known.known)
    assert kept.trouble == ""


async def test_no_more_is_written_than_what_changed(tmp_path):
    known = Known()
    for number in range(3_000):
        known.put("Pod", pod(number))
    path = file_of(tmp_path, SPEC.id)
    async with keeping(tmp_path, known) as kept:
        await until_kept(tmp_path, known.known)
        whole, inode = path.stat().st_size, path.stat().st_ino
        known.put("Pod", pod(7, labels={"version": "v2"}))
        kept.heard(Ref("Pod", "default", "reviews-7"))
        await until_kept(tmp_path, known.known)
        assert path.stat().st_ino == inode, "the same file"
        assert path.stat().st_size - whole < 400


async def test_a_file_that_has_grown_by_as_much_as_it_was_is_written_anew(tmp_path, known, monkeypatch):
    monkeypatch.setattr("isthmus.discovery.cluster_keeper._LEAST_REPLACED", 100)
    path = file_of(tmp_path, SPEC.id)
    async with keeping(tmp_path, known) as kept:
        await until_kept(tmp_path, known.known)
        first = path.stat().st_size
        for version in range(40):
            known.put("Pod", pod(labels={"version": f"v{version}"}))
            kept.heard(POD)
            await until_kept(tmp_path, known.known)
        assert path.stat().st_size < 4 * first


async def test_a_cluster_in_which_nothing_changes_stays_young(tmp_path, known):
    async with keeping(tmp_path, known, refresh_s=0.05):
        await until_kept(tmp_path, known.known)
        before = (await keeper(tmp_path).recall()).at

        async def is_younger():
            found = await keeper(tmp_path).recall()
            return found.at > before and dict(found.facts) == known.known

        await eventually(is_younger)


async def test_a_cluster_that_is_not_heard_whole_stays_as_it_was(tmp_path, known):
    async with keeping(tmp_path, known, refresh_s=0.0) as kept:
        await until_kept(tmp_path, known.known)
        known.is_whole = False
        await asyncio.sleep(0.1)
        before = file_of(tmp_path, SPEC.id).read_bytes()
        known.put("Pod", pod(2))
        kept.heard(Ref("Pod", "default", "reviews-2"))
        await asyncio.sleep(0.1)
        assert file_of(tmp_path, SPEC.id).read_bytes() == before


async def test_what_the_mesh_does_not_read_is_not_kept(tmp_path, known):
    applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"env": "hunter2"}', "a": "b"}
    known.put("Pod", pod(annotations=applied))
    known.put(
        "Pod", {**pod(2), "spec": {"containers": "hunter2"}}
    )  # decodes to nothing, and is no configuration
    async with keeping(tmp_path, known):
        await eventually(lambda: _is_there(tmp_path))
    records = journal.read(file_of(tmp_path, SPEC.id), 1 << 20)
    assert b"reviews-1" in b"".join(records)
    assert b"hunter2" not in b"".join(records)
    found = await keeper(tmp_path).recall()
    assert {ref: fact.metadata.annotations for ref, fact in found.facts.items()} == {POD: {"a": "b"}}


async def test_configuration_that_is_wrong_is_as_wrong_again(tmp_path, known):
    known.put(
        "VirtualService", {"metadata": {"name": "reviews", "namespace": "default"}, "spec": {"http": 3}}
    )
    assert isinstance(known.known[RULE], InvalidConfig)
    async with keeping(tmp_path, known):
        await eventually(lambda: _is_there(tmp_path))
    found = (await keeper(tmp_path).recall()).facts[RULE]
    assert isinstance(found, InvalidConfig)
    assert found.problems == known.known[RULE].problems


async def _is_there(folder):
    return file_of(folder, SPEC.id).exists()


async def kept_once(folder, known):
    async with keeping(folder, known):
        await until_kept(folder, known.known)
    return file_of(folder, SPEC.id)


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda content: content[:40] + b"x" + content[41:], "differs from what was written"),
        (lambda _: b"\0" * 100, "does not begin as a file of this release does"),
        (lambda content: content[:18], "does not say whose it is"),
    ],
)
async def test_a_file_that_is_not_as_it_was_written_is_said_and_left(tmp_path, known, harm, why):
    path = await kept_once(tmp_path, known)
    harmed = harm(path.read_bytes())
    path.write_bytes(harmed)
    kept = keeper(tmp_path)
    assert await kept.recall() is None
    assert why in kept.trouble
    assert path.read_bytes() == harmed


async def test_a_file_that_is_cut_short_is_no_cluster(tmp_path):
    known = Known()
    for number in range(1_500):
        known.put("Pod", pod(number))
    path = await kept_once(tmp_path, known)
    whole = path.read_bytes()
    kept = keeper(tmp_path)
    for length in range(100, len(whole), 997):
        path.write_bytes(whole[:length])
        assert await kept.recall() is None, "half of the pods would be taken from every Envoy"
        assert "ends before all of the cluster is told" in kept.trouble


async def test_what_is_too_old_or_another_clusters_is_said_and_left(tmp_path, known):
    path = await kept_once(tmp_path, known)
    before = path.read_bytes()
    await asyncio.sleep(0.1)
    old = keeper(tmp_path, oldest_s=0.05)
    assert await old.recall() is None
    assert "is too old" in old.trouble
    assert await keeper(tmp_path, oldest_s=0.0).recall() is not None, "no age is too old"
    moved = keeper(tmp_path, msgspec.structs.replace(SPEC, access=Access(server="https://east.example")))
    assert await moved.recall() is None
    assert "at https://west.example, not at https://east.example" in moved.trouble
    assert path.read_bytes() == before


async def test_what_was_not_believed_gives_way_to_what_is_heard(tmp_path, known):
    path = file_of(tmp_path, SPEC.id)
    path.write_bytes(b"nonsense")
    async with keeping(tmp_path, known) as kept:
        assert await kept.recall() is None
        assert kept.trouble
        await until_kept(tmp_path, known.known)
        await eventually(lambda: _is_well(kept))


async def _is_well(kept):
    return not kept.trouble


async def test_where_nothing_can_be_written_that_is_said(tmp_path, known):
    (tmp_path / "file").write_text("")
    async with keeping(tmp_path / "file", known) as kept:

        async def is_said():
            return "is not kept on disk" in kept.trouble

        await eventually(is_said)


async def test_a_cluster_that_is_too_large_keeps_what_it_had(tmp_path, known):
    path = await kept_once(tmp_path, known)
    before = path.read_bytes()
    for number in range(100):
        known.put("Pod", pod(number))
    async with keeping(tmp_path, known, limit_bytes=2_000) as kept:

        async def is_said():
            return "more than 2000 bytes" in kept.trouble

        await eventually(is_said)
    assert path.read_bytes() == before


async def test_a_file_does_not_grow_beyond_what_is_read(tmp_path, known):
    limit = 3_000
    async with keeping(tmp_path, known, limit_bytes=limit) as kept:
        for number in range(30):
            known.put("Pod", pod(labels={"version": f"v{number}"}))
            kept.heard(POD)
            await until_kept(tmp_path, known.known, limit_bytes=limit)
        assert sum(map(len, journal.read(file_of(tmp_path, SPEC.id), limit))) <= limit
        assert not kept.trouble


async def test_a_writing_that_failed_is_not_tried_again_at_once(tmp_path, known, monkeypatch):
    tried = []

    def full(*_):
        tried.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "replace", full)
        async with keeping(tmp_path, known) as kept:
            await eventually(lambda: _is_tried(tried))
            await asyncio.sleep(0.2)
            assert len(tried) == 1, "all of a cluster is much to write"
            assert "No space left" in kept.trouble
        async with keeping(tmp_path, known, retry_s=0.02):
            await eventually(lambda: _is_tried(tried, 3))


async def _is_tried(tried, times=1):
    return len(tried) >= times


async def test_what_is_being_written_when_a_cluster_leaves_is_not_kept(tmp_path, known, monkeypatch):
    path, begun, goes_on, done = file_of(tmp_path, SPEC.id), *(threading.Event() for _ in range(3))
    replace = journal.replace

    def slowly(*given):
        begun.set()
        goes_on.wait(20)
        return replace(*given)

    def noted(*given):
        try:
            return kept_replace(*given)
        finally:
            done.set()

    monkeypatch.setattr(journal, "replace", slowly)
    async with keeping(tmp_path, known) as kept:
        kept_replace = kept._replace
        kept._replace = noted
        assert await asyncio.to_thread(begun.wait, 20)
    kept.forget()
    goes_on.set()
    assert await asyncio.to_thread(done.wait, 20)
    assert not path.exists()


async def test_nothing_is_kept_of_a_cluster_that_has_left(tmp_path, known):
    path = await kept_once(tmp_path, known)
    keeper(tmp_path).forget()
    assert not path.exists()
    assert await keeper(tmp_path).recall() is None


async def test_without_a_folder_nothing_is_kept(tmp_path, known):
    kept = ClusterKeeper(SPEC, KeeperSettings(), SystemClock())
    await kept.run(known)
    kept.forget()
    assert await kept.recall() is None


async def test_what_changes_is_not_remembered_where_nothing_is_written():
    kept = ClusterKeeper(SPEC, KeeperSettings(), SystemClock())
    tracemalloc.start()
    try:
        for number in range(20_000):
            kept.heard(Ref("Pod", "default", f"reviews-{number}"))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000, "pods come and go for months"


async def test_a_cluster_says_of_when_it_is(tmp_path, known):
    before = time.time()
    await kept_once(tmp_path, known)
    assert before <= (await keeper(tmp_path).recall()).at <= time.time()


async def test_of_several_pilots_with_one_volume_one_writes_and_another_follows(tmp_path, known):
    path, other = file_of(tmp_path, SPEC.id), Known()
    other.put("Pod", pod(2))
    async with keeping(tmp_path, other):
        async with keeping(tmp_path, known, refresh_s=0.0):
            await eventually(lambda: _is_there(tmp_path))
            first = dict((await keeper(tmp_path).recall()).facts)
            await asyncio.sleep(0.2)
            assert dict((await keeper(tmp_path).recall()).facts) == first, "the other one waits"
        await until_kept(tmp_path, other.known)
    assert path.exists()
