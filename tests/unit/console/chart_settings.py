"""Settings drawn for the chart: of each value some that it may have."""

from __future__ import annotations

from typing import Any

from fakes.pki import Pki

ROOTS = Pki("of an injector").roots.decode()
_PODS: dict[str, tuple[Any, ...]] = {
    "replicas": (1, 3),
    "autoscaling.enabled": (False, True),
    "autoscaling.minReplicas": (1, 2),
    "autoscaling.maxReplicas": (5, 7),
    "autoscaling.cpu": (80, 55),
    "autoscaling.memory": (0, 66),
    "disruption.enabled": (True, False),
    "disruption.maxUnavailable": (1, 0, "30%"),
    "disruption.minAvailable": (None, 0, 2, "50%"),
    "spread": ("preferred", "none", "required"),
    "priorityClass": ("system-cluster-critical",),
    "nodeSelector": ({"pool": "mesh", "example.com/zone": "true"},),
    "tolerations": ([{"key": "a", "operator": "Exists"}, {"key": "b", "value": "c"}],),
    "affinity": ({"podAntiAffinity": {}},),
    "labels": ({"team": "mesh", "zone": "1"}, {"istio.io/rev": "not-so", "team": "a"}),
    "annotations": ({"example.com/note": 'a "word" {{ of }} mine: #1', "b": "true"},),
}
_SERVICE: dict[str, tuple[Any, ...]] = {
    "type": (None, "LoadBalancer", "NodePort", "ClusterIP"),
    "annotations": ({"cloud.example/kind": "inner"},),
    "ports": (
        [{"name": "http2", "port": 80}],
        [
            {"name": "tcp-a", "port": 81, "targetPort": 8081, "nodePort": 30081},
            {"name": "udp", "port": 53, "protocol": "UDP"},
        ],
    ),
    "loadBalancerClass": ("example.com/inner",),
    "loadBalancerSourceRanges": (["10.0.0.0/8", "192.0.2.0/24"],),
    "externalTrafficPolicy": ("", "Cluster", "Local"),
}
_RESOURCES: dict[str, tuple[Any, ...]] = {
    "resources.requests": ({}, {"cpu": "250m"}, {"cpu": "1", "memory": "1Mi"}),
    "resources.limits": ({}, {"memory": "8Gi"}),
}
_CONTAINER: dict[str, tuple[Any, ...]] = {
    **_RESOURCES,
    "arguments": (["--log-level=debug"], ["--a=b c", "--d"]),
    "environment": ({"A": "1", "B_C": "two: 'words'"},),
}


def _below(at: str, drawn: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
    return {f"{at}.{path}": values for path, values in drawn.items()}


DRAWN: dict[str, tuple[Any, ...]] = {
    "cluster": ("gke", "k8s.example"),
    "namespace": ("istio-system", "mesh"),
    "revision": ("1-4-0",),
    "network": ("net-1",),
    "image": ("registry.example:5000/isthmus:1",),
    "imagePullPolicy": ("", "Always", "IfNotPresent", "Never"),
    "imagePullSecrets": (["a"], ["a", "b"]),
    "trustDomain": ("mesh.example",),
    "pilotTrustDomain": ("other.example",),
    "domain": ("k8s.local",),
    "accessLog": ("/dev/stdout",),
    "mesh": (
        {"accessLogFile": "/elsewhere", "defaultConfig": {"concurrency": 3}},
        {"enableAutoMtls": False, "accessLogFile": None},
    ),
    "sidecar": ({"discovery": "elsewhere.example:15012"}, {"proxyUid": 12345678}),
    "layout": ("together", "apart"),
    "pilot.keptClustersClaim": ("claim",),
    "pilot.plainXds": (False, True),
    "webhooks.enabled": (True, False),
    "webhooks.failurePolicy": ("Fail", "Ignore"),
    "webhooks.validationFailurePolicy": ("Ignore", "Fail"),
    "webhooks.injectByDefault": (False, True),
    "webhooks.timeoutSeconds": (10, 7),
    "networkPolicies.enabled": (True, False),
    "networkPolicies.monitoringNamespaces": (["prometheus"], ["a", "b"]),
    "injectionURL": ("https://injector.example:15017", "https://injector.example/"),
    "injectionRoots": (ROOTS,),
    "managedGateways": (True, False),
    "clustersDir": ("/srv/clusters",),
    "pilotAddresses": (["192.0.2.1"], ["192.0.2.1", "2001:db8::1"]),
    "ca": ("", "plugged-in", "self-signed", "either"),
    "renewals": (False, True),
    "accountSecrets": (["shop"], ["shop", "bank"], ["*"]),
    "vouch": (["east=a,b"], ["east=*", "west=shop"]),
    "gatewayNamespace": ("edge", "istio-system"),
    "readableSecrets": (["a"], ["a", "b.example"]),
    **_below("controlPlane", _PODS),
    **(
        _below("pilot", _CONTAINER)
        | _below("citadel", _CONTAINER)
        | _below("injector", _CONTAINER)
        | _below("ingressGateway", _PODS | _RESOURCES | _below("service", _SERVICE))
        | _below("egressGateway", _PODS | _RESOURCES | _below("service", _SERVICE))
        | _below("eastWestGateway", _PODS | _RESOURCES | _below("service", _SERVICE))
    ),
}
"""Of each setting by its path what it may be."""
