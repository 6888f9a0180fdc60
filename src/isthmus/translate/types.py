"""The types of resources that we make, in the order in which they are pushed: made before they are named."""

from __future__ import annotations

from isthmus.model import doors, health, name_table, trust_bundles

UPSTREAM = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
EXTENSION = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - its type
NAMES = name_table.TYPE_URL
DOORS = doors.TYPE_URL
PROBE = health.PROBE_TYPE
TRUST = trust_bundles.TYPE_URL

ENVOY_TYPES = (SECRET, UPSTREAM, ENDPOINTS, LISTENER, ROUTES, EXTENSION)
"""Envoy warms an upstream until its endpoints arrive, and a listener until its routes, filters and secrets do.

What is made anew since it believes by other CAs than before must know these already.
"""

PATCHED = (UPSTREAM, LISTENER, ROUTES, EXTENSION)
"""The types that EnvoyFilters patch."""

TYPES = (TRUST, *ENVOY_TYPES, DOORS, NAMES, PROBE)
"""All that proxies ask for: what their agents are told comes last, so that Envoy can take the calls it leads to.

But whom to believe comes first: new callers are let in when their roots are there.
"""
