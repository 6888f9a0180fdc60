"""A cluster's entry in the registry, wherever the mesh keeps it: read, written, taken out."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Protocol

import msgspec
import yaml

from isthmus.api.core.secret import Secret
from isthmus.api.resource import Kind
from isthmus.console.membership.reader_access import Credential
from isthmus.console.membership.told import CannotGoOn
from isthmus.console.registration import Registration, cluster_object, kubeconfig, write_files
from isthmus.discovery.source_files import read_directory
from isthmus.discovery.source_secrets import LABEL, read_entry
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import KubeError
from isthmus.kube.kubeconfig import Access

_SECRETS = Kind("", ("v1",), "Secret", "secrets", Secret)
CLUSTER = "networking.istio.io/cluster"
"""Annotation of Istio's remote Secrets: the cluster's name."""


def secret_name(cluster: str) -> str:
    """Istio's name for the Secret of one cluster."""
    return f"istio-remote-secret-{cluster}"


class Entries(Protocol):
    """Where one Pilot, or all who share it, read entries."""

    @property
    def place(self) -> str:
        """For people: what an entry is called there."""
        ...

    async def find(self) -> Access | None:
        """How the entry says that the cluster is reached; None where there is none. Raises `KubeError`."""
        ...

    async def put(self, server: str, credential: Credential) -> None:
        """Write the entry, in the place of one that is there. Raises `KubeError`, `CannotGoOn`."""
        ...

    async def remove(self) -> bool:
        """Take the entry out; whether there was one. Raises `KubeError`, `CannotGoOn`."""
        ...


class SecretEntries:
    """In a Secret beside Pilot that is labelled as Istio's are; others in the same Secret are left as they are."""

    def __init__(self, client: Client, namespace: str, cluster: str) -> None:
        self._client, self._namespace, self._cluster = client, namespace, cluster

    @property
    def place(self) -> str:
        return f"secret {self._namespace}/{secret_name(self._cluster)}"

    async def find(self) -> Access | None:
        secret = await self._holder()
        if secret is None:
            return None
        ref = _SECRETS.ref(secret.metadata)
        spec, _ = read_entry(ref, self._cluster, secret.data[self._cluster])
        return spec.access if spec is not None else None

    async def put(self, server: str, credential: Credential) -> None:
        text = yaml.safe_dump(kubeconfig(self._cluster, server, credential), sort_keys=False)
        data = {self._cluster: base64.b64encode(text.encode()).decode()}
        holder = await self._holder()
        if holder is not None:
            await self._client.merge(_SECRETS, self._namespace, holder.metadata.name, {"data": data})
            return
        metadata = {
            "name": secret_name(self._cluster),
            "namespace": self._namespace,
            "labels": {LABEL: "true"},
            "annotations": {CLUSTER: self._cluster},
        }
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
        await self._client.apply(_SECRETS, body, "isthmus-clusters")

    async def remove(self) -> bool:
        holder = await self._holder()
        if holder is None:
            return False
        if len(holder.data) > 1:
            patch = {"data": {self._cluster: None}}
            await self._client.merge(_SECRETS, self._namespace, holder.metadata.name, patch)
        else:
            await self._client.delete(_SECRETS, self._namespace, holder.metadata.name)
        return True

    async def _holder(self) -> Secret | None:
        """The Secret that has the entry: as with Pilot, the first by name."""
        listing = await self._client.list_all(_SECRETS, Scope(self._namespace, labels=f"{LABEL}=true"))
        try:
            found = [msgspec.json.decode(item, type=Secret) for item in listing.items]
        except UNREADABLE as error:
            raise KubeError(f"a secret of {self._client.access.server} cannot be read: {error}") from error
        holders = [each for each in found if self._cluster in each.data]
        return min(holders, key=lambda each: each.metadata.name, default=None)


class DirectoryEntries:
    """In files, as `isthmus clusters add` writes them."""

    def __init__(self, directory: Path, cluster: str, pilot_endpoint: str) -> None:
        self._directory, self._cluster, self._endpoint = directory, cluster, pilot_endpoint

    @property
    def place(self) -> str:
        return str(self._directory / f"{self._cluster}.yaml")

    async def find(self) -> Access | None:
        specs = read_directory(self._directory).specs
        return next((spec.access for spec in specs if spec.id == self._cluster), None)

    async def put(self, server: str, credential: Credential) -> None:
        registration = Registration(name=self._cluster, pilot_endpoint=self._endpoint)
        config = kubeconfig(self._cluster, server, credential)
        try:
            write_files(self._directory, self._cluster, config, cluster_object(registration, server))
        except OSError as error:
            raise CannotGoOn(f"{error.filename or self._directory}: {error.strerror}") from error

    async def remove(self) -> bool:
        # The object first: without its kubeconfig it would be a finding for a moment.
        files = [self._directory / f"{self._cluster}.{end}" for end in ("yaml", "kubeconfig")]
        was_there = files[0].exists()
        try:
            for file in files:
                file.unlink(missing_ok=True)
        except OSError as error:
            raise CannotGoOn(f"{error.filename}: {error.strerror}") from error
        return was_there
