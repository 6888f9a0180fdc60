"""The roots by which two Envoys believe others, compared: what one holds and the other does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from isthmus.console.envoy_parts import section
from isthmus.console.envoy_secrets import certificates_in
from isthmus.kit import date
from isthmus.kit.certified import Certified, all_certified
from isthmus.translate.names import ROOT_SECRET

Json = dict[str, Any]
_HELD = ("dynamic_active_secrets", "static_secrets")
_CUT = 16  # characters of a digest that tell roots apart for people


class RootRow(NamedTuple):
    """One root, for one trust domain (empty: for all), and which of the two hold it."""

    domain: str
    root: Certified
    first: bool
    second: bool

    @property
    def text(self) -> tuple[str, ...]:
        """As people read it."""
        held = [("yes" if each else "no") for each in (self.first, self.second)]
        return (self.root.name, self.domain or "-", self.root.sha256[:_CUT], date.show(self.root.end), *held)


def compared(first: Json, second: Json) -> list[RootRow]:
    """A row for each root that one of the two dumps has. Raises `ValueError` where one has none at all."""
    one, other = _roots(first), _roots(second)
    for held, which in ((one, "first"), (other, "second")):
        if not held:
            raise ValueError(
                f"the {which} pod's Envoy holds no roots (hint: isthmus proxy config secret POD)"
            )
    return [
        RootRow(key[0], (one.get(key) or other[key]), key in one, key in other)
        for key in sorted(one.keys() | other.keys())
    ]


def is_same(rows: list[RootRow]) -> bool:
    """Whether both hold the same."""
    return all(each.first and each.second for each in rows)


def _roots(dump: Json) -> dict[tuple[str, str], Certified]:
    found = {}
    secrets = section(dump, "SecretsConfigDump")
    for entry in (each for key in _HELD for each in secrets.get(key, [])):
        secret = entry.get("secret", {})
        if ROOT_SECRET in (entry.get("name"), secret.get("name")):
            for domain, source in _sources(secret.get("validation_context", {})):
                for each in all_certified(certificates_in(source)):
                    found[domain, each.sha256] = each
    return found


def _sources(context: Json) -> Iterator[tuple[str, Json]]:
    yield "", context.get("trusted_ca", {})
    by_domain = context.get("custom_validator_config", {}).get("typed_config", {}).get("trust_domains", [])
    for each in by_domain:
        yield str(each.get("name", "")), each.get("trust_bundle", {})
