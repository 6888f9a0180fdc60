"""A cluster's entry in the registry, wherever the mesh keeps it: read, written, taken out."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Protocol

import msgspec
import yaml

from isthmus.api.core.secret import Secret
from isthmus.api.registry.cluster import CLUSTERS
from isthmus.api.resource import Kind
from isthmus.console.membership.told import CannotGoOn
from isthmus.console.reader_access import Credential
from isthmus.console.registration import Registration, cluster_object, kubeconfig, write_files
from isthmus.discovery.secret_claims import LABEL, read_entry
from isthmus.discovery.source_files import read_directory
from isthmus.kit.redacted import Redacted
from isthmus.kit.unreadable import UNREADABLE
from isthmus.kube.client import Client, Scope
from isthmus.kube.errors import KubeError, NotFound
from isthmus.kube.kubeconfig import Access, Token

_SECRETS = Kind("", ("v1",), "Secret", "secrets", Secret)
_MANAGER = "isthmus-clusters"
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
        await self._client.apply(_SECRETS, body, _MANAGER)

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


class ObjectEntries:
    """In a `Cluster` object of the cluster registry API beside Pilot, and the Secret that it names."""

    def __init__(self, client: Client, namespace: str, cluster: str) -> None:
        self._client, self._namespace, self._cluster = client, namespace, cluster

    @property
    def place(self) -> str:
        return f"cluster {self._namespace}/{self._cluster}"

    async def find(self) -> Access | None:
        try:
            cluster = await self._client.get(CLUSTERS, self._namespace, self._cluster)
            secret = await self._client.get(_SECRETS, self._namespace, self._secret)
            server = cluster["spec"]["kubernetesApiEndpoints"]["serverEndpoints"][0]["serverAddress"]
            token = base64.b64decode(secret["data"]["token"]).decode()
        except (NotFound, LookupError, ValueError):
            return None
        return Access(server=f"https://{server}", credentials=Token(Redacted(token)))

    async def put(self, server: str, credential: Credential) -> None:
        data = {"token": str.__str__(credential.token).encode(), "ca.crt": credential.ca or b""}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self._secret, "namespace": self._namespace},
            "type": "Opaque",
            "data": {name: base64.b64encode(content).decode() for name, content in data.items()},
        }
        address = server.removeprefix("https://")
        cluster = {
            "apiVersion": CLUSTERS.api_version,
            "kind": CLUSTERS.name,
            "metadata": {"name": self._cluster, "namespace": self._namespace},
            "spec": {
                "kubernetesApiEndpoints": {
                    "serverEndpoints": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
                },
                "authInfo": {"controller": {"kind": "Secret", "name": self._secret}},
            },
        }
        await self._client.apply(_SECRETS, secret, _MANAGER)
        try:
            await self._client.apply(CLUSTERS, cluster, _MANAGER)
        except NotFound as error:
            hint = "hint: apply the definition of kubernetes/cluster-registry, or leave out --store object"
            raise CannotGoOn(
                f"{self._client.access.server} serves no {CLUSTERS.api_version} ({hint})"
            ) from error

    async def remove(self) -> bool:
        was_there = False
        for kind, name in ((CLUSTERS, self._cluster), (_SECRETS, self._secret)):
            try:
                await self._client.delete(kind, self._namespace, name)
                was_there = True
            except NotFound:
                continue
        return was_there

    @property
    def _secret(self) -> str:
        return f"istio-cluster-{self._cluster}"
