"""What every Kubernetes object has, and what the house knows of a kind of objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec


class Ref(NamedTuple):
    """Which object: its kind, namespace (empty for what belongs to the whole cluster) and name.

    The kind is `Kind.ref_kind`: `Gateway` is Istio's, `Gateway.gateway.networking.k8s.io` that of the Gateway API.
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {place}"


class Meta(msgspec.Struct, frozen=True, rename="camel", gc=False):
    """The part of `metadata` that the mesh reads."""

    name: str = ""
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None


class Object(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A Kubernetes object, decoded to what the mesh reads of it. Each kind is a subclass.

    Equal when all that the mesh reads is equal but for `resourceVersion`: see `api.decode`.
    """

    metadata: Meta = Meta()


class Part(msgspec.Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A part of a configuration object's spec: unknown fields are refused."""


def structs_at(value: object, at: str) -> Iterator[tuple[str, msgspec.Struct]]:
    """The objects and parts that a value is, or that its lists and maps have, by their paths; none below them."""
    if isinstance(value, msgspec.Struct):
        yield at, value
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            yield from structs_at(each, f"{at}[{index}]")
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from structs_at(each, f"{at}.{key}")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of objects: its names in the Kubernetes API and the type it decodes to."""

    group: str  # empty for the core group
    versions: tuple[str, ...]  # the one we ask for first; all decode alike
    name: str
    plural: str
    type: type[Object]
    namespaced: bool = True
    is_config: bool = False  # configuration of the mesh, read from the configuration cluster only
    short_names: tuple[str, ...] = ()
    shares_name: bool = False  # with a kind of another group that had it first

    @property
    def ref_kind(self) -> str:
        """By which refs name the kind: kubectl's `Kind.group` where `Kind` alone is another's."""
        return f"{self.name}.{self.group}" if self.shares_name else self.name

    @property
    def api_version(self) -> str:
        """`v1`, or `networking.istio.io/v1`."""
        return f"{self.group}/{self.versions[0]}" if self.group else self.versions[0]

    def in_version(self, version: str) -> Kind:
        """The same kind, asked for in `version` first."""
        return replace(self, versions=(version, *(each for each in self.versions if each != version)))

    @property
    def in_next_version(self) -> Kind:
        """The same kind, asked for in the version after the first; that one comes last then."""
        return replace(self, versions=(*self.versions[1:], self.versions[0]))

    def ref(self, meta: Meta) -> Ref:
        return Ref(self.ref_kind, meta.namespace, meta.name)
