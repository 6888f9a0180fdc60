"""Every setting of the control plane: its name, default, unit and what it is for.

The command line makes a flag and an environment variable of each (`quiet_s` → `--quiet-s`,
`ISTHMUS_QUIET_S`). This is the only module that reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from isthmus.admission.settings import WebhookSettings
from isthmus.model.revision import suffix

PREFIX = "ISTHMUS_"


NEAR = (
    *("0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128"),  # this machine
    *("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128"),  # its links, where clouds give out credentials
    *("224.0.0.0/4", "ff00::/8"),  # everybody
)
"""Where Pilot asks nobody for keys, whatever configuration says."""


_PROOF = "/var/run/secrets/tokens/istio-token"
"""Where a pod's kubelet writes a token for Citadel, a new one before it ends."""


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of the control plane may be told of where it is, who it is, and how much it says."""

    cluster: Annotated[str, Meta(description="name of the cluster that it runs in")] = "Kubernetes"
    kubeconfig: Annotated[
        str, Meta(description="kubeconfig of that cluster; empty: the pod's service account")
    ] = ""
    root_namespace: Annotated[str, Meta(description="namespace of the control plane")] = "istio-system"
    trust_domain: Annotated[str, Meta(description="trust domain of workload identities")] = "cluster.local"
    revision: Annotated[
        str, Meta(description="revision of the control plane: what its webhooks and ConfigMaps are called by")
    ] = "default"
    address: Annotated[str, Meta(description="address to listen on")] = "0.0.0.0"
    citadel: Annotated[str, Meta(description="host:port of the Citadel that gives it its certificate")] = (
        "istio-citadel.istio-system.svc.cluster.local:8060"
    )
    workload_api: Annotated[
        str,
        Meta(
            description="socket of a SPIFFE Workload API that gives it instead, unix:/path; empty: Citadel does"
        ),
    ] = ""
    token_path: Annotated[str, Meta(description="token by which it asks for its certificate")] = _PROOF
    root_path: Annotated[str, Meta(description="root certificate by which Citadel is believed")] = (
        "/var/run/secrets/istio/root-cert.pem"
    )
    log_level: Annotated[
        str,
        Meta(description="debug, info, warning, error or none; SCOPE:LEVEL for a scope, with commas between"),
    ] = "info"


class PilotSettings(ProcessSettings, frozen=True, kw_only=True):
    """What Pilot may be told."""

    clusters_dir: Annotated[
        str, Meta(description="directory of Cluster objects and kubeconfigs; empty: only labelled Secrets")
    ] = ""
    domain: Annotated[str, Meta(description="DNS domain of the clusters")] = "cluster.local"
    plain_address: Annotated[
        str, Meta(description="address to listen on for xDS in plain text, which proves nobody's identity")
    ] = "127.0.0.1"
    grpc_port: Annotated[int, Meta(description="port for xDS in plain text; 0: none")] = 15010
    secure_grpc_port: Annotated[int, Meta(description="port for xDS with mutual TLS; 0: none")] = 15012
    monitoring_port: Annotated[int, Meta(description="port for metrics, readiness, debug pages")] = 15014
    webhook_port: Annotated[
        int, Meta(description="port for the webhooks of the API server, injection and validation; 0: none")
    ] = 15017
    webhook_service: Annotated[
        str, Meta(description="Service by which the API server calls them; empty: istiod, or istiod-REVISION")
    ] = ""
    webhook_certificate_dir: Annotated[
        str,
        Meta(description="folder with tls.crt, tls.key and ca.crt for webhooks; empty: Pilot's certificate"),
    ] = ""
    validation: Annotated[
        bool,
        Meta(description="answer at /validate, where wrong configuration is refused before it is stored"),
    ] = True
    debug_for_all: Annotated[
        bool, Meta(description="answer debug pages to the whole network, and not only over loopback")
    ] = False
    clusters_proven: Annotated[
        bool, Meta(description="refuse proxies whose certificate does not say in which cluster they are")
    ] = False
    known_proxies_only: Annotated[
        bool,
        Meta(description="refuse proxies that are no pod of their cluster and that nobody has written of"),
    ] = False
    wire: Annotated[
        Literal["grpc", "h2"],
        Meta(description="by what xDS is served: grpc, by gRPC's own core; h2, by Isthmus' HTTP/2"),
    ] = "grpc"
    most_connections: Annotated[
        int, Meta(description="connections at once on each port for xDS; one more is closed unheard")
    ] = 20_000
    most_streams: Annotated[
        int, Meta(description="streams at once of one identity, in plain text of one address")
    ] = 10_000
    handshake_s: Annotated[
        float, Meta(description="seconds for a connection to prove who it is, and then for its first request")
    ] = 10.0
    connection_age_s: Annotated[
        float, Meta(description="seconds after which a connection for xDS is ended, to come back; 0: never")
    ] = 0.0
    request_bytes: Annotated[int, Meta(description="size of one request of a proxy at the most")] = 16 << 20
    requests_per_s: Annotated[
        float, Meta(description="requests of one stream that are taken up in a second; others wait")
    ] = 100.0
    quiet_s: Annotated[
        float, Meta(description="in a rush, seconds without a change before changes are sent")
    ] = 0.005
    max_delay_s: Annotated[
        float,
        Meta(description="seconds that a change waits at the most, and of rest after which it need not"),
    ] = 0.1
    startup_limit_s: Annotated[
        float, Meta(description="seconds to wait for clusters that do not answer before serving")
    ] = 15.0
    leave_notice_s: Annotated[
        float, Meta(description="seconds from being told to stop until proxies are sent to other Pilots")
    ] = 1.0
    leave_s: Annotated[
        float, Meta(description="seconds within which all of them are sent away, one after the other")
    ] = 10.0
    kept_dir: Annotated[
        str, Meta(description="directory in which clusters are kept as they were last; empty: nowhere")
    ] = ""
    clusters_kept_s: Annotated[
        float,
        Meta(description="seconds that a cluster on disk outlives its last word where Pilot starts; 0: any"),
    ] = 86_400.0
    kept_bytes: Annotated[int, Meta(description="size of what is kept of one cluster at the most")] = (
        256 << 20
    )
    remote_secrets_may: Annotated[
        str,
        Meta(
            description="what kubeconfigs in Secrets may name of Pilot's own programs and files, with commas between: "
            "exec, tokenFile, clientCertificate, clientKey, certificateAuthority"
        ),
    ] = ""
    access_renewal_share: Annotated[
        float,
        Meta(description="part of its life after which a token for a cluster is renewed"),
    ] = 0.5
    analysis_in_status: Annotated[
        bool, Meta(description="write what analysis finds into the status of configuration objects")
    ] = True
    issuer_refresh_s: Annotated[
        float, Meta(description="seconds after which issuers of tokens are asked for their keys again")
    ] = 1200.0
    issuer_keys_kept_s: Annotated[
        float,
        Meta(
            description="seconds that an issuer's keys outlive its last answer where Pilot starts; 0: not kept"
        ),
    ] = 86_400.0
    issuer_roots_path: Annotated[
        str, Meta(description="file with CAs by which issuers of tokens are believed beside the system's")
    ] = ""
    issuer_refused_ranges: Annotated[
        str, Meta(description="addresses at which issuers of tokens are not asked, with commas between")
    ] = ",".join(NEAR)

    @property
    def webhooks(self) -> WebhookSettings:
        """How Pilot's process answers its API server: not at all where it has no certificate to show."""
        shows = bool(self.secure_grpc_port or self.webhook_certificate_dir)
        return WebhookSettings(
            namespace=self.root_namespace,
            revision=self.revision,
            service=self.webhook_service or f"istiod{suffix(self.revision)}",
            address=self.address,
            port=self.webhook_port if self.webhook_port and shows else None,
            validates=self.validation,
            certificate_dir=self.webhook_certificate_dir,
        )


class InjectorSettings(ProcessSettings, frozen=True, kw_only=True):
    """What an injector that is a process of its own may be told."""

    webhook_port: Annotated[int, Meta(description="port for the webhooks of the API server")] = 15017
    webhook_service: Annotated[
        str,
        Meta(
            description="Service by which the API server calls them; empty: istio-sidecar-injector, or with -REVISION"
        ),
    ] = ""
    webhook_certificate_dir: Annotated[
        str, Meta(description="folder with tls.crt, tls.key and ca.crt for webhooks; empty: Citadel signs")
    ] = ""
    validation: Annotated[
        bool, Meta(description="answer at /validate too, where the cluster's configuration is the mesh's")
    ] = False
    monitoring_port: Annotated[int, Meta(description="port for metrics and readiness")] = 15014

    @property
    def webhooks(self) -> WebhookSettings:
        """How it answers its API server."""
        return WebhookSettings(
            namespace=self.root_namespace,
            revision=self.revision,
            service=self.webhook_service or f"istio-sidecar-injector{suffix(self.revision)}",
            address=self.address,
            port=self.webhook_port,
            validates=self.validation,
            certificate_dir=self.webhook_certificate_dir,
        )


class ApiServerAddress(msgspec.Struct, frozen=True):
    """Where a pod finds the API server of its own cluster."""

    host: str
    port: str


def own_api_server() -> ApiServerAddress | None:
    """The address that Kubernetes gives every pod; None outside of one."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    return ApiServerAddress(host, port) if host else None


def kubeconfig_paths() -> tuple[Path, ...]:
    """The files that kubectl would read: those in $KUBECONFIG, or ~/.kube/config."""
    named = [Path(each) for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    return tuple(named) or (Path.home() / ".kube" / "config",)


def state_folder() -> Path:
    """Where the lab keeps its state: $ISTHMUS_STATE, or `isthmus` in the user's state folder."""
    chosen = os.environ.get(f"{PREFIX}STATE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "isthmus"


def environment() -> Mapping[str, str]:
    """The whole environment, for the parts of it that have names of their own (`ISTIO_META_…`)."""
    return dict(os.environ)
