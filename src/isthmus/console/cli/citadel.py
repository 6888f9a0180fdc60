"""`isthmus run citadel`, with the flags that it had in 2018, and what became of those that it has no more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from isthmus.ca.vouching import parse_vouched
from isthmus.console.cli.cluster_access import own_access
from isthmus.console.cli.durations import DURATION
from isthmus.console.cli.options import set_up_logs_as
from isthmus.console.cli.rates import limit_options, limits_of
from isthmus.console.render import fail
from isthmus.kit import core_dumps
from isthmus.kit.key_kind import KeyKind
from isthmus.kube.errors import KubeError
from isthmus.model.identity import is_cluster

if TYPE_CHECKING:
    from isthmus.ca.account_secrets import Renewal
    from isthmus.ca.authority import Lifetimes
    from isthmus.ca.citadel import CitadelSettings
    from isthmus.ca.issuers.choice import IssuerChoice

_KEY_SIZES = {"2048": KeyKind.RSA_2048, "4096": KeyKind.RSA_4096}

# What replaced a flag of 2018, and whether to go on without it would be something else than was asked for.
_REPLACED = {
    "upstream-ca-address": (
        "isthmus ca intermediate makes the CA of a cluster, offline, under one root",
        True,
    ),
    "sign-ca-certs": (
        "Citadel signs workloads only: isthmus ca intermediate makes the CAs of clusters",
        True,
    ),
    "requested-ca-cert-ttl": ("the life of a cluster's CA is told to isthmus ca intermediate --life", False),
    "liveness-probe-path": ("GET /ready at --monitoring-port tells whether Citadel can sign", False),
    "liveness-probe-interval": (
        "GET /ready at --monitoring-port answers at once, ask as often as you like",
        False,
    ),
    "probe-check-interval": ("GET /ready at --monitoring-port looks at the CA whenever it is asked", False),
}


def _replaced(_: click.Context, param: click.Parameter, value: str | None) -> None:
    """Say what replaced a flag that is given; fail where it asked for what nobody does now."""
    name = str(param.name).replace("_", "-")
    hint, matters = _REPLACED[name]
    if value is None or value in {"", "false"}:
        return
    if matters:
        fail(f"--{name}: is no flag of Citadel any more (hint: {hint})")
    click.echo(f"warning: --{name} has no effect (hint: {hint})", err=True)


def _replaced_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name in _REPLACED:
        command = click.option(f"--{name}", hidden=True, expose_value=False, callback=_replaced)(command)
    return command


_path = click.Path(path_type=Path)
_option = partial(click.option, show_default=True)


@click.command("citadel")
@_option("--cluster", required=True, envvar="ISTHMUS_CLUSTER", help="name of the cluster it serves")
@_option("--trust-domain", default="cluster.local", help="of all identities")
@_option("--domain", default="cluster.local", help="DNS domain of the cluster")
@_option("--ca-dir", type=_path, default=Path("/etc/cacerts"), help="folder with the four CA files")
@_option("--signing-cert", type=_path, help="the CA's certificate, if it is not ca-cert.pem in --ca-dir")
@_option("--signing-key", type=_path, help="the CA's key, if it is not ca-key.pem there")
@_option("--root-cert", type=_path, help="the roots to trust, if they are not root-cert.pem there")
@_option("--cert-chain", type=_path, help="the CAs up to the root, if they are not cert-chain.pem there")
@_option(
    "--self-signed-ca",
    type=click.BOOL,
    is_flag=False,
    flag_value="true",
    help="make the root and keep it in Secret istio-ca-secret; if not said: where there are no CA files",
)
@_option("--self-signed-ca-org", default="Isthmus", help="how a root that Citadel makes is called")
@_option("--self-signed-ca-cert-ttl", type=DURATION, default="87600h", help="how long it lives")
@_option("--citadel-storage-namespace", default="istio-system", help="Citadel's namespace, with its Secret")
@_option(
    "--workload-cert-ttl",
    "--cert-lifetime",
    "lifetime",
    type=DURATION,
    default="24h",
    help="life of a certificate whose holder asks for none",
)
@_option("--max-workload-cert-ttl", type=DURATION, default="2160h", help="the longest life, whoever asks")
@_option("--min-workload-cert-ttl", type=DURATION, default="1m", help="the shortest life, whoever asks")
@_option(
    "--account-secrets",
    is_flag=True,
    help="keep a Secret istio.ACCOUNT with key and certificate for each account",
)
@_option(
    "--listened-namespace",
    "--listened-namespaces",
    "listened",
    multiple=True,
    help="namespaces in which it keeps them; else all",
)
@_option(
    "--workload-cert-grace-period-ratio",
    "grace_ratio",
    type=click.FLOAT,
    default=0.5,
    help="the part of its life that a certificate in such a Secret has left when it is renewed",
)
@_option(
    "--workload-cert-min-grace-period",
    "least_grace",
    type=DURATION,
    default="10m",
    help="it never has less left",
)
@_option("--key-size", type=click.Choice(list(_KEY_SIZES)), help="RSA for keys made here; else ECDSA P-256")
@_option(
    "--append-dns-names",
    type=click.BOOL,
    default=True,
    help="name the control plane's Services in its certificates",
)
@_option("--custom-dns-names", multiple=True, help="further DNS names: account.namespace:name,…")
@_option("--grpc-port", type=click.INT, default=8060, help="for signing requests")
@_option("--renewal-port", type=click.INT, help="where a certificate is proof for the next one; else nowhere")
@_option(
    "--grpc-hostname", "--grpc-host-identities", "host_names", multiple=True, help="names it is called by"
)
@_option("--monitoring-port", type=click.INT, default=15014, help="for /metrics and /ready")
@_option(
    "--vouch",
    "vouched",
    multiple=True,
    help="CLUSTER=NAMESPACE,… or CLUSTER=*: for whom a cluster's word counts; its own: *, others: nobody",
)
@_option(
    "--clusters-dir",
    type=_path,
    default=Path("/etc/istio/clusters"),
    help="kubeconfigs of further clusters whose workloads it serves, each named as its cluster",
)
@limit_options
@_option(
    "--issuer",
    default="own",
    help="who signs: own, cert-manager:ClusterIssuer/NAME, or kubernetes:DOMAIN/NAME (a signer)",
)
@_option(
    "--approve-orders/--no-approve-orders",
    default=True,
    help="approve what is ordered of a signer of Kubernetes; else a policy of yours must",
)
@_option(
    "--issuer-roots",
    type=_path,
    help="file with the roots of that issuer; else those that it or the mesh's settings tell",
)
@_option("--audit-log", type=_path, help="file for a line of JSON for each certificate")
@_option("--roots-file", type=_path, help="file to keep the roots in, for who shares the pod")
@_option("--kubeconfig", default="", help="kubeconfig; empty: the pod's service account")
@_option(
    "--log-level",
    default="info",
    help="debug, info, warning, error or none; SCOPE:LEVEL for a scope, with commas between",
)
@_replaced_options
def command(kubeconfig: str, log_level: str, **flags: Any) -> None:
    """Issue certificates to the workloads of one cluster, and of others that it is told to serve."""
    import uvloop

    from isthmus.ca import store
    from isthmus.ca.borrowed import run_borrowed
    from isthmus.ca.in_cluster import run_citadel
    from isthmus.ca.self_signed import AnotherRoot
    from isthmus.kit.tasks import run_until_cancelled
    from isthmus.kit.x509 import InvalidCertificate

    set_up_logs_as("--log-level", log_level)
    settings, issuer = settings_of(flags), _issuer(flags)
    if issuer and settings.account_secrets:
        fail("--account-secrets: are kept with a CA of our own only (hint: --issuer=own)")
    access = own_access(kubeconfig)
    core_dumps.leave_none()
    try:
        job = run_borrowed(settings, issuer, access) if issuer else run_citadel(settings, access)
        uvloop.run(run_until_cancelled(job))
    except (store.InvalidStore, InvalidCertificate, AnotherRoot, KubeError, OSError, RuntimeError) as error:
        fail(str(error))  # gRPC says RuntimeError for a port that is taken


def settings_of(flags: dict[str, Any]) -> CitadelSettings:
    """The settings that the flags say; ends with an error where they cannot be kept."""
    from isthmus.ca.citadel import CitadelSettings
    from isthmus.ca.dns_names import parse_custom
    from isthmus.ca.self_signed import SelfSigned

    if not is_cluster(flags["cluster"]):
        fail(f"--cluster: cannot be {flags['cluster']!r} (hint: letters, digits, -, _ and .)")
    key_kind = _KEY_SIZES[flags["key_size"]] if flags["key_size"] else KeyKind.EC_P256
    return CitadelSettings(
        cluster=flags["cluster"],
        trust_domain=flags["trust_domain"],
        domain=flags["domain"],
        namespace=flags["citadel_storage_namespace"],
        ca_directory=flags["ca_dir"],
        ca_paths=_ca_paths(flags),
        self_signed=flags["self_signed_ca"],
        root=SelfSigned(
            namespace=flags["citadel_storage_namespace"],
            organisation=flags["self_signed_ca_org"],
            life_s=flags["self_signed_ca_cert_ttl"],
            key_kind=key_kind,
        ),
        lifetimes=_lifetimes(flags),
        limits=limits_of(flags),
        append_dns_names=flags["append_dns_names"],
        custom_dns_names=_read("--custom-dns-names", parse_custom, ",".join(flags["custom_dns_names"])),
        port=flags["grpc_port"],
        renewal_port=flags["renewal_port"],
        extra_names=tuple(name for text in flags["host_names"] for name in text.split(",") if name),
        monitoring_port=flags["monitoring_port"],
        vouched=_read("--vouch", parse_vouched, flags["vouched"]),
        clusters_directory=flags["clusters_dir"],
        audit_file=flags["audit_log"],
        roots_file=flags["roots_file"],
        account_secrets=_account_secrets(flags, key_kind),
    )


def _ca_paths(flags: dict[str, Any]) -> dict[str, Path]:
    from isthmus.ca import store

    named = {
        "signing_cert": store.CA_CERT,
        "signing_key": store.CA_KEY,
        "root_cert": store.ROOT_CERT,
        "cert_chain": store.CERT_CHAIN,
    }
    return {file: flags[name] for name, file in named.items() if flags[name]}


def _account_secrets(flags: dict[str, Any], key_kind: KeyKind) -> Renewal | None:
    from isthmus.ca.account_secrets import Renewal

    ratio = flags["grace_ratio"]
    if not 0 < ratio < 1:
        fail(f"--workload-cert-grace-period-ratio: {ratio} is no part of a life (hint: such as 0.5)")
    namespaces = tuple(name for text in flags["listened"] for name in text.split(",") if name)
    if not flags["account_secrets"]:
        if namespaces:
            click.echo("warning: --listened-namespace has no effect (hint: --account-secrets)", err=True)
        return None
    if not 0.2 <= ratio <= 0.8:
        click.echo(
            f"warning: --workload-cert-grace-period-ratio: {ratio} renews very "
            f"{'late' if ratio < 0.2 else 'often'} (hint: from 0.2 to 0.8)",
            err=True,
        )
    return Renewal(
        namespaces=namespaces, grace_ratio=ratio, least_grace_s=flags["least_grace"], key_kind=key_kind
    )


def _issuer(flags: dict[str, Any]) -> IssuerChoice | None:
    """The issuer that is not our own, if there is one."""
    from isthmus.ca.issuers.choice import parse_issuer

    found: IssuerChoice | None = _read("--issuer", parse_issuer, flags["issuer"])
    if found is None:
        return None
    return msgspec.structs.replace(
        found,
        cluster=flags["cluster"],
        namespace=flags["citadel_storage_namespace"],
        roots_file=flags["issuer_roots"],
        lifetimes=_lifetimes(flags),
        approves=flags["approve_orders"],
        trust_domain=flags["trust_domain"],
    )


def _lifetimes(flags: dict[str, Any]) -> Lifetimes:
    from isthmus.ca.authority import Lifetimes

    least_s, usual_s, most_s = (
        flags["min_workload_cert_ttl"],
        flags["lifetime"],
        flags["max_workload_cert_ttl"],
    )
    if not least_s <= usual_s <= most_s:
        fail(
            "--workload-cert-ttl: must lie between --min-workload-cert-ttl and --max-workload-cert-ttl "
            "(hint: raise or lower the bound along with it)"
        )
    return Lifetimes(usual_s=usual_s, least_s=least_s, most_s=most_s)


def _read(flag: str, parse_: Callable[[Any], Any], value: Any) -> Any:
    try:
        return parse_(value)
    except ValueError as error:
        fail(f"{flag}: {error}")
