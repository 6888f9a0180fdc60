"""Which clusters a Citadel serves beside its own, as a mounted Secret says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fakes.eventually import eventually
from fakes.tokens import FakeReviewer
from isthmus.ca.neighbours import Neighbours
from isthmus.ca.vouching import Voucher, Vouchers, parse_vouched
from isthmus.kit.clock import SystemClock
from isthmus.kit.tasks import supervise

FAR = """
apiVersion: v1
kind: Config
current-context: far
contexts: [{name: far, context: {cluster: far, user: far}}]
clusters: [{name: far, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: far, user: {token: secret}}]
"""


class Directory:
    """A Secret's mount, and the clusters that are served because of it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.vouchers = Vouchers(Voucher("gke", FakeReviewer({})))
        vouched = {"onprem": frozenset({"shop"})}
        self.neighbours = Neighbours(place, vouched, self.vouchers, SystemClock(), 0.02)

    async def serves(self, **namespaces: set[str]) -> None:
        async def so() -> bool:
            others = self.vouchers.others
            return {name: set(each.namespaces) for name, each in others.items()} == namespaces

        await eventually(so)


@asynccontextmanager
async def followed(place: Path) -> AsyncIterator[Directory]:
    directory = Directory(place)
    async with supervise(directory.neighbours.run()):
        yield directory


async def test_a_cluster_that_nobody_spoke_for_vouches_for_nothing(tmp_path: Path):
    (tmp_path / "onprem").write_text(FAR)
    (tmp_path / "stranger").write_text(FAR)
    (tmp_path / "..data").mkdir()
    with capture_logs() as logs:
        async with followed(tmp_path) as directory:
            await directory.serves(onprem={"shop"}, stranger=set())
            assert not directory.vouchers.named("stranger").covers("default")
    (warned,) = [log for log in logs if log["log_level"] == "warning"]
    assert not [log for log in logs if log["log_level"] == "error"]
    assert warned["cluster"] == "stranger"
    assert warned["hint"] == "--vouch=stranger=* or its namespaces"


async def test_clusters_come_change_and_go_with_their_files(tmp_path: Path):
    place = tmp_path / "clusters"
    async with followed(place) as directory:
        await directory.serves()
        place.mkdir()
        (place / "onprem").write_text(FAR)
        await directory.serves(onprem={"shop"})
        first = directory.vouchers.named("onprem")
        (place / "onprem").write_text(FAR.replace("192.0.2.1", "192.0.2.2"))

        async def replaced() -> bool:
            return directory.vouchers.named("onprem") is not first

        await eventually(replaced)
        (place / "onprem").unlink()
        await directory.serves()
        assert directory.vouchers.named("onprem") is directory.vouchers.own


@pytest.mark.parametrize(
    "text",
    ["", "kind: Nonsense", FAR.replace("token: secret", "exec: {command: sh, apiVersion: v1}"), "\xff"],
)
async def test_a_kubeconfig_that_is_wrong_leaves_the_last_good_one_and_is_told_once(
    tmp_path: Path, text: str
):
    (tmp_path / "onprem").write_text(FAR)
    with capture_logs() as logs:
        async with followed(tmp_path) as directory:
            await directory.serves(onprem={"shop"})
            good = directory.vouchers.named("onprem")
            (tmp_path / "onprem").write_bytes(text.encode("latin-1"))
            (tmp_path / "west").write_text(FAR)
            await directory.serves(onprem={"shop"}, west=set())
            (tmp_path / "west").unlink()
            await directory.serves(onprem={"shop"})
            assert directory.vouchers.named("onprem") is good
    assert len([log for log in logs if log["event"] == "kubeconfig cannot be used"]) == 1


async def test_the_own_cluster_is_not_to_be_replaced_by_a_file(tmp_path: Path):
    (tmp_path / "gke").write_text(FAR)
    (tmp_path / "onprem").write_text(FAR)
    async with followed(tmp_path) as directory:
        await directory.serves(onprem={"shop"})
        assert directory.vouchers.named("gke") is directory.vouchers.own


async def test_a_cluster_that_vouches_and_is_not_there_is_told_once(tmp_path: Path):
    with capture_logs() as logs:
        async with followed(tmp_path) as directory:
            (tmp_path / "no cluster").write_text(FAR)
            (tmp_path / "west").write_text(FAR)
            await directory.serves(west=set())
            (tmp_path / "west").unlink()
            await directory.serves()
    said = {log["cluster"]: log["reason"] for log in logs if log["log_level"] == "error"}
    assert said["onprem"] == f"is not in {tmp_path} (hint: Secret istio-citadel-clusters)"
    assert said["no cluster"].startswith("no cluster is called so")
    assert len([log for log in logs if log["log_level"] == "error"]) == 2


def test_what_a_cluster_vouches_for_is_read_from_words():
    assert parse_vouched(("onprem=default,shop", "onprem=web", "gke=*")) == {
        "onprem": {"default", "shop", "web"},
        "gke": {"*"},
    }


@pytest.mark.parametrize("text", ["onprem", "=default", "onprem=", "onprem= ,"])
def test_half_a_word_is_refused(text: str):
    with pytest.raises(ValueError, match="hint: onprem=default,shop"):
        parse_vouched((text,))
