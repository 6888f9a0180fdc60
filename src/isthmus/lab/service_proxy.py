"""Cluster IPs: what kube-proxy does, in the router all pods of a cluster are routed through.

`ruleset` is a pure function from services to nftables text, which replaces all rules before at once.
"""

from __future__ import annotations

import asyncio
import ipaddress
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.log import log
from isthmus.lab.netns import NetworkNamespace, run_in
from isthmus.lab.programs import program

QUIET_S = 0.02
_TABLE = "isthmus_services"
_ADDRESS = {"ip": "ipv4_addr", "ip6": "ipv6_addr"}
_PLAIN = str.maketrans(".:", "__")
_CHUNK = 150  # services in one transaction: an ordinary user may send the kernel only about 200 KiB at once


class RulesRefused(Exception):
    """nft did not take the rules; the ones before hold."""


@dataclass(frozen=True, slots=True, order=True)
class ServiceVip:
    """One port of a service: where it is called, and the (address, port) pairs that answer.

    `protocol` is "tcp" or "udp". Without backends the caller is refused at once. `address` may be a cluster
    IP, an external one, or the node's with a node port.
    """

    address: str
    protocol: str
    port: int
    backends: tuple[tuple[str, int], ...] = ()


def ruleset(services: Iterable[ServiceVip], service_cidr: str, generation: int = 0) -> tuple[str, ...]:
    """nftables transactions for `services` of one family, that of `service_cidr`, in canonical order.

    They build a table beside that of the generation before; the last one switches from it to this.
    A backend is chosen at random for each new connection. What goes to `service_cidr` and is no service, or
    one without backends, is refused: TCP by a reset, the rest by ICMP port unreachable.
    """
    family = "ip6" if ":" in service_cidr else "ip"
    own = (each for each in services if (":" in each.address) == (family == "ip6"))
    ordered = sorted(own, key=lambda each: (int(ipaddress.ip_address(each.address)), each))
    new, old = f"{family} {_TABLE}_{generation % 2}", f"{family} {_TABLE}_{(generation + 1) % 2}"
    chunks = [ordered[at : at + _CHUNK] for at in range(0, len(ordered), _CHUNK)] or [[]]
    texts = [[f"table {new} {{", *_services(chunk, family), "}"] for chunk in chunks]
    texts[0] = [f"table {new}", f"delete table {new}", *texts[0]]
    texts[-1] += [
        f"table {old}",
        f"delete table {old}",
        f"table {new} {{",
        *_hooks(service_cidr, family),
        "}",
    ]
    return tuple("\n".join((*lines, "")) for lines in texts)


def _services(services: list[ServiceVip], family: str) -> list[str]:
    of, key = _ADDRESS[family], f"{_ADDRESS[family]} . inet_proto . inet_service"
    served = [each for each in services if each.backends]
    refused = [each for each in services if not each.backends]
    return [
        *(line for each in served for line in _chain(each, family)),
        *_map("services", f"{key} : verdict", [f"{_key(each)} : goto {_name(each)}" for each in served]),
        *_set("refused", [_key(each) for each in refused], key),
        *_set("own", _own_backends(served), f"{of} . {of}"),
    ]


def _hooks(service_cidr: str, family: str) -> list[str]:
    find = f"{family} daddr . meta l4proto . th dport vmap @services"
    refused = (f"{family} daddr . meta l4proto . th dport @refused", f"{family} daddr {service_cidr}")
    # A reset as well: an ICMP message to a connecting process of the node itself comes too early for it.
    refuse = [
        f"{what} {how}" for what in refused for how in ("meta l4proto tcp reject with tcp reset", "reject")
    ]
    return [
        *_hook("from_pods", "nat hook prerouting priority -100", find),
        *_hook("from_node", "nat hook output priority -100", find),
        # After translation: whatever still goes to a service's address has no backend.
        *_hook("refuse_pods", "filter hook forward priority 0", *refuse),
        *_hook("refuse_to_node", "filter hook input priority 0", *refuse),
        *_hook("refuse_node", "filter hook output priority 0", *refuse),
        # A pod that reaches itself by a service must not see its own address as the caller's.
        *_hook(
            "hairpin",
            "nat hook postrouting priority 100",
            f"ct status dnat {family} saddr . {family} daddr @own masquerade",
        ),
    ]


def _hook(name: str, hook: str, *rules: str) -> list[str]:
    return [
        f"  chain {name} {{",
        f"    type {hook}; policy accept;",
        *(f"    {rule}" for rule in rules),
        "  }",
    ]


def _chain(service: ServiceVip, family: str) -> list[str]:
    backends = sorted(service.backends, key=lambda pair: (int(ipaddress.ip_address(pair[0])), pair[1]))
    if len(backends) == 1:
        ip, port = backends[0]
        to = f"dnat to {f'[{ip}]' if family == 'ip6' else ip}:{port}"
    else:
        choices = ", ".join(f"{number} : {ip} . {port}" for number, (ip, port) in enumerate(backends))
        to = f"dnat {family} to numgen random mod {len(backends)} map {{ {choices} }}"
    return [f"  chain {_name(service)} {{", f"    meta l4proto {service.protocol} {to}", "  }"]


def _map(name: str, kind: str, elements: list[str]) -> list[str]:
    return [f"  map {name} {{", f"    type {kind};", *_elements(elements), "  }"]


def _set(name: str, elements: list[str], kind: str) -> list[str]:
    return [f"  set {name} {{", f"    type {kind};", *_elements(elements), "  }"]


def _elements(elements: list[str]) -> list[str]:
    if not elements:
        return []
    return ["    elements = {", *(f"      {each}," for each in elements), "    }"]


def _own_backends(services: list[ServiceVip]) -> list[str]:
    addresses = {ip for service in services for ip, _ in service.backends}
    return [f"{ip} . {ip}" for ip in sorted(addresses, key=lambda each: int(ipaddress.ip_address(each)))]


def _key(service: ServiceVip) -> str:
    return f"{service.address} . {service.protocol} . {service.port}"


def _name(service: ServiceVip) -> str:
    return f"{service.protocol}_{service.address.translate(_PLAIN)}_{service.port}"


class ServiceProxy:
    """Keeps the rules of one router true to the services last set."""

    def __init__(
        self, router: NetworkNamespace, service_cidrs: Sequence[str], clock: Clock | None = None
    ) -> None:
        self._router = router
        self._service_cidrs = tuple(service_cidrs)
        self._clock = clock or SystemClock()
        self._wanted: frozenset[ServiceVip] = frozenset()
        self._generation = 0
        self._changed = asyncio.Event()
        self._changed.set()
        self._settled = asyncio.Event()

    def set(self, services: Iterable[ServiceVip]) -> None:
        """Serve exactly `services`, as soon as `run` gets to it."""
        wanted = frozenset(services)
        if wanted != self._wanted:
            self._wanted = wanted
            self._settled.clear()
            self._changed.set()

    async def settled(self) -> None:
        """Return when the rules in force are those last set."""
        await self._settled.wait()

    async def run(self) -> None:
        """Apply what is set, changes within `QUIET_S` seconds together, until cancelled."""
        while True:
            await self._changed.wait()
            await self._clock.sleep(QUIET_S)
            self._changed.clear()
            wanted = self._wanted
            self._generation += 1
            for cidr in self._service_cidrs:
                await apply(self._router, *ruleset(wanted, cidr, self._generation))
            log.debug("service rules applied", router=self._router.name, services=len(wanted))
            if not self._changed.is_set():
                self._settled.set()


async def apply(namespace: NetworkNamespace, *transactions: str) -> None:
    """Load nftables `transactions` in `namespace`, each all or nothing, until one is refused.

    Raises `RulesRefused`, `MissingProgram`.
    """
    command = [program("nft"), "-f", "-"]
    for rules in transactions:
        nft = partial(subprocess.run, command, input=rules, capture_output=True, check=False, text=True)
        done = await run_in(namespace, nft)
        if done.returncode != 0:
            raise RulesRefused(f"{namespace.name}: nft: {done.stderr.strip()}")
