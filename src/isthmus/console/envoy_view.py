"""What an Envoy holds, read from its admin answers and cut to what a person asks for.

Source: Envoy's admin interface, `/config_dump?include_eds` and `/clusters?format=json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

Json = dict[str, Any]


class UpstreamRow(msgspec.Struct, frozen=True):
    """An upstream: Envoy's cluster."""

    service: str
    port: str
    subset: str
    direction: str
    type: str
    destination_rule: str

    @property
    def resource(self) -> str:
        """The upstream's own name."""
        if self.direction == "-":
            return self.service
        words = (self.direction, self.port, self.subset, self.service)
        return "|".join("" if word == "-" else word for word in words)


class EndpointRow(msgspec.Struct, frozen=True):
    """An endpoint of an upstream."""

    endpoint: str
    status: str
    outlier_check: str
    cluster: str
    locality: str
    priority: int
    workload: str
    upstream: str

    @property
    def resource(self) -> str:
        """The upstream."""
        return self.upstream


class ListenerRow(msgspec.Struct, frozen=True):
    """A filter chain of a listener."""

    address: str
    port: str
    match: str
    destination: str
    name: str
    type: str = ""

    @property
    def resource(self) -> str:
        """The listener."""
        return self.name


class RouteRow(msgspec.Struct, frozen=True):
    """A route of a virtual host."""

    name: str
    virtual_host: str
    domains: str
    match: str
    destination: str
    virtual_service: str

    @property
    def resource(self) -> str:
        """The route configuration."""
        return self.name


def upstreams(dump: Json) -> list[UpstreamRow]:
    """All upstreams, by service, port and subset."""
    rows = []
    for key in ("static_clusters", "dynamic_active_clusters"):
        for entry in _section(dump, "ClustersConfigDump").get(key, []):
            rows.append(_upstream(entry["cluster"]))
    return sorted(rows, key=lambda row: (row.service, row.port, row.subset, row.direction))


def endpoints(dump: Json, clusters: Json) -> list[EndpointRow]:
    """All endpoints of all upstreams, with their Kubernetes cluster and whether they are ejected."""
    ejected = {
        (status["name"], address_of(host["address"]))
        for status in clusters.get("cluster_statuses", [])
        for host in status.get("host_statuses", [])
        if host.get("health_status", {}).get("failed_outlier_check")
    }
    section = _section(dump, "EndpointsConfigDump")
    rows = []
    for key in ("static_endpoint_configs", "dynamic_endpoint_configs"):
        for entry in section.get(key, []):
            assignment = entry.get("endpoint_config", {})
            for group in assignment.get("endpoints", []):
                for endpoint in group.get("lb_endpoints", []):
                    rows.append(_endpoint(assignment["cluster_name"], group, endpoint, ejected))
    return sorted(rows, key=lambda row: (row.upstream, row.priority, row.endpoint))


def listeners(dump: Json) -> list[ListenerRow]:
    """All filter chains of all listeners, by port."""
    section = _section(dump, "ListenersConfigDump")
    found = [entry["listener"] for entry in section.get("static_listeners", [])]
    for entry in section.get("dynamic_listeners", []):
        if "active_state" in entry:
            found.append(entry["active_state"]["listener"])
    rows = [row for listener in found for row in _chains(listener)]
    return sorted(rows, key=lambda row: (int(row.port or 0), row.address, row.match))


def routes(dump: Json) -> list[RouteRow]:
    """All routes of all route configurations, in the order in which Envoy tries them."""
    section = _section(dump, "RoutesConfigDump")
    rows = []
    for key in ("static_route_configs", "dynamic_route_configs"):
        for entry in section.get(key, []):
            config = entry["route_config"]
            for host in config.get("virtual_hosts", []):
                rows += [_route(config.get("name", ""), host, route) for route in host.get("routes", [])]
    return rows


def _section(dump: Json, kind: str) -> Json:
    for section in dump.get("configs", []):
        if section["@type"].endswith(f".{kind}"):
            found: Json = section
            return found
    return {}


def _upstream(cluster: Json) -> UpstreamRow:
    name = cluster["name"]
    config = _metadata(cluster, "istio").get("config", "")
    rule = config.rpartition("/namespaces/")[2].replace("/destination-rule/", "/")
    kind = cluster.get("type") or cluster.get("cluster_type", {}).get("name", "STATIC")
    parts = name.split("|")
    if len(parts) != 4:
        return UpstreamRow(name, "-", "-", "-", kind, rule)
    direction, port, subset, service = parts
    return UpstreamRow(service or "-", port, subset or "-", direction, kind, rule)


def _endpoint(name: str, group: Json, endpoint: Json, ejected: set[tuple[str, str]]) -> EndpointRow:
    address = address_of(endpoint.get("endpoint", {}).get("address", {}))
    workload = _metadata(endpoint, "istio").get("workload", "").split(";")
    locality = group.get("locality", {})
    return EndpointRow(
        endpoint=address,
        status=endpoint.get("health_status", "HEALTHY").replace("UNKNOWN", "HEALTHY"),
        outlier_check="FAILED" if (name, address) in ejected else "OK",
        cluster=workload[4] if len(workload) == 5 else "",
        locality="/".join(locality[key] for key in ("region", "zone", "sub_zone") if locality.get(key)),
        priority=group.get("priority", 0),
        workload=workload[0],
        upstream=name,
    )


def _chains(listener: Json) -> Iterator[ListenerRow]:
    address = listener.get("address", {}).get("socket_address", {})
    place = (address.get("address", ""), str(address.get("port_value", "")))
    default = listener.get("default_filter_chain")
    for chain in [*listener.get("filter_chains", []), *([default] if default else [])]:
        match, goal = _chain_match(chain), _chain_goal(chain)
        yield ListenerRow(*place, match, goal, listener.get("name", ""), _chain_kind(chain))


def _chain_match(chain: Json) -> str:
    match = chain.get("filter_chain_match", {})
    words = []
    if "destination_port" in match:
        words.append(f"port {match['destination_port']}")
    for key, word in (("server_names", "SNI"), ("application_protocols", "ALPN")):
        if match.get(key):
            words.append(f"{word} {','.join(match[key])}")
    if match.get("transport_protocol"):
        words.append(match["transport_protocol"])
    for prefix in match.get("prefix_ranges", []):
        words.append(f"to {prefix['address_prefix']}/{prefix.get('prefix_len', 0)}")
    return "; ".join(words) or "ALL"


def _chain_kind(chain: Json) -> str:
    kinds = [part.get("typed_config", {}).get("@type", "") for part in chain.get("filters", [])]
    if any(kind.endswith("HttpConnectionManager") for kind in kinds):
        return "HTTP"
    return "TCP" if any(kind.endswith("TcpProxy") for kind in kinds) else ""


def _chain_goal(chain: Json) -> str:
    for part in chain.get("filters", []):
        config = part.get("typed_config", {})
        if "rds" in config:
            return f"Route: {config['rds']['route_config_name']}"
        if "route_config" in config:
            return f"Inline Route: {config['route_config'].get('name', '')}"
        if "cluster" in config and config.get("@type", "").endswith("TcpProxy"):
            return f"Cluster: {config['cluster']}"
        if "weighted_clusters" in config:
            names = [each["name"] for each in config["weighted_clusters"]["clusters"]]
            return f"Cluster: {', '.join(names)}"
    return "-"


def _route(name: str, host: Json, route: Json) -> RouteRow:
    config = _metadata(route, "istio").get("config", "")
    return RouteRow(
        name=name,
        virtual_host=host["name"],
        domains=_first_of(host.get("domains", [])),
        match=_route_match(route.get("match", {})),
        destination=_route_goal(route),
        virtual_service=config.rpartition("/namespaces/")[2].replace("/virtual-service/", "/"),
    )


def _first_of(names: list[str]) -> str:
    more = f" + {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}" if names else "-"


def _route_match(match: Json) -> str:
    words = []
    for key, sign in (("path", ""), ("prefix", "*"), ("path_separated_prefix", "/*")):
        if key in match:
            words.append(f"{match[key]}{sign}")
    if "safe_regex" in match:
        words.append(f"~{match['safe_regex']['regex']}")
    words += [f"header {header['name']}" for header in match.get("headers", [])]
    words += [f"query {query['name']}" for query in match.get("query_parameters", [])]
    return " & ".join(words) or "*"


def _route_goal(route: Json) -> str:
    if "redirect" in route:
        return "redirect"
    if "direct_response" in route:
        return str(route["direct_response"].get("status", ""))
    action = route.get("route", {})
    if "weighted_clusters" in action:
        return ", ".join(
            f"{each['name']} {each.get('weight', 0)}" for each in action["weighted_clusters"]["clusters"]
        )
    return str(action.get("cluster", "-"))


def _metadata(holder: Json, key: str) -> Json:
    found: Json = holder.get("metadata", {}).get("filter_metadata", {}).get(key, {})
    return found


def address_of(address: Json) -> str:
    """One of Envoy's addresses: with its port, or the path of a socket."""
    socket = address.get("socket_address", {})
    if socket:
        return f"{socket.get('address', '')}:{socket.get('port_value', '')}"
    return str(address.get("pipe", {}).get("path", ""))
