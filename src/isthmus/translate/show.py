"""Envoy's resources as people read them: the parts that a case asks for, in Envoy's own words."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import cast

from google.protobuf import json_format
from google.protobuf.message import Message

from isthmus.envoy.descriptors import class_of_url, pool
from isthmus.envoy.types import (
    Address,
    ClusterLoadAssignment,
    LbEndpoint,
    LocalityLbEndpoints,
    Secret,
)
from isthmus.kit.chain import count_revocations
from isthmus.kit.ip import authority
from isthmus.kit.versioned import Versioned
from isthmus.kit.x509 import Certificate, load_bundle, names
from isthmus.model.name_table import decode
from isthmus.translate.offline import PARTS, Case
from isthmus.translate.trace.enums import enum_name

Tree = dict[str, object]


def shown(case: Case) -> Tree:
    """What the case asks to be shown, by part and resource name; and the findings, if there are any."""
    generation = case.generation()
    made: Tree = {}
    for part, patterns in case.spec.show.items():
        resources = generation.resources(case.proxy, PARTS[part], None)
        if part == "names":
            made[part] = _names(resources, patterns)
            continue
        made[part] = _part(part, sorted(resources, key=lambda one: one.name), patterns)
    known = (*generation.mesh.findings, *generation.findings, *generation.conflicts(case.proxy))
    findings = [str(found) for found in known]
    if findings:
        made["findings"] = findings
    return made


def _part(part: str, resources: Iterable[Versioned], patterns: dict[str, list[str]]) -> Tree:
    found: Tree = {}
    for one in resources:
        for pattern, paths in (patterns or {"*": []}).items():
            if fnmatchcase(one.name, pattern):
                whole = _READABLE[part](one) if part in _READABLE else as_tree(one, PARTS[part])
                found[one.name] = pruned(whole, paths) if paths else whole
    return found


def _names(resources: Iterable[Versioned], patterns: dict[str, list[str]]) -> Tree:
    """What each name that a pattern fits stands for: addresses, or `→` another name."""
    found: dict[str, str] = {}
    for one in resources:
        table = decode(one.body)
        found |= {host: " ".join(named.addresses) for host, named in table.names.items()}
        found |= {host: f"→ {target}" for host, target in table.aliases.items()}
    wanted = patterns or {"*": []}
    return {host: found[host] for host in sorted(found) if any(fnmatchcase(host, each) for each in wanted)}


def as_tree(resource: Versioned, type_url: str) -> Tree:
    """The resource as `tree_of` has it."""
    return tree_of(class_of_url(type_url).FromString(resource.body))


def tree_of(message: Message) -> Tree:
    """A message as the JSON form of protobuf has it, with Envoy's field names."""
    made = json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool())
    return cast(Tree, _steady(made))


_MAPS = frozenset(
    {
        "filter_metadata",
        "policies",
        "providers",
        "typed_per_filter_config",
        "typed_extension_protocol_options",
    }
)


def _steady(tree: object, *, is_map: bool = False) -> object:
    """`tree` with the keys of maps sorted: protobuf gives them in any order; those of messages have one."""
    if isinstance(tree, list):
        return [_steady(each, is_map=is_map) for each in tree]
    if not isinstance(tree, dict):
        return tree
    keys = sorted(tree) if is_map else list(tree)
    return {key: _steady(tree[key], is_map=key in _MAPS or is_map) for key in keys}


def pruned(tree: object, paths: list[str]) -> object:
    """Only what the paths lead to. A step into a list is a pattern of the entries' names: `a/rev*/b`."""
    steps = [path.partition("/") for path in paths]
    if isinstance(tree, list):
        kept = []
        for entry in tree:
            name = entry.get("name", "") if isinstance(entry, dict) else str(entry)
            below = [rest for pattern, _, rest in steps if fnmatchcase(str(name), pattern)]
            if below:
                kept.append(_with_name(entry, pruned(entry, below) if all(below) else entry))
        return kept
    if isinstance(tree, dict):
        made: Tree = {}
        for key, value in tree.items():
            below = [rest for step, _, rest in steps if fnmatchcase(key, step)]
            if below:
                made[key] = pruned(value, below) if all(below) else value
        return made
    return tree


def _with_name(entry: object, kept: object) -> object:
    if isinstance(entry, dict) and isinstance(kept, dict) and "name" in entry:
        return {"name": entry["name"], **kept}
    return kept


def _endpoints(resource: Versioned) -> object:
    """A load assignment in a line an endpoint."""
    found = ClusterLoadAssignment.FromString(resource.body)
    return [_endpoint(group, one) for group in found.endpoints for one in group.lb_endpoints]


def _secret(resource: Versioned) -> object:
    """Whom the certificates of a secret are of; never a key."""
    found = Secret.FromString(resource.body)
    if found.HasField("tls_certificate"):
        chain = load_bundle(found.tls_certificate.certificate_chain.inline_bytes)
        shown: Tree = {"certificate": [_holder(each) for each in chain], "private_key": "<redacted>"}
        if found.tls_certificate.HasField("ocsp_staple"):
            shown["ocsp_staple"] = f"{len(found.tls_certificate.ocsp_staple.inline_bytes)} bytes"
        return shown
    context = found.validation_context
    made: Tree = {"roots": [_holder(each) for each in load_bundle(context.trusted_ca.inline_bytes)]}
    if context.HasField("crl"):
        made["revoked"] = f"{count_revocations(context.crl.inline_bytes)} list(s)"
    return made


def _holder(certificate: Certificate) -> str:
    said = names(certificate)
    return ", ".join((said.common_name, *said.dns, *said.addresses, *said.uris)).removeprefix(", ")


_READABLE = {"endpoints": _endpoints, "secrets": _secret}
"""How parts are shown that are not shown in Envoy's own words."""


def _place(address: Address) -> str:
    if address.HasField("pipe"):
        return f"unix://{address.pipe.path}"
    return authority(address.socket_address.address, address.socket_address.port_value)


def _endpoint(group: LocalityLbEndpoints, one: LbEndpoint) -> Tree:
    made: Tree = {"address": _place(one.endpoint.address)}
    if one.endpoint.additional_addresses:
        made["also"] = [_place(each.address) for each in one.endpoint.additional_addresses]
    if group.priority:
        made["priority"] = group.priority
    if locality := "/".join(
        filter(None, (group.locality.region, group.locality.zone, group.locality.sub_zone))
    ):
        made["locality"] = locality
    if group.load_balancing_weight.value != sum(
        each.load_balancing_weight.value for each in group.lb_endpoints
    ):
        made["locality_weight"] = group.load_balancing_weight.value
    if one.load_balancing_weight.value != 1:
        made["weight"] = one.load_balancing_weight.value
    metadata = one.metadata.filter_metadata
    if "envoy.transport_socket_match" in metadata:
        made["tls"] = metadata["envoy.transport_socket_match"].fields["tlsMode"].string_value
    if one.health_status:
        made["health"] = enum_name(one, "health_status")
    made["workload"] = metadata["istio"].fields["workload"].string_value
    return made
