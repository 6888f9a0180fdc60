"""The documents that describe the API server, found by their paths: discovery, OpenAPI, keys, version."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from isthmus.lab.apiserver import openapi_v2
from isthmus.lab.apiserver.discovery import Discovery
from isthmus.lab.apiserver.openapi_v2 import OpenApiV2
from isthmus.lab.apiserver.openapi_v3 import OpenApiV3
from isthmus.lab.apiserver.schema import Schemas
from isthmus.lab.apiserver.types import Types

Json = dict[str, Any]

VERSION: Json = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.0+isthmus",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "2025-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "cpython",
    "platform": "linux/amd64",
}
_AGGREGATED = re.compile(r"g=apidiscovery\.k8s\.io;v=(v2(?:beta1)?);as=APIGroupDiscoveryList")


@dataclass(frozen=True, slots=True)
class Document:
    """What to answer: the body and its type. The tag changes with the body."""

    body: bytes
    content_type: str = "application/json"

    @property
    def tag(self) -> str:
        """For the header `ETag`."""
        return f'"{hashlib.sha256(self.body).hexdigest().upper()}"'


class Documents:
    """All documents of one API server, which clients reach at `address` (`10.0.0.1:6443`)."""

    def __init__(
        self, types: Types, schemas: Schemas, address: str, keys: Callable[[str], Json | None]
    ) -> None:
        self._address = address
        self._keys = keys
        self._discovery = Discovery(types)
        self._v2 = OpenApiV2(types, schemas)
        self._v3 = OpenApiV3(types, schemas)

    def find(self, path: str, accept: str = "") -> Document | None:
        """The document at `path` in the form that the header `Accept` asks for; `None` where there is none."""
        parts = path.strip("/").split("/")
        match parts:
            case ["version"]:
                return _json(VERSION)
            case ["api" | "apis" as root]:
                return self._root(root, accept)
            case ["api", version]:
                return _maybe(self._discovery.resources("", version))
            case ["apis", group]:
                return _maybe(self._discovery.group(group))
            case ["apis", group, version]:
                return _maybe(self._discovery.resources(group, version))
            case ["openapi", "v2"]:
                return self._openapi_v2(accept)
            case ["openapi", "v3"]:
                return _json(self._v3.index())
            case ["openapi", "v3", *place]:
                body = self._v3.document("/".join(place))
                return Document(body) if body is not None else None
            case _:
                return _maybe(self._keys(path))

    def _root(self, root: str, accept: str) -> Document:
        asked = _AGGREGATED.search(accept.replace(" ", ""))
        if asked:
            content = self._discovery.aggregated(core=root == "api", version=asked[1])
            kind = f"application/json;g=apidiscovery.k8s.io;v={asked[1]};as=APIGroupDiscoveryList"
            return Document(msgspec.json.encode(content), kind)
        if root == "api":
            return _json(self._discovery.api_versions(self._address))
        return _json(self._discovery.groups())

    def _openapi_v2(self, accept: str) -> Document:
        if openapi_v2.PROTOBUF in accept:
            return Document(self._v2.document(protobuf=True), openapi_v2.PROTOBUF_ANSWER)
        return Document(self._v2.document(protobuf=False))


def _json(content: Json) -> Document:
    return Document(msgspec.json.encode(content))


def _maybe(content: Json | None) -> Document | None:
    return _json(content) if content is not None else None
