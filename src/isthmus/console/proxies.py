"""The tables of `isthmus proxy`: what Pilot says of proxies, and what an Envoy holds."""

from __future__ import annotations

from typing import Any

from isthmus.console import envoy_view
from isthmus.console.control_plane import ask_envoy
from isthmus.console.proxy_names import names_of, pod_table
from isthmus.console.render import table
from isthmus.kube.kubeconfig import Access


def render_status(proxies: list[dict[str, Any]]) -> str:
    """The table of `proxy status`, and under it what proxies said of what they rejected."""
    types = ("CDS", "EDS", "LDS", "RDS")
    rows = [
        (
            each["name"],
            each["cluster"],
            *(_state(each, name) for name in types),
        )
        for each in sorted(proxies, key=lambda each: (each["cluster"], each["name"]))
    ]
    lines = [table(("NAME", "CLUSTER", *types), rows)]
    for each in proxies:
        for name, held in each["types"].items():
            if held.get("error"):
                lines.append(f"{each['name']}: {name} rejected: {held['error']}")
    return "\n".join(lines)


def _state(proxy: dict[str, Any], name: str) -> str:
    return str(proxy["types"].get(name, {}).get("state", "NOT SENT"))


async def read_part(part: str, access: Access, namespace: str, pod: str) -> list[Any]:
    """The rows of one part of a proxy's configuration."""
    match part:
        case "clusters":
            (dump,) = await ask_envoy(access, namespace, pod, "config_dump")
            return list(envoy_view.upstreams(dump))
        case "endpoints":
            dump, clusters = await ask_envoy(
                access, namespace, pod, "config_dump?include_eds", "clusters?format=json"
            )
            return list(envoy_view.endpoints(dump, clusters))
        case "names":
            return names_of(await pod_table(access, namespace, pod))
        case "listeners":
            (dump,) = await ask_envoy(access, namespace, pod, "config_dump")
            return list(envoy_view.listeners(dump))
        case _:
            (dump,) = await ask_envoy(access, namespace, pod, "config_dump")
            return list(envoy_view.routes(dump))


def render_rows(rows: list[Any]) -> str:
    """A table with one column for each field."""
    if not rows:
        return "nothing found"
    fields = rows[0].__struct_fields__
    head = [name.replace("_", " ").upper() for name in fields]
    return table(head, [[_cell(getattr(row, name)) for name in fields] for row in rows])


def _cell(value: object) -> str:
    return "-" if value == "" else str(value)
