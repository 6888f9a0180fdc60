"""What the trace makes of tokens at a gateway that we translated: claims and headers of them choose routes."""

from __future__ import annotations

import pytest

from fakes.issuers import NAME, Key, jwks
from isthmus.translate.offline import read_case
from isthmus.translate.trace.call import Call, Request
from isthmus.translate.trace.held import made_for
from isthmus.translate.trace.walk import Side, trace

KEY = Key()
CASE = f"""
kind: Case
proxy: {{kind: router, namespace: default, address: 10.10.0.9, labels: {{istio: ingress}}}}
---
kind: Cluster
metadata: {{name: gke}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop}}
spec: {{clusterIP: 10.110.0.10, ports: [{{port: 80, name: http}}]}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec: {{selector: {{istio: ingress}}, servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ["*"]}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
    - name: by-claim
      match: [{{headers: {{"@request.auth.claims.team": {{exact: red}}}}}}]
      route: [{{destination: {{host: shop}}}}]
    - name: by-header
      match: [{{headers: {{x-user: {{exact: jason}}}}}}]
      route: [{{destination: {{host: shop}}}}]
    - name: else
      route: [{{destination: {{host: shop}}}}]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens}}
spec:
  jwtRules:
    - issuer: {NAME}
      jwks: '{jwks(KEY)}'
      outputClaimToHeaders: [{{header: x-user, claim: sub}}]
"""


def route_of(**headers):
    """The name of the route that a request takes, or the status that it is answered with."""
    case = read_case(CASE)
    held = made_for(case.generation(), case.proxy)
    request = Request(host="shop.example.com", headers=tuple(headers.items()))
    found = trace(held, Call(address="10.10.0.9", port=80, request=request), Side.GATEWAY)
    [branch] = found.branches
    return branch.route.name if branch.route is not None else str(branch.action.status)


@pytest.mark.parametrize(
    ("headers", "route"),
    [
        ({}, "else"),
        ({"x-user": "jason"}, "else"),
        ({"authorization": f"Bearer {KEY.sign()}"}, "by-header"),
        ({"authorization": f"Bearer {KEY.sign(sub='other')}", "x-user": "jason"}, "else"),
        ({"authorization": f"Bearer {KEY.sign(team='red')}"}, "by-claim"),
        ({"authorization": f"Bearer {Key().sign()}"}, "401"),
    ],
    ids=["nothing", "said by the caller", "made of a claim", "of another", "by a claim", "of another key"],
)
def test_routes_follow_what_tokens_say_and_nothing_else(headers, route):
    assert route_of(**headers) == route
