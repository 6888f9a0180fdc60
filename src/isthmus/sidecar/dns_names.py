"""What a name means in a pod: full, short, by the search list, or under a wildcard. A value; no I/O."""

from __future__ import annotations

from typing import NamedTuple

from isthmus.model.name_table import NameTable

_MARK = "*."


class Meaning(NamedTuple):
    """What a name means: addresses, or another name to be asked for instead."""

    host: str  # as the table calls it
    addresses: tuple[str, ...] = ()
    target: str = ""
    why: str = ""


class Names:
    """The names of one pod: what Pilot's table tells, as it is called in the pod's namespace."""

    def __init__(
        self,
        table: NameTable,
        namespace: str = "default",
        domain: str = "cluster.local",
        search: tuple[str, ...] = (),
    ) -> None:
        self._table = table
        self._services = f".svc.{domain}"
        self._namespace = namespace
        self._search = tuple(f".{each}" for each in search)
        self._wild = {host[len(_MARK) :] for host in table.names if host.startswith(_MARK)}

    def find(self, name: str) -> Meaning | None:
        """What `name` means, in lower case and without a last dot; None where only others may know."""
        return (
            self._exact(name, "its full name")
            or self._short(name)
            or self._searched(name)
            or self._wildcard(name)
        )

    def _exact(self, name: str, why: str) -> Meaning | None:
        named = self._table.names.get(name)
        if named is not None:
            return Meaning(name, named.addresses, why=why)
        target = self._table.aliases.get(name)
        return Meaning(name, target=target, why=why) if target is not None else None

    def _short(self, name: str) -> Meaning | None:
        """A Service by less than its full name: `a`, `a.ns` or `a.ns.svc`."""
        match name.count("."):
            case 0:
                full = f"{name}.{self._namespace}{self._services}"
            case 1:
                full = name + self._services
            case _:
                full = name.removesuffix(".svc") + self._services
        return self._exact(full, "short for its full name")

    def _searched(self, name: str) -> Meaning | None:
        """A full host name that a resolver first tries with a domain of its search list behind it.

        Not so the short ones: before such a domain, `a.b` may be a pod of a headless service here.
        """
        for each in self._search:
            host = name.removesuffix(each)
            if host != name and "." in host:
                found = self._exact(host, f"{each[1:]} behind it is of the search list")
                if found is not None:
                    return found
        return None

    def _wildcard(self, name: str) -> Meaning | None:
        """The nearest wildcard above the name."""
        rest = name
        while self._wild and "." in rest:
            rest = rest.partition(".")[2]
            if rest in self._wild:
                named = self._table.names[_MARK + rest]
                return Meaning(_MARK + rest, named.addresses, why="under a wildcard")
        return None
