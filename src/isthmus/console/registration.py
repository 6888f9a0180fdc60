"""A cluster's entry in a registry directory: written by us, so that nobody copies kubeconfigs by hand."""

from __future__ import annotations

import base64
import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import yaml

from isthmus.api.resource import Kind, Object
from isthmus.console.control_plane import access_to
from isthmus.console.reader_access import Credential, NoReader, ReaderAccess
from isthmus.console.reader_account import USUAL_LIFE_S
from isthmus.kit.ip import authority
from isthmus.kube.client import Client
from isthmus.kube.errors import NotFound

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_ENDPOINTS = Kind("", ("v1",), "Endpoints", "endpoints", Object)


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a cluster when it joins."""

    name: str
    pilot_endpoint: str
    kubeconfig: Path | None = None
    context: str | None = None
    server: str = ""  # where Pilot finds its API server; empty: as we do, or by its own word
    config_store: bool = False
    namespace: str = "istio-system"
    life_s: float | None = USUAL_LIFE_S  # of its token; None: until it is taken back


class CannotRegister(Exception):
    """A cluster cannot be added; says why, and how to mend it."""


class Registered(msgspec.Struct, frozen=True):
    """What was written, and where it says that the API server is."""

    files: tuple[Path, Path]
    server: str


async def add_cluster(directory: Path, registration: Registration) -> Registered:
    """Write a kubeconfig with the reader account's token, then the Cluster object.

    Where the user's kubeconfig names this machine (as those of kind, k3d and the lab do), which no pod would
    reach, the API server's own word is taken: its Endpoints `kubernetes`.
    Raises `CannotRegister`, `KubeError`.
    """
    _check(registration)
    access = access_to(registration.kubeconfig, registration.context)
    async with Client(access) as client:
        server = await server_for_pods(client, registration.server)
        reader = ReaderAccess(client, registration.namespace, registration.name)
        try:
            found = await reader.give(registration.life_s)
        except NoReader as error:
            raise CannotRegister(str(error)) from error
    config = kubeconfig(registration.name, server, found)
    try:
        files = write_files(directory, registration.name, config, cluster_object(registration, server))
    except OSError as error:
        raise CannotRegister(f"{error.filename or directory}: {error.strerror}") from error
    return Registered(files, server)


def _check(registration: Registration) -> None:
    name = registration.name
    if not _NAME.fullmatch(name):
        raise CannotRegister(
            f"{name!r} cannot be a cluster's name (hint: lower case letters, digits, - and .)"
        )
    _check_address(registration.server)
    host, _, port = registration.pilot_endpoint.rpartition(":")
    if not host or not port.isdigit():
        raise CannotRegister(f"--pilot-endpoint: {registration.pilot_endpoint!r} is not ADDRESS:PORT")


async def server_for_pods(client: Client, said: str = "") -> str:
    """Where pods find the API server: where it is said to be, as we do, or by its own word where that is this machine.

    Raises `CannotRegister`, `KubeError`.
    """
    _check_address(said)
    if said:
        return said
    server = client.access.server
    if not _is_this_machine(server):
        return server
    hint = "(hint: --server https://ADDRESS:PORT, as pods reach it)"
    try:
        subset = (await client.get(_ENDPOINTS, "default", "kubernetes"))["subsets"][0]
        address, port = subset["addresses"][0]["ip"], subset["ports"][0]["port"]
    except (NotFound, LookupError) as error:
        raise CannotRegister(f"{server} is this machine, which Pilot cannot reach {hint}") from error
    return f"https://{authority(address, port)}"


def _check_address(server: str) -> None:
    """Raises `CannotRegister` where something else is said than an address."""
    try:
        parts = urlsplit(server)
        is_address = parts.scheme in {"https", "http"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no such port, or no such host
        is_address = False
    if server and not is_address:
        raise CannotRegister(f"--server: {server!r} is no address (hint: https://ADDRESS:PORT)")


def _is_this_machine(server: str) -> bool:
    host = urlsplit(server).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def write_files(directory: Path, name: str, config: object, cluster: object) -> tuple[Path, Path]:
    """Write a cluster's kubeconfig and its Cluster object, each at once and for the owner alone. Raises `OSError`."""
    directory.mkdir(parents=True, exist_ok=True)
    config_file, cluster_file = directory / f"{name}.kubeconfig", directory / f"{name}.yaml"
    # The kubeconfig first: a Cluster file without it would be a finding for a moment.
    for file, content in ((config_file, config), (cluster_file, cluster)):
        new = file.with_name(f".{file.name}.new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(yaml.safe_dump(content, sort_keys=False))
        new.replace(file)
    return config_file, cluster_file


def kubeconfig(name: str, server: str, credential: Credential) -> dict[str, object]:
    """A kubeconfig with one cluster, one user and one context, all named `name`."""
    cluster = {"server": server}
    if credential.ca is not None:
        cluster["certificate-authority-data"] = base64.b64encode(credential.ca).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": str.__str__(credential.token)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def cluster_object(registration: Registration, server: str) -> dict[str, object]:
    """The Cluster object, with the annotations of Istio 0.7."""
    return {
        "apiVersion": "clusterregistry.k8s.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {
            "name": registration.name,
            "annotations": {
                "config.istio.io/pilotEndpoint": registration.pilot_endpoint,
                "config.istio.io/platform": "Kubernetes",
                "config.istio.io/accessConfigFile": f"{registration.name}.kubeconfig",
                "config.istio.io/pilotCfgStore": "true" if registration.config_store else "false",
            },
        },
        "spec": {
            "kubernetesApiEndpoints": {
                "serverEndpoints": [
                    {"clientCIDR": "0.0.0.0/0", "serverAddress": server.removeprefix("https://")}
                ]
            }
        },
    }
