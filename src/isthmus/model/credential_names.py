"""Names of credentials, as configuration and Envoy say them: `kubernetes://[namespace/]secret`, and so on.

Source: Istio's SDS names. `-cacert` at the end asks for the CA's certificates: those of the Secret of just that
name, or else those that stand beside the certificate in the Secret without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from isthmus.api.resource import Ref
from isthmus.model.credential_key import CredentialKey
from isthmus.model.names import ClusterId

CA_SUFFIX = "-cacert"
_OWN, _GRANTED, _MAP = "kubernetes", "kubernetes-gateway", "configmap"


class Place(NamedTuple):
    """From where a credential is asked for."""

    namespace: str
    cluster: ClusterId
    config_cluster: ClusterId


class Asked(NamedTuple):
    """What a name means: the objects that may hold it, the first that is there counts, and which part."""

    keys: tuple[CredentialKey, ...]
    roots: bool


def is_secret_name(name: str) -> bool:
    """Whether it is the name of a credential that we serve."""
    return name.partition("://")[0] in {_OWN, _GRANTED, _MAP} and "://" in name


def is_roots_name(name: str) -> bool:
    """Whether it asks for certificates of a CA."""
    return name.endswith(CA_SUFFIX) or name.startswith(f"{_MAP}://")


def pair_name(credential: str) -> str:
    """Envoy's name for the certificate and key that configuration calls `credential`."""
    return credential if "://" in credential else f"{_OWN}://{credential}"


def roots_name(credential: str) -> str:
    """Envoy's name for the CA's certificates that configuration calls `credential`."""
    name = pair_name(credential)
    return name if name.endswith(CA_SUFFIX) else f"{name}{CA_SUFFIX}"


def asked(name: str, place: Place) -> Asked | None:
    """What `name` means to who asks from `place`; None for what is no such name.

    Objects with a scheme that says so are of the configuration cluster, the others of the asker's own.
    """
    scheme, _, path = name.partition("://")
    namespace, slash, secret = path.rpartition("/")
    namespace = namespace if slash else place.namespace
    if not secret or not namespace or "/" in namespace:
        return None
    kind, cluster = "Secret", place.config_cluster
    match scheme:
        case "kubernetes":
            cluster = place.cluster
        case "kubernetes-gateway":
            pass
        case "configmap":
            kind = "ConfigMap"
        case _:
            return None
    roots = secret.endswith(CA_SUFFIX)
    names = [secret, secret.removesuffix(CA_SUFFIX)] if roots else [secret]
    keys = tuple(CredentialKey(cluster, Ref(kind, namespace, each)) for each in names if each)
    return Asked(keys, is_roots_name(name))


def names_of(ref: Ref) -> Iterator[str]:
    """All names by which the object may be asked for, from anywhere."""
    if ref.kind == "ConfigMap":
        bases = [f"{_MAP}://{ref.namespace}/{ref.name}"]
    else:
        bases = [
            f"{_OWN}://{ref.name}",
            f"{_OWN}://{ref.namespace}/{ref.name}",
            f"{_GRANTED}://{ref.namespace}/{ref.name}",
        ]
    for base in bases:
        yield base
        yield f"{base}{CA_SUFFIX}"
