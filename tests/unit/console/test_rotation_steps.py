"""What `isthmus ca rotate` does in all clusters: step by step, cut off anywhere, with somebody behind."""

import pytest

from fakes.rotated_clusters import CutOff, FakeClusters
from isthmus.ca import store
from isthmus.ca.founding import Founding, found
from isthmus.ca.rotation import Stage, prints
from isthmus.console.ca_clusters import must_be_all
from isthmus.console.rotation_look import look, told_of
from isthmus.console.rotation_steps import CannotRotate, NotHeld, Steps
from isthmus.console.rotation_text import render_rotation
from isthmus.discovery.holders import Holder
from isthmus.kit.clock import ManualClock
from isthmus.kube.errors import KubeError
from isthmus.model.trust_held import TrustHeld

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    directory = tmp_path_factory.mktemp("ca")
    for name in ("old", "new", "third"):
        found(directory / name, Founding(clusters=("east", "west"), organisation=name), NOW)
    return directory


@pytest.fixture
def clusters(place):
    return FakeClusters(place / "old")


def steps(clusters, *left):
    return Steps(clusters.reached(), ManualClock(NOW), left)


def roots(place, name):
    return prints((place / name / store.ROOT_CERT).read_bytes())


def trusted(cluster):
    return prints(cluster.files[store.ROOT_CERT])


def ca(place, name, cluster):
    return (place / name / cluster / store.CA_CERT).read_bytes()


async def test_all_stages_lead_to_the_new_ca_and_leave_nothing_of_the_old(clusters, place):
    old, new = roots(place, "old"), roots(place, "new")
    await steps(clusters).start(place / "new")
    assert [trusted(each) for each in clusters.all] == [old | new] * 2
    assert [each.files[store.CA_CERT] for each in clusters.all] == [
        ca(place, "old", n) for n in ("east", "west")
    ]
    clusters.follow()
    await steps(clusters).switch(place / "new")
    assert [trusted(each) for each in clusters.all] == [old | new] * 2
    clusters.follow()
    await steps(clusters).finish()
    expected = {("east", "cacerts"): store.read(place / "new" / "east")}
    expected["west", "cacerts"] = store.read(place / "new" / "west")
    assert clusters.secrets() == expected


async def test_aborting_leads_back_to_what_was_there(clusters, place):
    before = clusters.secrets()
    await steps(clusters).start(place / "new")
    clusters.follow()
    await steps(clusters).switch(place / "new")
    clusters.follow()
    assert (await steps(clusters).abort()).stage is Stage.RETURN
    with pytest.raises(NotHeld, match=r"web.default in west: has a certificate of the new CA still"):
        await steps(clusters).abort()
    clusters.follow()
    assert (await steps(clusters).abort()).stage is Stage.WITHDRAW
    assert clusters.secrets() == before


async def test_a_rotation_that_is_not_trusted_everywhere_yet_is_aborted_at_once(clusters, place):
    before = clusters.secrets()
    await steps(clusters).start(place / "new")
    assert (await steps(clusters).abort()).stage is Stage.WITHDRAW
    assert clusters.secrets() == before


async def test_on_the_way_back_one_may_turn_again(clusters, place):
    await steps(clusters).start(place / "new")
    clusters.follow()
    for step in ("switch", "abort", "switch"):
        await (steps(clusters).abort() if step == "abort" else steps(clusters).switch(place / "new"))
        clusters.follow()
    await steps(clusters).finish()
    assert trusted(clusters.west) == roots(place, "new")


async def go_through(clusters, place, way):
    """All steps of `way`, each given again where it was cut off."""
    for step in way:
        for _ in range(2):
            try:
                taken = steps(clusters)
                await (
                    getattr(taken, step)(place / "new")
                    if step in {"start", "switch"}
                    else getattr(taken, step)()
                )
                break
            except CutOff:
                continue
            except NotHeld:
                assert step == "abort"  # it has done the rest, and says that the way back takes one more
                break
        clusters.follow()


@pytest.mark.parametrize("way", [("start", "switch", "finish"), ("start", "switch", "abort", "abort")])
async def test_a_command_that_is_killed_at_any_write_goes_on_when_it_is_given_again(place, way):
    whole = FakeClusters(place / "old")
    await go_through(whole, place, way)
    assert whole.writes.done > 8
    for cut_at in range(whole.writes.done):
        cut = FakeClusters(place / "old")
        cut.writes.cut_at = cut_at
        await go_through(cut, place, way)
        assert cut.writes.cut_at is None
        assert cut.secrets() == whole.secrets(), cut_at


async def test_no_stage_begins_before_the_last_proxy_holds_the_one_before(clusters, place):
    clusters.west.follow("slow")
    clusters.west.paused.add("slow")
    await steps(clusters).start(place / "new")
    clusters.follow()
    with pytest.raises(NotHeld) as refused:
        await steps(clusters).switch(place / "new")
    assert str(refused.value).splitlines()[1:-1] == [
        "  slow.default in west: does not trust the new root yet"
    ]
    await steps(clusters, "slow.default").switch(place / "new")
    clusters.follow()
    with pytest.raises(NotHeld, match=r"slow.default in west: lacks a root"):
        await steps(clusters).finish()
    clusters.west.paused.clear()
    clusters.follow()
    await steps(clusters).finish()


@pytest.mark.parametrize("silent", [None, TrustHeld((), "", "", 0.0)])
async def test_a_proxy_that_is_away_or_says_nothing_of_use_is_behind(clusters, place, silent):
    await steps(clusters).start(place / "new")
    clusters.follow()
    clusters.west.proxies["gone"] = silent
    with pytest.raises(NotHeld, match=r"gone.default in west"):
        await steps(clusters).switch(place / "new")


async def test_namespaces_and_citadels_are_waited_for_too(clusters, place):
    await steps(clusters).start(place / "new")
    clusters.follow()
    clusters.west._put("Namespace", "", "late", {})
    with pytest.raises(NotHeld, match="namespace late in west: has no ConfigMap istio-ca-root-cert"):
        await steps(clusters).switch(place / "new")
    del clusters.west.objects["Namespace", "", "late"]
    del clusters.west.objects["Pod", "istio-system", "citadel"]
    with pytest.raises(NotHeld, match="istio-citadel in west: does not run"):
        await steps(clusters).switch(place / "new")


async def test_the_next_rotation_waits_for_the_end_of_the_last(clusters, place):
    for step in ("start", "switch"):
        await getattr(steps(clusters), step)(place / "new")
        clusters.follow()
    with pytest.raises(CannotRotate, match="under way, at stage sign"):
        await steps(clusters).start(place / "third")
    await steps(clusters).finish()
    with pytest.raises(NotHeld, match="trusts the old root still"):
        await steps(clusters).start(place / "third")
    clusters.follow()
    await steps(clusters).start(place / "third")


async def test_steps_that_do_not_follow_are_refused_with_what_does(clusters, place):
    with pytest.raises(CannotRotate, match="no rotation is under way"):
        await steps(clusters).finish()
    await steps(clusters).start(place / "new")
    with pytest.raises(CannotRotate, match="at stage trust, from which no finish leads"):
        await steps(clusters).finish()
    clusters.follow()
    with pytest.raises(CannotRotate, match="another CA for cluster 'east' than the rotation began with"):
        await steps(clusters).switch(place / "third")
    with pytest.raises(CannotRotate, match="under way, at stage trust"):
        await steps(clusters).start(place / "third")


async def test_wrong_directories_are_refused_before_anything_is_written(clusters, place, tmp_path):
    with pytest.raises(CannotRotate, match=r"there is no ca-cert.pem"):
        await steps(clusters).start(tmp_path)
    with pytest.raises(CannotRotate, match="all clusters have these CAs already"):
        await steps(clusters).start(place / "old")
    (tmp_path / "east").mkdir()
    (tmp_path / "east" / store.CA_CERT).write_bytes(ca(place, "new", "east"))
    with pytest.raises(CannotRotate, match=r"east: secret cacerts, key root-cert.pem: is missing"):
        await steps(clusters).start(tmp_path)
    assert clusters.writes.done == 0


async def test_a_secret_that_somebody_else_changed_is_not_overwritten(clusters, place):
    await steps(clusters).start(place / "new")
    clusters.follow()
    clusters.west.__init__("west", store.read(place / "third" / "west"), clusters.writes)
    with pytest.raises(
        CannotRotate, match="cluster 'west': secret cacerts holds a CA that is not of the rotation"
    ):
        await steps(clusters).abort()


async def test_a_cluster_that_is_not_reached_is_missed_unless_it_is_given_up(clusters, place):
    await steps(clusters).start(place / "new")
    clusters.follow()
    alone = clusters.reached("east")
    with pytest.raises(NotHeld, match="cacerts in west: no context leads to the cluster"):
        await Steps(alone, ManualClock(NOW)).switch(place / "new")
    await Steps(alone, ManualClock(NOW), ("west",)).switch(place / "new")
    assert clusters.east.files[store.CA_CERT] == ca(place, "new", "east")
    assert clusters.west.files[store.CA_CERT] == ca(place, "old", "west")


async def test_a_cluster_of_the_mesh_that_no_context_leads_to_is_refused(clusters, monkeypatch):
    async def pilots(_, path):
        assert path == "/debug/clusters"
        return [type("Said", (), {"said": {"clusters": [{"id": "east"}, {"id": "far"}]}})]

    monkeypatch.setattr(type(clusters.reached()), "pilots", pilots)
    with pytest.raises(KubeError, match="cluster 'far' is of the mesh, and no context leads to it"):
        await must_be_all(clusters.reached(), ())
    await must_be_all(clusters.reached(), ("far",))


async def test_status_counts_who_holds_the_stage_and_names_the_others(clusters, place):
    clusters.west.follow("slow")
    clusters.west.paused.add("slow")
    rotation = await steps(clusters).start(place / "new")
    clusters.follow()
    text = render_rotation(rotation, await look(clusters.reached(), rotation))
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    assert rows["west"].split("   ")[-1].strip() == "1 of 2"
    assert "behind: slow.default in west: does not trust the new root yet" in text
    assert text.count("new root: new Root CA, until ") == 1
    assert text.count("retired root: old Root CA, until ") == 1
    assert "not all hold it yet" in text
    clusters.west.paused.clear()
    clusters.follow()
    text = render_rotation(rotation, await look(clusters.reached(), rotation))
    assert text.endswith("all hold it; next: isthmus ca rotate switch DIRECTORY; or: isthmus ca rotate abort")


def test_of_several_pilots_the_one_that_a_proxy_talks_with_counts():
    held = TrustHeld(("a",), "b", "1", 9.0)
    away = Holder(name="a", namespace="n", cluster="c", connected=False)
    there = Holder(name="a", namespace="n", cluster="c", connected=True, held=held)
    assert told_of([[away], [there], [away]]) == [there]


async def test_two_operators_at_once_do_not_overwrite_each_other(clusters, place):
    one, other = steps(clusters), steps(clusters)
    await one.current()
    await other.current()
    await one.start(place / "new")
    with pytest.raises(KubeError, match="somebody else moves the rotation"):
        await other._state.write((await one.current()).at(Stage.SIGN))
