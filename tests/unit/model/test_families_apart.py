"""Who is told that callers and a service have no version of IP in common (ISM0016), and who is not."""

from __future__ import annotations

from isthmus.console.faults import faults_together
from isthmus.console.written import Manifest

CALLER = """
kind: Cluster
metadata: {name: east}
---
apiVersion: v1
kind: Pod
metadata: {name: caller, namespace: shop, labels: {app: caller, security.istio.io/tlsMode: istio}}
status: {phase: Running, podIP: 10.10.0.1, podIPs: [{ip: 10.10.0.1}]}
"""
WEST = """
kind: Cluster
metadata: {name: west}
"""
WEB = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop%s}
spec: {clusterIP: "fd00:110::10", selector: {app: web}, ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web, security.istio.io/tlsMode: istio}}
status: {phase: Running, podIP: "fd00:10::1", podIPs: [{ip: "fd00:10::1"}]}
"""
GATEWAY = """
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: west-net}}
---
apiVersion: v1
kind: Service
metadata: {name: eastwest, namespace: istio-system, labels: {topology.istio.io/network: west-net}}
spec: {type: LoadBalancer, clusterIP: "fd00:110::1", externalIPs: ["%s"], ports: [{port: 15443, name: tls}]}
"""


def told(*documents: str) -> list[tuple[str, str]]:
    found = faults_together([Manifest("mesh.yaml", "---".join(documents))])
    return [(each.object, each.message) for each in found if each.code == "ISM0016"]


def test_a_service_of_another_family_is_told_with_the_callers_and_the_mend() -> None:
    ((about, message),) = told(CALLER, WEST, WEB % "")
    assert about == "Cluster west"
    assert message.startswith(
        'pods of cluster "east" have addresses of IPv4 alone, and would call shop/web of cluster "west" by IPv6: '
    )


def test_clusters_without_a_common_family_are_told_once_however_many_services_they_have() -> None:
    services = [(WEB % "").replace("web", f"web-{number}") for number in range(12)]
    ((about, message),) = told(CALLER, WEST, *services)
    assert about == "Cluster west"
    assert "would call shop/web-0, shop/web-1, shop/web-10 and 9 more of" in message


def test_a_service_whose_pods_have_both_families_is_told_by_itself() -> None:
    both = (WEB % "").replace('{ip: "fd00:10::1"}', '{ip: "fd00:10::1"}, {ip: 10.20.0.1}')
    slice_ = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-6, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv6
ports: [{name: http, port: 80}]
endpoints: [{addresses: ["fd00:10::1"], targetRef: {kind: Pod, name: web-0, namespace: shop}}]
"""
    ((about, message),) = told(CALLER, WEST, both, slice_)
    assert about == "Service shop/web"
    assert message.endswith("(hint: ipFamilyPolicy: PreferDualStack, since its pods have both)")


def test_a_gateway_between_networks_is_called_by_its_own_family() -> None:
    assert told(CALLER, WEST, GATEWAY % "203.0.113.7", WEB % "") == []
    assert len(told(CALLER, WEST, GATEWAY % "2001:db8::7", WEB % "")) == 1


def test_who_does_not_see_the_service_does_not_call_it() -> None:
    hidden = ', annotations: {networking.istio.io/exportTo: "%s"}'
    assert told(CALLER, WEST, WEB % (hidden % "elsewhere")) == []
    assert len(told(CALLER, WEST, WEB % (hidden % "elsewhere,."))) == 1


def test_a_pod_without_a_sidecar_calls_past_the_mesh() -> None:
    assert told(CALLER.replace("tlsMode: istio", "tlsMode: disabled"), WEST, WEB % "") == []


def test_a_service_that_each_cluster_keeps_to_itself_is_not_called_from_others() -> None:
    local = (WEB % "").replace("ports:", "internalTrafficPolicy: Local, ports:")
    assert told(CALLER, WEST, local) == []


def test_a_static_entry_of_the_other_family_is_told_at_its_endpoints() -> None:
    entry = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: legacy, namespace: shop}
spec:
  hosts: [legacy.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: "2001:db8::9"}]
"""
    hidden = ', annotations: {networking.istio.io/exportTo: "~"}'
    ((about, message),) = told(CALLER, entry, WEST, WEB % hidden)
    assert about == "ServiceEntry shop/legacy"
    assert 'cluster "east"' in message
