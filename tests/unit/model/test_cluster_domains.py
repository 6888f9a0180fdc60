"""Clusters that have a trust domain of their own: what they say, who their workloads are, and what callers expect."""

from fakes.bookinfo import BOOKINFO, objects
from fakes.edge import GKE
from fakes.translation import Translation
from isthmus.api.core.config_map import ConfigMap
from isthmus.api.resource import Meta, Ref
from isthmus.model.analyze import authorization_callers
from isthmus.model.analyze.subject import Subject
from isthmus.model.change import Change, ChangeKey
from isthmus.model.cluster_domains import domains_of
from isthmus.model.names import ClusterId
from isthmus.model.trust_bundles import Trusted

REF, ONPREM = Ref("ConfigMap", "istio-system", "istio"), ClusterId("onprem")


def says(mesh):
    return ConfigMap(metadata=Meta(name="istio", namespace="istio-system"), data={"mesh": mesh})


def test_a_cluster_that_says_nothing_or_the_same_has_none_of_its_own():
    said = {
        "a": None,
        "b": says("accessLogFile: /x"),
        "c": says("trustDomain: own"),
        "d": says("trustDomain: d"),
    }
    assert domains_of(said, REF, "own", ()) == ((("d", "d"),), ())


def test_of_what_cannot_be_read_what_was_known_stays_and_is_said():
    for mesh, why in (("trustDomain: [", "is not YAML"), ("trustDomain: A/b", "'A/b' is no trust domain")):
        found, (wrong,) = domains_of({"d": says(mesh)}, REF, "own", (("d", "d"), ("e", "e")))
        assert found == (("d", "d"),)
        assert why in wrong.message
        assert wrong.message.endswith(": d stays")
        assert (wrong.cluster, wrong.path[:11]) == ("d", "$.data.mesh")
    assert domains_of({"d": says("trustDomain: [")}, REF, "own", ())[1][0].message.endswith(": own stays")


def identities(mesh, service="reviews.default.svc.cluster.local"):
    (found,) = (each for key, each in mesh.now.mesh.backings.items() if key.hostname == service)
    return {str(each) for each in found.identities}


def workloads(mesh):
    return {key[0]: each.identity.trust_domain for key, each in mesh.now.mesh.workloads.items()}


def test_workloads_are_who_the_citadel_of_their_cluster_says_and_callers_expect_just_that():
    mesh = Translation(*objects(gke=BOOKINFO["gke"], onprem=BOOKINFO["onprem"]))
    before = identities(mesh)
    assert {each.partition("/ns/")[0] for each in before} == {"spiffe://cluster.local"}
    mesh.take(Change(ChangeKey(ONPREM, REF), says("trustDomain: b.example")))
    assert workloads(mesh) == {GKE: "cluster.local", ONPREM: "b.example"}
    after = identities(mesh)
    assert {each for each in after if "b.example" in each} == {
        each.replace("cluster.local", "b.example") for each in before
    }
    settings = mesh.now.mesh.settings
    assert settings.trusted == Trusted(("cluster.local", "b.example"))
    assert settings.believed_domains == ("cluster.local", "b.example")
    mesh.take(Change(ChangeKey(GKE, REF), says("trustDomain: [")))  # the last good settings stay
    mesh.take(Change(ChangeKey(ONPREM, REF), None))
    assert identities(mesh) == before
    assert mesh.now.mesh.settings.cluster_domains == ()


def test_a_cluster_that_leaves_takes_its_trust_domain_along():
    mesh = Translation(*objects(gke=BOOKINFO["gke"], onprem=BOOKINFO["onprem"]))
    mesh.take(Change(ChangeKey(ONPREM, REF), says("trustDomain: b.example")))
    mesh.take(Change(ChangeKey(ONPREM, Ref("Cluster", "", ONPREM)), None))
    assert mesh.now.mesh.settings.cluster_domains == ()
    assert not [each for each in identities(mesh) if "b.example" in each]


def test_the_settings_of_the_configuration_cluster_are_the_meshs():
    mesh = Translation(*objects(gke=BOOKINFO["gke"], onprem=BOOKINFO["onprem"]))
    mesh.take(Change(ChangeKey(GKE, REF), says("trustDomain: a.example")))
    assert set(workloads(mesh).values()) == {"a.example"}
    mesh.take(Change(ChangeKey(ONPREM, REF), says("trustDomain: a.example")))
    assert mesh.now.mesh.settings.cluster_domains == ()


POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: who}
spec:
  selector: {matchLabels: {app: ratings}}
  rules: [{from: [{source: {principals: [%s]}}]}]
"""


def found_in(*names):
    far = [each for each in BOOKINFO["gke"] if "kind: Pod" not in each]
    pods = [each for each in BOOKINFO["gke"] if "kind: Pod" in each]
    mesh = Translation(
        *objects(
            gke=[*far, POLICY % ", ".join(f'"{each}"' for each in names)], onprem=[*BOOKINFO["onprem"], *pods]
        )
    )
    mesh.take(Change(ChangeKey(ONPREM, REF), says("trustDomain: b.example")))
    subject = Subject(mesh.now.mesh, {})
    return [
        (each.path[-2], each.message) for each in authorization_callers.accounts_are_of_their_domain(subject)
    ]


def test_a_policy_that_names_an_account_by_a_trust_domain_it_is_not_of_is_told():
    account = next(iter(workload_accounts()))
    right, wrong, unknown = f"b.example/{account}", f"cluster.local/{account}", "cluster.local/ns/x/sa/nobody"
    found = found_in(right, wrong, unknown, f"*/{account}", "c.example/ns/x/sa/y")
    assert found == [("1", f"nobody is that: the account runs as {right} in onprem (hint: name it so)")]


def workload_accounts():
    mesh = Translation(*objects(gke=BOOKINFO["gke"]))
    return {str(each.identity).partition("cluster.local/")[2] for each in mesh.now.mesh.workloads.values()}
