"""How upstream's programs are started: their flags, and the files that these name.

Sources: the references of kube-apiserver, kube-controller-manager and etcd.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from isthmus.kit.ip import authority
from isthmus.kit.x509 import key_pem
from isthmus.lab.apiserver.credentials import ClusterCredentials, Pair
from isthmus.lab.apiserver.tokens import ISSUER
from isthmus.lab.apiserver.users import MASTERS

Options = dict[str, str]

CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "replicaset-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
    "ttl-after-finished-controller",
)
"""What every cluster needs."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the programs meet on the host `at`; the API server also listens on `bind`."""

    api: int
    store: int
    peers: int
    at: str = "127.0.0.1"
    bind: str = "127.0.0.1"


def write_files(folder: Path, credentials: ClusterCredentials, ports: Ports) -> None:
    """The files that the flags name, in the folder that the programs work in."""
    url = f"https://{authority(ports.at, ports.api)}"
    caller = credentials.client("kube-apiserver-kubelet-client", (MASTERS,))
    public = credentials.token_key.public_key()
    files = {
        "ca.crt": credentials.ca,
        "ca.key": credentials.ca_key,
        **_pair("serving", credentials.serving),
        **_pair("kubelets", caller),
        "accounts.key": key_pem(credentials.token_key),
        "accounts.pub": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "tokens.csv": f'{credentials.admin_token},kubernetes-admin,admin,"{MASTERS}"\n'.encode(),
        "kubeconfig": json.dumps(credentials.kubeconfig(url)).encode(),
    }
    for name, content in files.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)


def _pair(name: str, pair: Pair) -> dict[str, bytes]:
    return {f"{name}.crt": pair.certificate, f"{name}.key": pair.key}


def etcd_options(ports: Ports) -> Options:
    """For a store that is gone with its machine: what is written is not waited for."""
    clients, peers = (f"http://{authority(ports.at, each)}" for each in (ports.store, ports.peers))
    return {
        "data-dir": "etcd",
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        "unsafe-no-fsync": "true",
        "max-txn-ops": "10000",
    }


def apiserver_options(ports: Ports, service_ranges: Sequence[str]) -> Options:
    """For an API server that asks RBAC, and that the administrator's token or certificate opens."""
    return {
        "etcd-servers": f"http://{authority(ports.at, ports.store)}",
        "bind-address": ports.bind,
        "secure-port": str(ports.api),
        "tls-cert-file": "serving.crt",
        "tls-private-key-file": "serving.key",
        "client-ca-file": "ca.crt",
        "token-auth-file": "tokens.csv",
        "authorization-mode": "RBAC",
        "service-account-issuer": ISSUER,
        "service-account-signing-key-file": "accounts.key",
        "service-account-key-file": "accounts.pub",
        "service-cluster-ip-range": ",".join(service_ranges),
        "allow-privileged": "true",
        # A new node is marked as not ready, and who takes the mark away is none of our controllers.
        "disable-admission-plugins": "TaintNodesByCondition",
    }


def controllers_options(controllers: Sequence[str]) -> Options:
    """For the controllers of these names alone, who are each an account of their own."""
    return {
        "kubeconfig": "kubeconfig",
        "controllers": ",".join(controllers),
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": "accounts.key",
        "root-ca-file": "ca.crt",
        "secure-port": "0",
    }


def command(program: Path, options: Options) -> list[str]:
    """The command line."""
    return [str(program), *(f"--{key}={value}" for key, value in options.items())]
