"""One Cluster object of the registry directory, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import msgspec

from isthmus.kube.errors import InvalidKubeconfig
from isthmus.kube.kubeconfig import Access, from_file

_API_VERSION = "clusterregistry.k8s.io/v1alpha1"
_PREFIX = "config.istio.io/"
_PLATFORMS = ("Kubernetes", "Consul", "Eureka", "CloudFoundry")
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"", "0", "f", "F", "FALSE", "false", "False"})

Wrong = tuple[str, str]
"""The path in the object, and what is wrong there with the mend."""


class ClusterFile(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster as its file describes it."""

    name: str
    pilot_endpoint: str
    access: Access
    is_store: bool
    file: str = ""

    def found_in(self, file: str) -> Self:
        return msgspec.structs.replace(self, file=file)


def read_cluster(document: object, directory: Path) -> tuple[ClusterFile | None, list[Wrong]]:
    """The cluster in `document`, or None and everything that is wrong with it."""
    if not isinstance(document, dict):
        return None, [("$", "is no object (hint: it starts with `apiVersion` and `kind: Cluster`)")]
    wrong = _wrong_kind(document)
    if wrong:
        return None, wrong
    metadata = document.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    annotations = metadata.get("annotations")
    annotations = annotations if isinstance(annotations, dict) else {}
    name = str(metadata.get("name") or "")
    if not name:
        wrong.append(("$.metadata.name", "is missing (hint: the name of the cluster in the mesh)"))
    said = {key: str(value) for key, value in annotations.items()}
    wrong += _wrong_platform(said) + _wrong_endpoint(said) + _wrong_store(said) + _wrong_place(metadata)
    access, wrong_access = _access(said, directory)
    wrong += wrong_access
    if wrong or access is None:
        return None, wrong
    return (
        ClusterFile(
            name=name,
            pilot_endpoint=said[_PREFIX + "pilotEndpoint"],
            access=access,
            is_store=said.get(_PREFIX + "pilotCfgStore", "") in _TRUE,
        ),
        [],
    )


def _at(annotation: str) -> str:
    return f"$.metadata.annotations[{_PREFIX}{annotation}]"


def _wrong_kind(document: dict[str, object]) -> list[Wrong]:
    kind, version = document.get("kind"), document.get("apiVersion")
    wrong = []
    if kind != "Cluster":
        wrong.append(("$.kind", f"is {kind!r} (hint: only `kind: Cluster` belongs here)"))
    if version != _API_VERSION:
        wrong.append(("$.apiVersion", f"is {version!r} (hint: {_API_VERSION})"))
    return wrong


def _wrong_place(metadata: dict[str, object]) -> list[Wrong]:
    # The sample of Istio's first document has it there, where nobody reads it.
    if "spec" in metadata:
        return [("$.metadata.spec", "is at the wrong place (hint: indent `spec` as far as `metadata`)")]
    return []


def _wrong_platform(said: dict[str, str]) -> list[Wrong]:
    platform = said.get(_PREFIX + "platform")
    if platform == "Kubernetes":
        return []
    if platform in _PLATFORMS:
        return [(_at("platform"), f"{platform} is not supported (hint: Kubernetes is)")]
    return [(_at("platform"), f"is {platform!r} (hint: Kubernetes)")]


def _wrong_endpoint(said: dict[str, str]) -> list[Wrong]:
    endpoint = said.get(_PREFIX + "pilotEndpoint", "")
    host, colon, port = endpoint.rpartition(":")
    if host and colon and port.isdigit() and 0 < int(port) < 65536:
        return []
    return [
        (_at("pilotEndpoint"), f"is {endpoint!r} (hint: address:port of the Pilot that owns the cluster)")
    ]


def _wrong_store(said: dict[str, str]) -> list[Wrong]:
    text = said.get(_PREFIX + "pilotCfgStore", "")
    if text in _TRUE | _FALSE:
        return []
    return [(_at("pilotCfgStore"), f'is {text!r} (hint: "true" or "false")')]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long, a folder that we may not enter
        return False


def _access(said: dict[str, str], directory: Path) -> tuple[Access | None, list[Wrong]]:
    at = _at("accessConfigFile")
    name = said.get(_PREFIX + "accessConfigFile", "")
    if not name:
        return None, [(at, "is missing (hint: the name of a kubeconfig beside this file)")]
    path = (directory / name).absolute()
    if ".." in Path(name).parts or not path.is_relative_to(directory.absolute()):
        return None, [
            (at, f"{name!r} lies outside the directory (hint: put the kubeconfig beside this file)")
        ]
    if not _is_file(path):
        return None, [(at, f"{name!r} is not there (hint: put the kubeconfig beside this file)")]
    try:
        return from_file(path), []
    except InvalidKubeconfig as error:
        return None, [(f"{at} → {name}:{error.path}", error.message)]
