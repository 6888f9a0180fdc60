"""Texts within a value that Envoy parses: expressions, formats, headers, addresses. Its rules do not reach them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from typing import cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from isthmus.envoy.descriptors import class_of_url
from isthmus.envoy.format_string import format_string
from isthmus.envoy.types import (
    CidrRange,
    FileAccessLog,
    HeaderValueOption,
    Listener,
    RegexMatcher,
    SubstitutionFormatString,
)
from isthmus.translate.regex import regex

_ANY = "google.protobuf.Any"
_V8 = "envoy.wasm.runtime.v8"
"""What runs WebAssembly in the Envoy that we ship; nothing is compiled into it that could run without."""
_ROUTE_FILTER, _HTTP = "envoy.config.route.v3.FilterConfig", "envoy.extensions.filters.http."
_FOR_CHAINS_ALONE = frozenset({
    "a2a", "alternate_protocols_cache", "body_size_limit", "cache", "cache_v2", "connect_grpc_bridge", "gcp_authn",
    "grpc_http1_bridge", "grpc_stats", "grpc_web", "ip_tagging", "mcp_router", "original_src",
    "proto_api_scrubber", "proto_message_extraction", "rate_limit_quota", "router", "thrift_to_metadata", "wasm",
})  # fmt: skip
"""HTTP filters of which routes may say nothing: Envoy 1.40 was asked of each."""


def text_fault(message: Message) -> str:
    """Why Envoy would not parse a text in `message`; empty where it would parse all."""
    return next(_faults(message), "")


def _faults(message: Message) -> Iterator[str]:
    if message.DESCRIPTOR.full_name == _ANY:
        yield from _packed(message)
        return
    check = _CHECKS.get(message.DESCRIPTOR.full_name)
    if check is not None:
        try:
            check(message)
        except ValueError as error:
            yield str(error)
    for field, value in message.ListFields():
        if field.name.endswith("headers_to_remove"):
            yield from (_forbidden(name) for name in value if _is_forbidden(name))
        if field.name == "typed_per_filter_config":
            yield from _of_routes(value)
        if field.name == "typed_extension_protocol_options":
            yield from (_no_protocol(name) for name in value if not name.startswith("envoy."))
        if field.message_type is None:
            continue
        for each in _messages(field, value):
            yield from _faults(each)


def _messages(field: FieldDescriptor, value: object) -> Iterator[Message]:
    """The messages that a field holds."""
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        if field.message_type.fields_by_name["value"].message_type is not None:
            yield from cast(dict[object, Message], value).values()
    elif field.is_repeated:
        yield from cast(list[Message], value)
    else:
        yield cast(Message, value)


def _packed(message: Message) -> Iterator[str]:
    url = str(getattr(message, "type_url", ""))
    if not url:
        return
    try:
        yield from _faults(class_of_url(url).FromString(cast(bytes, getattr(message, "value", b""))))
    except KeyError:
        yield f"Envoy knows no type {url.rpartition('/')[2]}"
    except DecodeError:
        yield f"it is no {url.rpartition('/')[2]}"


def _of_routes(configs: Mapping[str, Message]) -> Iterator[str]:
    """Of the settings that routes have for filters: those that Envoy knows for whole chains alone."""
    for name, config in configs.items():
        type_ = str(getattr(config, "type_url", "")).rpartition("/")[2]
        known = type_ == _ROUTE_FILTER or type_.startswith(_HTTP)
        if type_ and (not known or type_.removeprefix(_HTTP).partition(".")[0] in _FOR_CHAINS_ALONE):
            yield f"filter {name!r}: {type_} is nothing that routes may say of filters"


def _no_protocol(name: str) -> str:
    return f"Envoy knows no protocol {name!r} (hint: envoy.extensions.upstreams.http.v3.HttpProtocolOptions)"


def _is_forbidden(name: str) -> bool:
    return name.startswith(":") or name.lower() == "host"


def _forbidden(name: str) -> str:
    return f"Envoy lets nobody change header {name!r} (hint: rewrite the path or the host in the route)"


def _header(message: Message) -> None:
    option = cast(HeaderValueOption, message)
    if _is_forbidden(option.header.key):
        raise ValueError(_forbidden(option.header.key))
    format_string(option.header.value)


def _format(message: Message) -> None:
    given = cast(SubstitutionFormatString, message)
    if not given.formatters:
        format_string(given.text_format or given.text_format_source.inline_string)


def _file_log(message: Message) -> None:
    format_string(cast(FileAccessLog, message).format)


def _machine(message: Message) -> None:
    runtime = str(getattr(message, "runtime", ""))
    if runtime not in {"", _V8}:
        raise ValueError(f"this Envoy has no {runtime!r} (hint: {_V8})")


def _listener(message: Message) -> None:
    where = cast(Listener, message).address
    if where.HasField("socket_address") and where.socket_address.address:
        ip_address(where.socket_address.address)


def _range(message: Message) -> None:
    found = cast(CidrRange, message)
    address = ip_address(found.address_prefix)
    if found.prefix_len.value > address.max_prefixlen:
        raise ValueError(f"{found.address_prefix}/{found.prefix_len.value} is no range of addresses")


def _regex(message: Message) -> None:
    regex(cast(RegexMatcher, message).regex)


_CHECKS: dict[str, Callable[[Message], object]] = {
    "envoy.type.matcher.v3.RegexMatcher": _regex,
    "envoy.config.core.v3.HeaderValueOption": _header,
    "envoy.config.core.v3.SubstitutionFormatString": _format,
    "envoy.config.core.v3.CidrRange": _range,
    "envoy.extensions.wasm.v3.VmConfig": _machine,
    "envoy.extensions.access_loggers.file.v3.FileAccessLog": _file_log,
    "envoy.config.listener.v3.Listener": _listener,
}
