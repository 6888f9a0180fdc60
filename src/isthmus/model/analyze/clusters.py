"""What only a mesh over clusters needs: that these agree, and know where they are."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isthmus.api.resource import Object, Ref
from isthmus.model.analyze.subject import Subject
from isthmus.model.codes import Code
from isthmus.model.config_cluster import is_config
from isthmus.model.endpoint import EndpointShard, Locality
from isthmus.model.findings import Finding, Severity
from isthmus.model.names import NO_CLUSTER, ClusterId

_KEEPING_OUT = frozenset({"AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"})
"""Kinds by which somebody thinks that he has shut a door."""


def copies_are_equal(subject: Subject) -> Iterator[Finding]:
    """Configuration that is in several clusters says the same in all of them, and none is elsewhere alone."""
    counting = subject.mesh.settings.config_cluster
    held = subject.objects.get(counting, {})
    for cluster in sorted(subject.objects):
        if cluster == counting:
            continue
        for ref in sorted(subject.objects[cluster]):
            if not is_config(ref):
                continue
            value, counted = subject.objects[cluster][ref], held.get(ref)
            if counted is None:
                keeps = ", so that it keeps nobody out" if ref.kind in _KEEPING_OUT else ""
                message = (
                    f'has no effect here{keeps}, and is not in cluster "{counting}", from which configuration is read '
                    "(hint: apply it there)"
                )
                found = _finding(cluster, ref, "$", message, Code.NOT_READ_HERE)
                yield msgspec.structs.replace(found, severity=Severity.WARNING) if keeps else found
            elif _said(value) != _said(counted):
                message = (
                    f'is not the same as in cluster "{counting}", whose counts (hint: apply one file to both)'
                )
                yield _finding(cluster, ref, "$.spec", message, Code.COPIES_DIFFER)


def sidecars_are_everywhere(subject: Subject) -> Iterator[Finding]:
    """The endpoints of a service have sidecars in all clusters, or in none."""
    for key in sorted(subject.mesh.shards):
        shards = subject.mesh.shards[key]
        service = subject.mesh.services.get(key)
        if len(shards) < 2 or service is None or service.entry:
            continue
        having = sorted(cluster for cluster, shard in shards.items() if _has_sidecars(shard))
        for cluster in sorted(shards):
            if having and cluster != NO_CLUSTER and cluster not in having:
                message = (
                    f'its endpoints have no sidecar here, and have one in cluster "{having[0]}": calls to them are '
                    "in plain text, and do not pass gateways between networks (hint: isthmus kube-inject)"
                )
                ref = Ref("Service", key.namespace, key.name)
                yield _finding(cluster, ref, "$", message, Code.SIDECARS_DIFFER)


def localities_are_known(subject: Subject) -> Iterator[Finding]:
    """Where it is known of some cluster where its endpoints are, it is known of all."""
    known: dict[ClusterId, int] = {}
    unknown: dict[ClusterId, int] = {}
    for shards in subject.mesh.shards.values():
        for cluster, shard in shards.items():
            said = sum(endpoint.locality != Locality() for endpoint in shard.endpoints)
            known[cluster] = known.get(cluster, 0) + said
            unknown[cluster] = unknown.get(cluster, 0) + len(shard.endpoints) - said
    if sum(known.values()) == 0:
        return
    for cluster in sorted(unknown):
        if cluster != NO_CLUSTER and unknown[cluster] and not known[cluster]:
            message = (
                f"it is not known where any of its {unknown[cluster]} endpoints is: they count as near for everybody "
                "(hint: label nodes topology.kubernetes.io/region and zone, or pods topology.istio.io/locality)"
            )
            yield _finding(cluster, Ref("Cluster", "", cluster), "$", message, Code.LOCALITY_UNKNOWN)


def _has_sidecars(shard: EndpointShard) -> bool:
    return any(endpoint.tls for endpoint in shard.endpoints)


def _said(value: Object) -> object:
    return getattr(value, "spec", value)


def _finding(cluster: ClusterId, ref: Ref, path: str, message: str, code: Code) -> Finding:
    return Finding(ref=ref, path=path, message=message, severity=code.severity, code=code, cluster=cluster)
