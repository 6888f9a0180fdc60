"""What is away in a question of `isthmus explain`, as far as the caller knows of it."""

from __future__ import annotations

import pytest

from isthmus.console.calls import WrongCall
from isthmus.console.losses import Loss
from isthmus.envoy.types import ClusterLoadAssignment
from isthmus.model.mesh import Mesh
from isthmus.translate.trace.held import Held


def test_networks_are_known_by_the_gateways_that_a_caller_holds_though_their_clusters_were_not_read() -> None:
    upstream = ClusterLoadAssignment()
    gateway = upstream.endpoints.add().lb_endpoints.add()
    gateway.metadata.filter_metadata["istio"].fields["network"].string_value = "premises,attic"
    held = Held(listeners={}, routes={}, upstreams={}, assignments={"reviews": upstream})
    for known in ("premises", "attic"):
        Loss(known, known).check(Mesh(), held)
    with pytest.raises(WrongCall, match=r'"cellar" \(hint: one of attic, premises\)'):
        Loss("premises", "cellar").check(Mesh(), held)
