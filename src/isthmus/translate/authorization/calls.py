"""What is called, as permissions of RBAC: hosts, ports, methods and paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from isthmus.api.istio.path_template import as_envoy_has_it, is_template
from isthmus.envoy.types import HeaderMatcher, Permission, UriTemplateMatchConfig
from isthmus.translate import proto
from isthmus.translate.authorization.callers import cidr, said_by
from isthmus.translate.authorization.texts import ANY, matcher

_TEMPLATE = "envoy.path.match.uri_template.uri_template_matcher"


def all_of(several: Sequence[Permission]) -> Permission:
    """Each of them; anything where there is none."""
    if not several:
        return Permission(any=True)
    return several[0] if len(several) == 1 else Permission(and_rules=Permission.Set(rules=several))


def any_of(several: Sequence[Permission]) -> Permission:
    """One of them; nothing where there is none."""
    if not several:
        return none_of([Permission(any=True)])
    return several[0] if len(several) == 1 else Permission(or_rules=Permission.Set(rules=several))


def none_of(several: Sequence[Permission]) -> Permission:
    """Anything else."""
    return Permission(not_rule=any_of(several))


def header(name: str, text: str, *, ignore_case: bool = False) -> HeaderMatcher:
    """A header with a text."""
    if text == ANY:
        return HeaderMatcher(name=name, present_match=True)
    return HeaderMatcher(name=name, string_match=matcher(text, ignore_case=ignore_case))


def hosts(names: Iterable[str]) -> list[Permission]:
    """Requests to these hosts."""
    return [Permission(header=header(":authority", each, ignore_case=True)) for each in names]


def methods(names: Iterable[str]) -> list[Permission]:
    return [Permission(header=header(":method", each)) for each in names]


def paths(texts: Iterable[str]) -> list[Permission]:
    """Requests for these paths, or for those of templates."""
    return [_template(each) if is_template(each) else _path(each) for each in texts]


def ports(numbers: Iterable[str]) -> list[Permission]:
    """Connections to these ports of the workload."""
    return [Permission(destination_port=int(each)) for each in numbers]


def ports_of_datagrams(numbers: Iterable[int], served: Mapping[str, int]) -> list[Permission]:
    """Streams of datagrams for these ports, by the paths that name them."""
    wanted = set(numbers)
    exact = [path for path, port in served.items() if port in wanted]
    return [_path(each) for each in exact] or [none_of([Permission(any=True)])]


def addresses(ranges: Iterable[str]) -> list[Permission]:
    """Connections to these addresses."""
    return [Permission(destination_ip=cidr(each)) for each in ranges]


def server_names(names: Iterable[str]) -> list[Permission]:
    """Connections in TLS to these server names."""
    return [Permission(requested_server_name=matcher(each)) for each in names]


def told_by_filter(name: str, part: str, values: Iterable[str]) -> list[Permission]:
    """What another filter says of the call; `[value]` is one of a list, as Istio writes it."""
    plain = (each[1:-1] if each.startswith("[") and each.endswith("]") else each for each in values)
    return [Permission(metadata=said_by(name, [part], matcher(each))) for each in plain]


def _path(text: str) -> Permission:
    permission = Permission()
    permission.url_path.path.CopyFrom(matcher(text))
    return permission


def _template(text: str) -> Permission:
    permission = Permission()
    permission.uri_template.name = _TEMPLATE
    config = UriTemplateMatchConfig(path_template=as_envoy_has_it(text))
    permission.uri_template.typed_config.CopyFrom(proto.any_of(config))
    return permission
