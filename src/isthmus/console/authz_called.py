"""Who calls whom, as people write it for `isthmus authz check`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from isthmus.console.calls import WrongCall
from isthmus.console.explain_arrivals import SIDECAR
from isthmus.console.named_pods import workload_named
from isthmus.kit.ip import is_address
from isthmus.model.identity import SpiffeId
from isthmus.model.mesh import Mesh
from isthmus.model.names import ClusterId, Hostname, kubernetes_hostname
from isthmus.model.service import Service
from isthmus.model.workload import Workload
from isthmus.translate.trace.call import Request

OUTSIDE = "outside"
_SPIFFE, _ACCOUNT = "spiffe://", "sa/"


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked: may this caller make this call?"""

    caller: str
    to: str
    request: Request | None = None  # None: bytes
    address: str = ""  # of the caller, in place of its own
    cluster: str = ""  # the caller's
    in_plain_text: bool = False


class Who(NamedTuple):
    """A caller: what its certificate says, and where it stands; empty is what is not known, or not there."""

    name: str
    identity: str = ""
    cluster: str = ""
    trust_domain: str = ""
    address: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = [self.identity or "no certificate"]
        said += [f"cluster {self.cluster}"] if self.cluster else []
        said += [f"at {self.address}"] if self.address else []
        return f"{self.name} ({', '.join(said)})"


class Called(NamedTuple):
    """A workload, and the port on which it listens for what is called."""

    workload: Workload
    port: int
    host: str  # that requests name
    server_name: str  # that TLS of the mesh names


def caller_of(mesh: Mesh, asking: Asking) -> Who:
    """Who `asking.caller` is. Raises `WrongCall` where there is nobody of that name, or it is no identity."""
    if asking.address and not is_address(asking.address):
        raise WrongCall(f"{asking.address} is no address (hint: --source-ip 203.0.113.9)")
    text, domain = asking.caller, mesh.settings.domain_in(ClusterId(asking.cluster))
    if text == OUTSIDE:
        return Who(OUTSIDE, address=asking.address)
    if text.startswith(_ACCOUNT):
        namespace, slash, account = text.removeprefix(_ACCOUNT).partition("/")
        if not slash or not namespace or not account or "/" in account:
            raise WrongCall(f"{text} is no service account (hint: sa/NAMESPACE/NAME)")
        text = str(SpiffeId(domain, namespace, account))
    if text.startswith(_SPIFFE):
        try:
            identity = SpiffeId.parse(text)
        except ValueError as error:
            raise WrongCall(str(error)) from error
        return Who(asking.caller, text, asking.cluster, identity.trust_domain, asking.address)
    return _pod(workload_named(mesh, text, asking.cluster), asking)


def _pod(found: Workload, asking: Asking) -> Who:
    name, address = f"{found.namespace}/{found.name}", asking.address or found.address
    if SIDECAR not in found.labels:
        note = f"{name} has no sidecar: it calls in plain text and nobody knows who it is"
        return Who(name, cluster="", address=address, notes=(note,))
    return Who(name, str(found.identity), found.cluster, found.identity.trust_domain, address)


def called(mesh: Mesh, text: str) -> list[Called]:
    """The workloads that `NAME[:PORT]` means: all behind a Service, or a pod. Raises `WrongCall`."""
    name, port = _parts(text)
    service = _service(mesh, name)
    if service is not None:
        return _behind(mesh, service, port, name)
    workload = workload_named(mesh, name)
    return [_in_pod(workload, port, name)]


def _parts(text: str) -> tuple[str, int | None]:
    name, colon, number = text.rpartition(":")
    if not colon:
        return text, None
    if not number.isdigit() or not 0 < int(number) < 65536:
        raise WrongCall(f"{text}: {number!r} is no port (hint: reviews:9080)")
    return name, int(number)


def _service(mesh: Mesh, name: str) -> Service | None:
    """The Service of that name; without a namespace that in the default one, else the only one."""
    domain = mesh.settings.domain
    by_host = {each.key.hostname: each for each in mesh.services.values()}
    short, _, namespace = name.partition(".")
    near = kubernetes_hostname(short, namespace.partition(".")[0] or "default", domain)
    found = by_host.get(Hostname(name)) or by_host.get(near)
    if found is not None:
        return found
    alike = [each for each in mesh.services.values() if each.name == name]
    return alike[0] if len(alike) == 1 else None


def _behind(mesh: Mesh, service: Service, port: int | None, name: str) -> list[Called]:
    numbers = [each.number for each in service.ports]
    if port is None and len(numbers) == 1:
        port = numbers[0]
    if port not in numbers:
        which = ", ".join(map(str, numbers)) or "none"
        raise WrongCall(f"{name}: which port? (hint: {name}:PORT; its ports are {which})")
    found = [
        Called(workload, each.target_port, f"{name}:{port}", _server_name(service, port))
        for _, workload in sorted(mesh.workloads.items())
        for each in workload.serves
        if each.service == service.key and each.port.number == port
    ]
    if not found:
        raise WrongCall(f"{name}:{port} has no pod that serves it")
    return found


def _server_name(service: Service, port: int) -> str:
    return f"outbound_.{port}_._.{service.key.hostname}"


def _in_pod(workload: Workload, port: int | None, name: str) -> Called:
    """By the port that it listens on, else by that of a Service that it serves."""
    own = sorted({each.target_port for each in workload.serves})
    if port is None and len(own) == 1:
        port = own[0]
    if port is None:
        which = ", ".join(map(str, own)) or "of no Service"
        raise WrongCall(f"{name}: which port? (hint: {name}:PORT; its ports are {which})")
    target = port if port in own else next(_targets(workload, port), port)
    return Called(workload, target, f"{workload.name}:{port}", "")


def _targets(workload: Workload, port: int) -> Iterator[int]:
    return (each.target_port for each in workload.serves if each.port.number == port)
