"""Calls as people write them: a URL, and from whom."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from isthmus.kit.ip import is_address
from isthmus.model.families import BOTH, Families, spoken
from isthmus.model.mesh import Mesh
from isthmus.model.names import FLAT, ClusterId, Hostname, NetworkId
from isthmus.model.service import Protocol, Resolution, Service
from isthmus.model.visibility import is_visible
from isthmus.translate.trace.call import Call, Hello, Request, Speech

_SPEECH = {
    "http": Speech.HTTP1,
    "ws": Speech.HTTP1,
    "h2c": Speech.HTTP2,
    "grpc": Speech.HTTP2,
    "mysql": Speech.SILENCE,
    "udp": Speech.DATAGRAMS,
}
_USUAL_PORTS = {"http": 80, "ws": 80, "h2c": 80, "grpc": 80, "https": 443, "tls": 443, "mysql": 3306}
_TLS = {"https", "tls"}


class WrongCall(ValueError):
    """What is asked cannot be a call; the message says why."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What is called, as it is written: a URL and what a request says beside it."""

    url: str
    method: str = "GET"
    path: str = ""  # in place of the URL's
    host: str = ""  # in place of the URL's
    headers: tuple[tuple[str, str], ...] = ()
    address: str = ""  # which the caller's agent gives the host, where it was asked


class Resolved(NamedTuple):
    """The address that a caller's DNS gives it for a name; empty where only DNS outside the mesh knows."""

    address: str
    service: Service | None
    note: str = ""


class Caller(NamedTuple):
    """From where a name is looked up."""

    cluster: ClusterId
    namespace: str
    families: Families = BOTH
    network: NetworkId = FLAT

    def addresses(self, service: Service) -> list[str]:
        """The single addresses by which it can call the service."""
        return [each for each in spoken(service.addresses(self.cluster), self.families) if "/" not in each]


def call_of(target: Target, resolved: Resolved) -> Call:
    """The call to `target`. Raises `WrongCall` where the URL is none."""
    scheme, host, port = parts_of(target.url)
    if port is None:
        every = resolved.service.ports if resolved.service else ()
        ports = [port for port in every if (port.protocol is Protocol.UDP) == (scheme == "udp")]
        port = _USUAL_PORTS.get(scheme) or (ports[0].number if len(ports) == 1 else None)
    if port is None:
        raise WrongCall(f"{target.url}: which port? (hint: {scheme}://{host}:PORT)")
    if scheme in _TLS:
        alpn = ("h2", "http/1.1") if scheme == "https" else ()
        hello = Hello(sni="" if is_address(host) else host, alpn=alpn)
        # Whoever ends the TLS sees the request in it; for all others it is bytes.
        inside = _request(target, scheme, port) if scheme == "https" else None
        return Call(address=resolved.address, port=port, speech=Speech.BYTES, request=inside, hello=hello)
    speech = _SPEECH.get(scheme, Speech.BYTES)
    request = _request(target, scheme, port) if speech.is_http else None
    return Call(address=resolved.address, port=port, speech=speech, request=request)


def unserved(call: Call, service: Service | None) -> str:
    """What to know where a service has no such port as is called; empty where it has."""
    of_speech = [
        each.number
        for each in (service.ports if service is not None else ())
        if (each.protocol is Protocol.UDP) == (call.speech is Speech.DATAGRAMS)
    ]
    if service is None or call.port in of_speech:
        return ""
    ports = ", ".join(map(str, of_speech)) or "none of this kind"
    return f"{service.key.name} has no port {call.port}: no rule of the mesh holds there (hint: its ports: {ports})"


def parts_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a URL. Raises `WrongCall`."""
    try:
        split = urlsplit(url if "://" in url else f"http://{url}")
        host, port = split.hostname or "", split.port
    except ValueError as error:
        raise WrongCall(f"{url}: {error}") from error
    if not host:
        raise WrongCall(f"{url}: has no host (hint: http://reviews:9080/reviews/0)")
    return split.scheme, host, port


def _request(target: Target, scheme: str, port: int) -> Request:
    split = urlsplit(target.url if "://" in target.url else f"http://{target.url}")
    path = target.path or (split.path or "/") + (f"?{split.query}" if split.query else "")
    host = target.host or split.netloc.rpartition("@")[2]
    host = host.removesuffix(f":{port}") if port == _USUAL_PORTS.get(scheme) else host
    own = tuple((name.lower(), value) for name, value in target.headers)
    if scheme == "grpc":
        own = (("content-type", "application/grpc"), *own)
    method = "POST" if scheme == "grpc" and target.method == "GET" else target.method
    said = "https" if scheme == "https" else "http"
    return Request(method=method, host=host, path=path, scheme=said, headers=own)


def resolve_name(mesh: Mesh, caller: Caller, host: str) -> Resolved:
    """What the DNS of the caller's cluster says of `host`: Services by their names in the order of its search list."""
    if is_address(host):
        known = [each for each in mesh.services.values() if host in _all_addresses(each)]
        # Elsewhere the address may be another service's.
        return Resolved(
            host, max(known, key=lambda each: host in each.addresses(caller.cluster), default=None)
        )
    domain = mesh.settings.domain
    bare = host.rstrip(".")
    tried = [f"{bare}.{caller.namespace}.svc.{domain}", f"{bare}.svc.{domain}", f"{bare}.{domain}", bare]
    by_host = {each.key.hostname: each for each in mesh.services.values() if _is_answered(mesh, each, caller)}
    for name in tried[3:] if host.endswith(".") else tried:
        service = by_host.get(Hostname(name))
        if service is not None:
            return _address_of(mesh, caller, service)
        pod, _, of = name.partition(".")
        headless = by_host.get(Hostname(of))
        if headless is not None and headless.resolution is Resolution.PASSTHROUGH:
            return _of_pod(mesh, headless, pod)
    near = difflib.get_close_matches(bare, [each.key.name for each in by_host.values()], 1, 0.8)
    hint = f" (hint: did you mean {near[0]}?)" if near else ""
    return Resolved(
        "", None, f"{host} is no Service of the mesh: its address is for DNS outside to say{hint}"
    )


def _is_answered(mesh: Mesh, service: Service, caller: Caller) -> bool:
    """Whether a DNS of the caller knows it: that of the cluster all Services, the agent's the entries it may see.

    The agent also knows pods of headless Services that are behind gateways, by their names.
    """
    if service.pod_of:
        return mesh.networks.entered_from(caller.network).issuperset(mesh.backings[service.key].networks)
    return not service.entry or is_visible(service.export_to, service.key.namespace, caller.namespace)


_FOR_DNS = "its ServiceEntry names no address: which one is called is for DNS outside to say"


def _address_of(mesh: Mesh, caller: Caller, service: Service) -> Resolved:
    if service.alias_of:
        meant = next(each for each in mesh.services.values() if each.key.hostname == service.alias_of)
        resolved = _address_of(mesh, caller, meant)
        note = f"{service.key.name} is another name of {service.alias_of}"
        return resolved._replace(note=f"{note}; {resolved.note}" if resolved.note else note)
    missing = ""
    if service.pod_of:
        missing = f"behind the gateway of its network: the agent gives {service.name} an address here"
    elif caller.cluster not in service.clusters:
        where = " and ".join(service.clusters)
        missing = (
            f"its Service is in {where} only: the agent gives {service.key.name} an address here"
            if service.given
            else f'the DNS of cluster "{caller.cluster}" has no {service.key.name}: its Service is in {where} only'
        )
    match service.resolution:
        case _ if service.entry:
            called = caller.addresses(service)
            return Resolved(called[0] if called else "", service, "" if called else _FOR_DNS)
        case Resolution.DNS | Resolution.DNS_ROUND_ROBIN | Resolution.NONE:
            return Resolved("", service, f"{service.key.name} stands for {service.external_name}")
        case Resolution.PASSTHROUGH:
            shards = mesh.shards.get(service.key, {})
            near = shards.get(caller.cluster)
            every = [one.spoken(caller.families) for one in near.endpoints] if near else []
            found = [one.address for one in every if one is not None]
            if not found and (far := next(_far_pods(mesh, service, caller), None)):
                return _address_of(mesh, caller, far)
            note = missing or ("" if found else f"{service.key.name} has no endpoint in {caller.cluster}")
            return Resolved(found[0] if found else "", service, note)
        case Resolution.ENDPOINTS:
            return Resolved(next(iter(caller.addresses(service)), ""), service, missing)


def _far_pods(mesh: Mesh, service: Service, caller: Caller) -> Iterator[Service]:
    """The pods of a headless service that the caller's agent gives addresses."""
    pods = (each for _, each in sorted(mesh.services.items()) if each.pod_of == service.key)
    return (each for each in pods if _is_answered(mesh, each, caller))


def _of_pod(mesh: Mesh, service: Service, pod: str) -> Resolved:
    for shard in mesh.shards.get(service.key, {}).values():
        for one in shard.endpoints:
            if one.workload == pod:
                return Resolved(one.address, service)
    return Resolved("", service, f"no endpoint of {service.key.name} is called {pod}")


def _all_addresses(service: Service) -> list[str]:
    return [*service.given, *(address for _, several in service.vips for address in several)]


def hosts_of(mesh: Mesh, caller: Caller, resolved: Resolved, host: str) -> tuple[str, ...]:
    """The full names that `host` may stand for: that of the service it is, or all that it could be."""
    if resolved.service is not None:
        return (resolved.service.key.hostname,)
    domain, bare = mesh.settings.domain, host.rstrip(".")
    return (f"{bare}.{caller.namespace}.svc.{domain}", f"{bare}.svc.{domain}", f"{bare}.{domain}", bare)
