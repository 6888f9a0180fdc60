"""How the kinds of 2018 speak of services. Source: istio.routing.v1alpha1, IstioService."""

from __future__ import annotations

from isthmus.api.resource import Part

GROUP = "config.istio.io"


class IstioService(Part, frozen=True, kw_only=True):
    """A service, and the versions of it that have all of `labels`."""

    name: str = ""
    namespace: str = ""  # empty: that of the object
    domain: str = ""  # empty: that of the cluster
    service: str = ""  # the whole host name, in place of the three
    labels: dict[str, str] = {}
