"""Calls are explained by what people wrote, not by what was made from it."""

from __future__ import annotations

from isthmus.console.calls import Target
from isthmus.console.drawn_mesh import draw
from isthmus.console.explain import Explainer
from isthmus.console.explain_files import FromFiles
from isthmus.console.written import Manifest

FILE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: inside}
spec:
  parentRefs: [{group: "", kind: Service, name: reviews}]
  rules:
    - matches: [{path: {value: /other}}]
      backendRefs: [{name: reviews, port: 9080}]
    - matches: [{path: {value: /reviews}}]
      backendRefs: [{name: reviews, port: 9080}]
---
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{port: 9080, name: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-v1, labels: {app: reviews}}
spec: {containers: [{name: reviews, image: reviews}]}
---
apiVersion: v1
kind: Pod
metadata: {name: caller, labels: {app: caller}}
spec: {containers: [{name: caller, image: caller}]}
"""


def test_a_route_is_told_by_its_object_its_rule_and_its_line():
    source = FromFiles(draw([Manifest("mesh.yaml", FILE)]))
    found = Explainer(source).explain("caller", Target(url="http://reviews:9080/reviews/0"))
    (taken, *_) = found.origins.values()
    assert (taken.object, taken.entry) == ("HTTPRoute default/inside", "rules[1]")
    assert taken.place.startswith("mesh.yaml:")
    assert int(taken.place.partition(":")[2]) == 10
