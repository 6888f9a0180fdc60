"""How far one locality is from another (ADR 0008)."""

from __future__ import annotations

from isthmus.model.endpoint import Locality


def distance(here: Locality, there: Locality) -> int:
    """0 for the same subzone, 1 for the same zone, 2 for the same region, 3 for elsewhere.

    What is not known on either side counts as equal: an unknown locality is not far. Source of the ranks:
    Istio's "Locality failover".
    """
    for rank, (mine, yours) in enumerate(zip(here, there, strict=True)):
        if mine and yours and mine != yours:
            return 3 - rank
    return 0
