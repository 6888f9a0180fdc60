"""What services have because of all others: what they are given, and for which of them another name stands."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from isthmus.model import maps
from isthmus.model.aliases import Aliases
from isthmus.model.given import Given
from isthmus.model.names import ClusterId, ServiceKey
from isthmus.model.service import Service


class Completion:
    """Completes services, and finds those that change because another did."""

    def __init__(self, domain: str) -> None:
        self._given = Given()
        self._aliases = Aliases(domain)
        self._clusters: frozenset[ClusterId] = frozenset()  # to which services have been given addresses

    def after(
        self,
        old: Mapping[ServiceKey, Service],
        made: Mapping[ServiceKey, Service | None],
        clusters: frozenset[ClusterId],
    ) -> tuple[Mapping[ServiceKey, Service], frozenset[ServiceKey]]:
        """The services after some were `made` anew (None: gone), and those that have something else by it."""
        if clusters != self._clusters:  # every service may lack an address in a new cluster
            self._clusters = clusters
            made = {**old, **made}
        moved = self._given.settle(made, clusters) | self._aliases.settle(made)
        made = {**made, **{key: old[key] for key in moved - made.keys()}}
        whole = {
            key: maps.same(old.get(key), self._whole(found)) if found is not None else None
            for key, found in made.items()
        }
        return maps.updated(old, whole), moved

    def _whole(self, service: Service) -> Service:
        whole, meant = self._given.to(service), self._aliases.meant(service)
        return whole if whole.alias_of == meant else msgspec.structs.replace(whole, alias_of=meant)
