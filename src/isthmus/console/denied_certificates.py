"""Certificates by their serial numbers: as those know them who hold or have issued them, as a log or a file does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from isthmus.console.held_certificates import HeldInCluster
from isthmus.kit import x509
from isthmus.model.identity import SpiffeId

_SHORTEST = 8
"""Digits of a serial number by which a certificate is found."""


class Known(NamedTuple):
    """A certificate of a workload: all that is to be known of it to deny it."""

    serial: str
    sha256: str
    identity: str
    end: float
    pod: str = ""
    """Which holds it now, with its namespace."""


class _Line(msgspec.Struct):
    """What a line of the audit log, or of Citadel's log, says of a certificate."""

    serial: str
    sha256: str
    identity: str
    until: datetime


def held(clusters: Iterable[HeldInCluster]) -> Iterator[Known]:
    """Those that proxies hold, and that Citadels remember to have issued."""
    for cluster in clusters:
        for proxy in cluster.proxies:
            if proxy.said and proxy.said.chain:
                leaf = proxy.said.chain[0]
                pod = f"{proxy.namespace}/{proxy.pod}"
                yield Known(leaf.serial, leaf.sha256, proxy.said.identity, leaf.end, pod)
        for citadel in cluster.citadels:
            for each in citadel.said.issued if citadel.said else ():
                yield Known(each.serial, each.sha256, each.identity, each.end)
                for one in each.earlier:
                    yield Known(one.serial, one.sha256, each.identity, one.end)


def logged(lines: Iterable[str]) -> Iterator[Known]:
    """Those of which lines of a log tell; other lines are passed over."""
    for line in lines:
        try:
            said = msgspec.json.decode(line, type=_Line)
        except msgspec.MsgspecError:
            continue
        yield Known(said.serial, said.sha256, said.identity, said.until.timestamp())


def in_file(pem: bytes) -> Known:
    """The first certificate in `pem`. Raises `ValueError` where it is none of a workload."""
    leaf = x509.load_certificate(pem)
    identities = x509.names(leaf).uris
    if len(identities) != 1:
        raise ValueError(f"it names {', '.join(identities) or 'nobody'} (hint: a workload has one identity)")
    identity = str(SpiffeId.parse(identities[0]))
    return Known(x509.serial(leaf), x509.fingerprint(leaf), identity, x509.life(leaf).end)


def found(text: str, known: Sequence[Known]) -> Known:
    """The one whose serial number is `text`, or begins with it. Raises `LookupError`."""
    wanted = digits(text)
    if len(wanted) < _SHORTEST:
        raise LookupError(f"serial {text!r}: too short (hint: at least {_SHORTEST} digits of it)")
    # One that is held is known to its Citadel as well; who holds it counts.
    by_pod = sorted(known, key=lambda each: bool(each.pod))
    matching = {each.serial: each for each in by_pod if each.sha256 and each.serial.startswith(wanted)}
    if not matching:
        raise LookupError(
            f"serial {text!r}: nobody holds it, and no Citadel remembers it "
            "(hint: --certificate FILE, or --log FILE with the line of Citadel's log that tells of it)"
        )
    if len(matching) > 1 and wanted not in matching:
        raise LookupError(f"serial {text!r}: of several, {', '.join(sorted(matching))} (hint: more digits)")
    return matching.get(wanted) or next(iter(matching.values()))


def digits(text: str) -> str:
    """A serial number as we write it: openssl has colons, and zeros before it."""
    return text.lower().replace(":", "").removeprefix("0x").lstrip("0")
