"""What each part of Pilot is told of the settings of the whole."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from socket import gethostbyname, gethostname

from isthmus.discovery.access_renewal import Renewals
from isthmus.discovery.cluster_keeper import KeeperSettings
from isthmus.discovery.kept_tokens import KeptTokens
from isthmus.discovery.key_ring import KeyRing, KeyRingSettings, Sources
from isthmus.discovery.registry import ClusterSpec, FixedSource, Source
from isthmus.discovery.source_files import FilesSource
from isthmus.discovery.source_objects import ObjectsSource
from isthmus.discovery.source_secrets import SecretsSource
from isthmus.kit.log import log
from isthmus.kube.kubeconfig import REACHES, Access
from isthmus.model.change import Change, ChangeKey
from isthmus.model.identity import SpiffeId
from isthmus.model.mesh import MeshSettings
from isthmus.model.names import ClusterId
from isthmus.model.revision import settings_map
from isthmus.settings import PilotSettings
from isthmus.sidecar.certs import CertSettings
from isthmus.wire.serve import Limits, Wire
from isthmus.xds.session import SessionLimits

_STREAMS = 100  # of one connection: an Envoy has one, its agent another over a connection of its own
PILOT_ACCOUNT = "istio-pilot-service-account"


def sources(settings: PilotSettings, own: Access) -> tuple[Source, ...]:
    """Who knows of clusters: a directory of files, or while that has none only our own; and labelled Secrets."""
    here = ClusterSpec(
        id=ClusterId(settings.cluster), access=own, source="pilot's own cluster", is_config=True
    )
    directory = settings.clusters_dir
    first = FilesSource(Path(directory), own=here) if directory else FixedSource(here)
    allowed = frozenset(word.strip() for word in settings.remote_secrets_may.split(",") if word.strip())
    if unknown := sorted(allowed - REACHES.keys()):
        log.warning("--remote-secrets-may has words without a meaning", words=unknown, known=sorted(REACHES))
    secrets = SecretsSource(own, settings.root_namespace, allowed)
    return (first, secrets, ObjectsSource(own, settings.root_namespace, _own_address()))


def _own_address() -> str:
    """By which other machines know this one; empty where its name has none."""
    with suppress(OSError):
        return gethostbyname(gethostname())
    return ""


def renewals(settings: PilotSettings, own: Access) -> Renewals:
    """When tokens for clusters are renewed, and where they are kept."""
    return Renewals(KeptTokens(own, settings.root_namespace), settings.access_renewal_share)


def keeper_settings(settings: PilotSettings) -> KeeperSettings:
    """Where clusters are kept on disk."""
    return KeeperSettings(
        folder=Path(settings.kept_dir) if settings.kept_dir else None,
        oldest_s=settings.clusters_kept_s,
        limit_bytes=settings.kept_bytes,
    )


def grpc_limits(settings: PilotSettings) -> Limits:
    """What a server for xDS asks of its connections."""
    return Limits(
        connections=settings.most_connections,
        handshake_s=settings.handshake_s,
        streams=_STREAMS,
        connection_age_s=settings.connection_age_s,
        request_bytes=settings.request_bytes,
        wire=Wire(settings.wire),
    )


def session_limits(settings: PilotSettings) -> SessionLimits:
    """How long proxies may take."""
    return SessionLimits(
        first_request_s=settings.handshake_s,
        streams_of_one=settings.most_streams,
        requests_per_s=settings.requests_per_s,
    )


def settings_key(settings: PilotSettings) -> ChangeKey:
    """By which changes of the mesh's settings are known."""
    return ChangeKey(ClusterId(settings.cluster), mesh_settings(settings).written_in)


def key_ring(settings: PilotSettings, put: Callable[[Change], None], sources: Sources) -> KeyRing:
    """What fetches the keys of issuers; changes pass it on their way into the mesh."""
    often = KeyRingSettings(refresh_s=settings.issuer_refresh_s, root_namespace=settings.root_namespace)
    return KeyRing(ClusterId(settings.cluster), put, sources, often)


def mesh_settings(settings: PilotSettings) -> MeshSettings:
    """What the mesh is told of itself before its own settings are known."""
    return MeshSettings(
        domain=settings.domain,
        trust_domain=settings.trust_domain,
        root_namespace=settings.root_namespace,
        config_cluster=ClusterId(settings.cluster),
        config_map=settings_map(settings.revision),
    )


def certificate_settings(settings: PilotSettings) -> CertSettings:
    """As whom Pilot asks for its certificate, and where."""
    return CertSettings(
        identity=SpiffeId(settings.trust_domain, settings.root_namespace, PILOT_ACCOUNT),
        citadel=settings.citadel,
        cluster=settings.cluster,
        workload_api=settings.workload_api,
        token_file=Path(settings.token_path),
        roots_file=Path(settings.root_path),
    )
