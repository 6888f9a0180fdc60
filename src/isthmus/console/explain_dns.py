"""What a name means in a pod, and why: by the very table that its agent is told and the very code that answers."""

from __future__ import annotations

from collections.abc import Iterator

import click
import msgspec

from isthmus.console.calls import WrongCall
from isthmus.model.delta import Delta
from isthmus.model.mesh import Mesh
from isthmus.model.name_table import NAME, decode
from isthmus.model.names import Hostname
from isthmus.model.proxy import Proxy
from isthmus.model.service import Resolution, Service
from isthmus.sidecar.dns_names import Names
from isthmus.translate.generation import Translator
from isthmus.translate.types import NAMES

_DOTS = 5
"""Names with fewer are tried with the search list first, as the resolv.conf of pods says."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A name that the resolver asks for, and what it gets."""

    name: str
    answer: str


class NameExplained(msgspec.Struct, frozen=True, kw_only=True):
    """What a name means."""

    caller: str
    name: str
    tried: tuple[Tried, ...]
    host: str = ""  # the full name by which it is known; empty: others must know
    addresses: tuple[str, ...] = ()
    stands_for: str = ""
    why: str = ""


def explain_name(mesh: Mesh, proxy: Proxy, name: str) -> NameExplained:
    """What `name` means beside `proxy`, and which object says so. Raises `WrongCall` where it is none."""
    search = (f"{proxy.namespace}.svc.{proxy.domain}", f"svc.{proxy.domain}", proxy.domain)
    (table,) = (
        Translator().generation(mesh, Delta(everything=True)).resources(proxy, NAMES, frozenset({NAME}))
    )
    names = Names(decode(table.body), proxy.namespace, proxy.domain, search)
    found = explained(proxy.name, name, names, search)
    service = _service(mesh, found.host)
    return msgspec.structs.replace(found, why=_why(service, found, proxy)) if service is not None else found


def explained(caller: str, name: str, names: Names, search: tuple[str, ...]) -> NameExplained:
    """What `name` means where `names` are known. Raises `WrongCall` where it is none."""
    if not name.strip(".") or " " in name:
        raise WrongCall(f"{name!r} is no name (hint: dns://reviews)")
    tried: list[Tried] = []
    for each in _asked_for(name.lower(), search):
        found = names.find(each)
        if found is not None:
            tried.append(Tried(name=each, answer=found.why))
            return NameExplained(
                caller=caller,
                name=name,
                tried=tuple(tried),
                host=found.host,
                addresses=found.addresses,
                stands_for=found.target,
            )
        tried.append(Tried(name=each, answer="asked of the pod's own DNS servers"))
    return NameExplained(caller=caller, name=name, tried=tuple(tried), why="no service that this pod may see")


def text_of(found: NameExplained) -> str:
    """The same in lines."""
    return "\n".join(_lines(found))


def _lines(found: NameExplained) -> Iterator[str]:
    yield click.style(f"{found.caller} → {found.name}", bold=True)
    for each in found.tried:
        yield f"  asks        {each.name}  {click.style(each.answer, dim=True)}"
    if found.host:
        yield f"  means       {click.style(found.host, fg='cyan')}"
    for address in found.addresses:
        yield f"  address     {click.style(address, fg='green')}"
    if found.stands_for:
        yield f"  stands for  {found.stands_for}"
    if found.host and not found.addresses and not found.stands_for:
        yield "  address     none (no error: the name is there)"
    if found.why:
        yield f"  since       {found.why}"


def _asked_for(name: str, search: tuple[str, ...]) -> list[str]:
    """The names that a resolver asks for, one after the other."""
    bare = name.rstrip(".")
    if name.endswith("."):
        return [bare]
    longer = [f"{bare}.{each}" for each in search]
    return [bare, *longer] if bare.count(".") >= _DOTS else [*longer, bare]


def _service(mesh: Mesh, host: str) -> Service | None:
    """The service that is meant, or of which a pod is."""
    by_host = {key.hostname: each for key, each in sorted(mesh.services.items())}
    return by_host.get(Hostname(host)) or by_host.get(Hostname(host.partition(".")[2]))


def _why(service: Service, found: NameExplained, proxy: Proxy) -> str:
    given = bool(found.addresses) and set(found.addresses) <= set(service.given)
    if service.pod_of and given:
        return "it is a pod behind the gateway of its network, so it is given an address here"
    if service.pod_of or service.resolution is Resolution.PASSTHROUGH:
        return "it is headless: these are its ready pods that can be called from here"
    if found.stands_for:
        return f"its ExternalName Service is in {' and '.join(service.clusters)}"
    if service.entry:
        what = "names no addresses, so it is given one" if given else "names them"
        return f"{service.ref} {what}"
    if proxy.cluster in service.clusters:
        return f'this is its own address in cluster "{proxy.cluster}"'
    return f"its Service is in {' and '.join(service.clusters)} only, so it is given an address here"
