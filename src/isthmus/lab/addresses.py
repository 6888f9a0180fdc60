"""Which pod has which address: a pool that hands out the one longest unused."""

from __future__ import annotations

import ipaddress


class AddressPoolEmpty(Exception):
    """Every address of the range is in use."""


class AddressPool:
    """The addresses of one range; the first (the network), the second and the last are kept back."""

    def __init__(self, cidr: str) -> None:
        self._range = ipaddress.ip_network(cidr)
        self._next = 2
        self._taken: set[int] = set()

    def take(self) -> str:
        """A free address. One that was given back comes again only after all others had their turn."""
        usable = self._range.num_addresses - 3
        for _ in range(usable):
            offset = self._next
            self._next = 2 + (self._next - 1) % usable
            if offset not in self._taken:
                self._taken.add(offset)
                return str(self._range[offset])
        raise AddressPoolEmpty(f"all {usable} addresses of {self._range} are in use (hint: remove pods)")

    def give_back(self, address: str) -> None:
        """`address` is free again; nothing if it was."""
        self._taken.discard(int(ipaddress.ip_address(address)) - int(self._range.network_address))
