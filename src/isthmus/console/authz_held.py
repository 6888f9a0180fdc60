"""The AuthorizationPolicies that an Envoy enforces, as it holds them: by action, with their rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from isthmus.console.envoy_parts import section
from isthmus.translate.trace.judgement import meant_by

Json = dict[str, Any]
_LOG = "AUDIT"
_ACTIONS = {"LOG": _LOG}


class PolicyRow(msgspec.Struct, frozen=True):
    """A policy with what it does, how many rules of it are held, and on which ports."""

    action: str
    policy: str
    rules: int
    ports: tuple[str, ...]

    @property
    def text(self) -> tuple[str, ...]:
        """As people read it."""
        return self.action, self.policy, str(self.rules), ", ".join(self.ports)


def policies_in(dump: Json) -> list[PolicyRow]:
    """A row for each policy and action; of CUSTOM with its provider, of what is only tried with `(dry run)`."""
    rules: dict[tuple[str, str], set[int]] = defaultdict(set)
    ports: dict[tuple[str, str], set[str]] = defaultdict(set)
    for port, filter_ in _filters(dump):
        for action, name in _named(filter_):
            meant = meant_by(name)
            if meant is None:
                continue
            said = f"CUSTOM ({meant.provider})" if meant.provider else action
            key = said, f"{meant.name}.{meant.namespace}"
            rules[key].add(meant.rule)
            ports[key].add(port)
    return [PolicyRow(*key, len(rules[key]), tuple(sorted(ports[key]))) for key in sorted(rules)]


def _named(filter_: Json) -> Iterator[tuple[str, str]]:
    for part, suffix in (("rules", ""), ("shadow_rules", " (dry run)")):
        held = filter_.get(part, {})
        action = str(held.get("action", "ALLOW"))
        for name in held.get("policies", {}):
            yield _ACTIONS.get(action, action) + suffix, name


def _filters(dump: Json) -> Iterator[tuple[str, Json]]:
    """All filters of RBAC in listeners, each with the port that calls come to."""
    held = section(dump, "ListenersConfigDump")
    for entry in (*held.get("dynamic_listeners", []), *held.get("static_listeners", [])):
        listener = entry.get("active_state", entry).get("listener", {})
        own = str(listener.get("address", {}).get("socket_address", {}).get("port_value", "-"))
        chains = listener.get("filter_chains", [])
        for chain in (
            *chains,
            *([listener["default_filter_chain"]] if "default_filter_chain" in listener else ()),
        ):
            port = str(chain.get("filter_chain_match", {}).get("destination_port", own))
            for each in _within(chain.get("filters", [])):
                yield port, each


def _within(tree: Any) -> Iterator[Json]:
    if isinstance(tree, list):
        for each in tree:
            yield from _within(each)
    elif isinstance(tree, dict):
        if str(tree.get("@type", "")).endswith(".rbac.v3.RBAC"):
            yield tree
            return
        for each in tree.values():
            yield from _within(each)
