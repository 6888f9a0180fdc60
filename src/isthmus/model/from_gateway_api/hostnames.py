"""Hosts that listeners and routes have in common. Source: Gateway API reference, Hostname; empty means all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

ALL = ""


def covers(wide: str, narrow: str) -> bool:
    """Whether every host that `narrow` means is meant by `wide`; `*.a.com` means `x.y.a.com`, not `a.com`."""
    if wide in {ALL, narrow}:
        return True
    return wide.startswith("*.") and narrow.endswith(wide[1:]) and len(narrow) > len(wide) - 1


def common(one: str, other: str) -> str | None:
    """The hosts that both mean; None where there are none."""
    if covers(one, other):
        return other
    return one if covers(other, one) else None


def covering(host: str) -> Iterator[str]:
    """All that covers `host`, itself first and everything last: what to look up in place of asking each."""
    yield host
    rest = host.removeprefix("*.")
    while "." in rest:
        rest = rest.partition(".")[2]
        yield f"*.{rest}"
    if host != ALL:
        yield ALL


def meets(host: str, others: Collection[str]) -> bool:
    """Whether `host` has anything in common with any of `others`."""
    if any(each in others for each in covering(host)):
        return True
    return (host == ALL or host.startswith("*.")) and any(covers(host, other) for other in others)


def shared(listener: str, route: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The hosts of a route that a listener lets in, each with the route's own word for it.

    Where several of the route's hosts come to the same, the most specific word is kept.
    """
    found: dict[str, str] = {}
    for host in sorted(route or (ALL,), key=specificity):
        both = common(listener, host)
        if both is not None:
            found.setdefault(both, host)
    return tuple(sorted(found.items()))


def specificity(host: str) -> tuple[int, int, str]:
    """Sorts the most specific host first: exact before wildcard, then the longer.

    Source: HTTPRoute reference, hostnames: "characters in a matching non-wildcard hostname", then "in a
    matching hostname".
    """
    exact = 0 if host.startswith("*") else len(host)
    return -exact, -len(host), host
