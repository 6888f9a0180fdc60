"""Cluster of the cluster registry API: where a cluster's API server is, and who knows how to come in.

Source: kubernetes/cluster-registry, `clusterregistry.k8s.io/v1alpha1`.
"""

from __future__ import annotations

import msgspec

from isthmus.api.resource import Kind, Object


class ServerEndpoint(msgspec.Struct, frozen=True, kw_only=True, rename={"client_cidr": "clientCIDR"}):
    """An address of the API server, for clients of these addresses; an empty CIDR: for all."""

    client_cidr: str = ""
    server_address: str = msgspec.field(default="", name="serverAddress")


class Endpoints(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The addresses of one API server, and in base64 the CA by which it is believed."""

    server_endpoints: tuple[ServerEndpoint, ...] = ()
    ca_bundle: str = ""


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """Another object."""

    kind: str = ""
    name: str = ""
    namespace: str = ""


class AuthInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who knows how to come in: for people, and for controllers as Pilot is one."""

    user: Reference | None = None
    controller: Reference | None = None


class ClusterSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where it is, and how to come in."""

    kubernetes_api_endpoints: Endpoints = Endpoints()
    auth_info: AuthInfo = AuthInfo()


class Cluster(Object, frozen=True, kw_only=True):
    """A cluster of the registry."""

    spec: ClusterSpec = ClusterSpec()


CLUSTERS = Kind("clusterregistry.k8s.io", ("v1alpha1",), "Cluster", "clusters", Cluster)
