"""The mesh after any changes, in any order and any batches, is the mesh made from what is true at the end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drawn.mesh_changes import CLUSTERS, SETTINGS, change_of, meta, steps, steps_of_peers
from isthmus.api.resource import Ref
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.findings import Finding


def remembered(batches):
    """What is true at the end: the last good state of each object, then what is wrong with it."""
    good, wrong = {}, {}
    for change in (change for batch in batches for change in batch):
        cluster, ref = change.key
        if ref.kind == "Cluster":
            good = {key: value for key, value in good.items() if key.cluster != cluster}
            wrong = {key: value for key, value in wrong.items() if key.cluster != cluster}
            continue
        wrong.pop(change.key, None)
        if isinstance(change.value, Finding):
            wrong[change.key] = change.value
        elif change.value is None:
            good.pop(change.key, None)
        else:
            good[change.key] = change.value
    return [Change(key, value) for found in (good, wrong) for key, value in found.items()]


def by_value(mesh):
    return {
        "settings": mesh.settings,
        "services": dict(mesh.services),
        "shards": {key: dict(found) for key, found in mesh.shards.items()},
        "workloads": dict(mesh.workloads),
        "networks": mesh.networks,
        "config": {kind: dict(found) for kind, found in mesh.config.items()},
        "findings": mesh.findings,
        "origins": dict(mesh.origins),
        "statuses": dict(mesh.statuses),
    }


def moved(before, after):
    return {key for key in before.keys() | after.keys() if before.get(key) is not after.get(key)}


def check_step(before, step):
    mesh, delta = step
    assert moved(before.services, mesh.services) | moved(before.backings, mesh.backings) <= delta.services
    assert moved(before.shards, mesh.shards) <= delta.endpoints
    assert moved(before.workloads, mesh.workloads) <= delta.workloads
    assert delta.everything or delta.settings or before.settings is mesh.settings
    assert delta.networks or before.networks is mesh.networks
    refs = {kind: moved(before.config.get(kind, {}), found) for kind, found in mesh.config.items()}
    assert {ref for found in refs.values() for ref in found} <= delta.config
    assert moved(before.statuses, mesh.statuses) <= delta.statuses
    for part in ("settings", "services", "shards", "backings", "workloads", "config", "findings", "statuses"):
        one, other = getattr(before, part), getattr(mesh, part)
        assert one is other or one != other, f"{part} is equal and yet another object"
    for part in (before.services, before.backings, before.workloads, before.shards):
        current = next(
            getattr(mesh, name)
            for name in ("services", "backings", "workloads", "shards")
            if getattr(before, name) is part
        )
        assert all(current.get(key) is value or current.get(key) != value for key, value in part.items())


@settings(max_examples=300, deadline=None)
@given(steps, st.randoms(use_true_random=False))
def test_step_by_step_is_from_nothing(batches, chance):
    must_hold(batches, chance)


@settings(max_examples=200, deadline=None)
@given(steps_of_peers, st.randoms(use_true_random=False))
def test_terms_of_peers_step_by_step_are_those_from_nothing(batches, chance):
    must_hold(batches, chance)


def must_hold(batches, chance):
    builder = MeshBuilder(SETTINGS)
    for batch in batches:
        before = builder.mesh
        check_step(before, builder.apply(batch))
    facts = remembered(batches)
    good = [change for change in facts if not isinstance(change.value, Finding)]
    chance.shuffle(good)
    fresh = MeshBuilder(SETTINGS).apply([*good, *(c for c in facts if isinstance(c.value, Finding))]).mesh
    assert by_value(builder.mesh) == by_value(fresh)
    for key, backing in fresh.backings.items():
        kept = builder.mesh.backings[key]
        assert set(kept.identities) >= set(backing.identities), "identities stay while the service does"
        assert set(kept.clusters) >= set(backing.clusters)
    assert builder.mesh.backings.keys() == fresh.backings.keys()


@settings(max_examples=50, deadline=None)
@given(steps)
def test_what_is_told_twice_changes_nothing(batches):
    builder = MeshBuilder(SETTINGS)
    for batch in batches:
        builder.apply(batch)
    before = builder.mesh
    again = [change for change in remembered(batches) if not isinstance(change.value, Finding)]
    wrong = [change for change in remembered(batches) if isinstance(change.value, Finding)]
    mesh, delta = builder.apply([*again, *wrong])
    assert moved(before.statuses, mesh.statuses) <= delta.statuses
    for part in ("settings", "services", "shards", "backings", "workloads", "config"):
        assert getattr(mesh, part) is getattr(before, part)
    assert not delta or not batches


def test_a_cluster_that_leaves_takes_all_of_its_own_with_it():
    builder = MeshBuilder(SETTINGS)
    service = ("Service", {"metadata": meta("a"), "spec": {"ports": [{"port": 80}], "clusterIP": "10.1.0.1"}})
    builder.apply([change_of(cluster, service, "put") for cluster in CLUSTERS])
    builder.apply([Change(ChangeKey(CLUSTERS[1], Ref("Cluster", "", CLUSTERS[1])), None)])
    (left,) = builder.mesh.services.values()
    assert left.clusters == ("gke", "third")
    assert [cluster for cluster, _ in left.vips] == ["gke", "third"]


def test_two_findings_of_one_field_stand_in_one_order():
    def service(port):
        return (
            "Service",
            {"metadata": meta("a"), "spec": {"ports": [{"port": port}], "clusterIP": "10.1.0.1"}},
        )

    leads = {"defaultBackend": {"service": {"name": "a", "port": {"number": 80}}}}
    spec = {"ingressClassName": "istio", **leads}
    ingresses = [("Ingress", {"metadata": meta(name), "spec": spec}) for name in ("i1", "i2")]
    told = [change_of(CLUSTERS[0], what, "put") for what in (service(80), *ingresses)]
    later = change_of(CLUSTERS[0], service(81), "put")
    builder = MeshBuilder(SETTINGS)
    builder.apply(told)
    builder.apply([later])
    fresh = MeshBuilder(SETTINGS).apply([later, *told[1:]]).mesh
    assert len([each for each in fresh.findings if each.ref.name == "i2"]) == 2
    assert builder.mesh.findings == fresh.findings
