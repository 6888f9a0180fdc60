"""The settings of the mesh as they become: read from what clusters have of them, and from bundles that are fetched."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from isthmus.model.cluster_domains import domains_of
from isthmus.model.facts import Facts
from isthmus.model.fetched_bundles import FetchedBundles
from isthmus.model.findings import Finding
from isthmus.model.mesh import MeshSettings
from isthmus.model.mesh_settings import read_all
from isthmus.model.names import ClusterId

_ALL_DEPEND_ON = ("own_domains", "cluster_domains", "exports")


class SettingsState:
    """Reads them anew when something of it differs. `base`: what holds where nothing is written."""

    def __init__(self, base: MeshSettings) -> None:
        self._base = base
        self.bundles = FetchedBundles()
        self.findings: tuple[Finding, ...] = ()

    def read(self, facts: Mapping[ClusterId, Facts], before: MeshSettings) -> MeshSettings:
        """The settings now; of what cannot be read, that of `before` stays."""
        ref, here = self._base.written_in, self._base.config_cluster
        objects = facts[here].objects if here in facts else {}
        settings, wrong = read_all(objects, ref, self._base, before, self.bundles.known)
        said = {cluster: each.objects.get(ref) for cluster, each in facts.items() if cluster != here}
        domains, unread = domains_of(said, ref, settings.trust_domain, before.cluster_domains)
        self.findings = (*wrong, *unread)
        is_same = domains == settings.cluster_domains
        return settings if is_same else msgspec.structs.replace(settings, cluster_domains=domains)


def moves_all(before: MeshSettings, after: MeshSettings) -> bool:
    """Whether everything about endpoints and workloads may differ by it."""
    return any(getattr(before, each) != getattr(after, each) for each in _ALL_DEPEND_ON)
