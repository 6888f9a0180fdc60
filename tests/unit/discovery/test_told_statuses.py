from __future__ import annotations

from fakes.gateway_api import CLASS, GATEWAY, objects
from isthmus.api import kind_of_type
from isthmus.discovery.told_statuses import ToldStatuses
from isthmus.model.build import MeshBuilder
from isthmus.model.change import Change, ChangeKey
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId

GKE = ClusterId("gke")
ROUTE = """
kind: HTTPRoute
metadata: {name: %s, namespace: default, uid: %s, generation: %s}
spec: {parentRefs: [{name: web}], rules: [{backendRefs: [{name: a, port: 80}]}]}
"""


class Pilot:
    """From changes to what the status writer is told."""

    def __init__(self):
        self.builder, self.told = MeshBuilder(MeshSettings(config_cluster=GKE)), ToldStatuses()

    def take(self, *texts):
        found = [each for text in texts for each in objects(text)]
        step = self.builder.apply(
            [Change(ChangeKey(GKE, kind_of_type(type(each)).ref(each.metadata)), each) for each in found]
        )
        return {(key.ref.name, key.uid): body for key, body in self.told.after(*step).items()}

    def drop(self, ref):
        return self.told.after(*self.builder.apply([Change(ChangeKey(GKE, ref), None)]))


def test_a_body_stays_the_same_until_something_else_is_told():
    pilot = Pilot()
    before = pilot.take(CLASS, GATEWAY, ROUTE % ("one", "u1", 1), ROUTE % ("two", "u2", 1))
    after = pilot.take(ROUTE % ("one", "u1", 2))
    assert after["one", "u1"]["parents"][0]["conditions"][0]["observedGeneration"] == 2
    assert all(after[key] is before[key] for key in before if key != ("one", "u1"))


def test_an_object_that_came_in_the_place_of_another_is_told_anew():
    pilot = Pilot()
    pilot.take(CLASS, GATEWAY, ROUTE % ("one", "u1", 1))
    found = pilot.take(ROUTE % ("one", "u2", 1))
    assert ("one", "u2") in found
    assert ("one", "u1") not in found


def test_of_what_is_gone_nothing_is_told():
    pilot = Pilot()
    pilot.take(CLASS, GATEWAY, ROUTE % ("one", "u1", 1))
    (ref,) = [ref for ref in pilot.builder.mesh.statuses if ref.kind == "HTTPRoute"]
    assert ref not in {key.ref for key in pilot.drop(ref)}


def test_where_nothing_is_new_the_mapping_stays():
    pilot = Pilot()
    pilot.take(CLASS, GATEWAY)
    before = pilot.told.after(*pilot.builder.apply([]))
    assert pilot.told.after(*pilot.builder.apply([])) is before
