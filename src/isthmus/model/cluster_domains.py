"""Clusters of the mesh whose workloads are of a trust domain of their own, as their ConfigMap `istio` says.

`isthmus install` writes it there from the same option as Citadel's, which signs for it: who calls and who is called is
known by the name that is in the certificates of each cluster. All clusters of a mesh have one root (ADR 0032).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from isthmus.api.core.config_map import ConfigMap
from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.mesh_config import read_mesh_config
from isthmus.api.resource import Object, Ref
from isthmus.model.findings import Code, Finding
from isthmus.model.identity import is_trust_domain
from isthmus.model.names import ClusterId

Domains = tuple[tuple[ClusterId, str], ...]
"""Clusters and their trust domains, of those alone that have another one than the mesh."""


def domains_of(
    said: Mapping[ClusterId, Object | None], ref: Ref, own: str, before: Domains
) -> tuple[Domains, tuple[Finding, ...]]:
    """The domains of clusters other than that of the configuration, by what each has at `ref`.

    `own`: the mesh's. Of what cannot be read, what was known before stays.
    """
    known, found, wrong = dict(before), {}, []
    for cluster, value in sorted(said.items()):
        try:
            domain = _domain(value)
        except InvalidConfig as error:
            domain = known.get(cluster, "")
            stays = f"{domain or own} stays"
            wrong.append(_finding(cluster, ref, error, stays))
        if domain and domain != own:
            found[cluster] = domain
    return tuple(found.items()), tuple(wrong)


def named(domains: Domains) -> Iterator[str]:
    """The trust domains, each once."""
    yield from dict.fromkeys(domain for _, domain in domains)


def _domain(value: Object | None) -> str:
    """What a cluster says of itself; empty where that is nothing. Raises `InvalidConfig`."""
    if not isinstance(value, ConfigMap) or "mesh" not in value.data:
        return ""
    read = read_mesh_config(value.data["mesh"])
    domain = (read.rest.trust_domain if read.rest is not None else None) or ""
    if domain and not is_trust_domain(domain):
        raise InvalidConfig("$.trustDomain", f"{domain!r} is no trust domain (hint: like b.example)")
    return domain


def _finding(cluster: ClusterId, ref: Ref, error: InvalidConfig, stays: str) -> Finding:
    return Finding(
        ref=ref,
        path=f"$.data.mesh{error.path.removeprefix('$')}",
        message=f"{error.message}: {stays}",
        cluster=cluster,
        code=Code.SCHEMA,
    )
