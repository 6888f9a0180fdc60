"""From the environment of a pod's container to the settings of its agent; names as Istio has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.proxy_config import ProxyConfig
from isthmus.api.istio.workload_group import ReadinessProbe
from isthmus.kit.duration import parse
from isthmus.kit.key_kind import KeyKind
from isthmus.model.endpoint import Locality
from isthmus.model.identity import SpiffeId
from isthmus.model.proxy import ProxyKind
from isthmus.model.proxy_config import read_proxy_config
from isthmus.sidecar.agent import AgentSettings
from isthmus.sidecar.capture import DNS_PORT
from isthmus.sidecar.certs import ROOTS_FILE, TOKEN_FILE, CertSettings
from isthmus.sidecar.probe_paths import PROBERS
from isthmus.sidecar.proxy_process import ProxySettings
from isthmus.sidecar.status import StatusSettings

_META, _META_JSON = "ISTIO_META_", "ISTIO_METAJSON_"
_PILOT_ACCOUNT = "istio-pilot-service-account"


class InvalidEnvironment(ValueError):
    """A variable that is missing or cannot be read; the message names it."""


class AgentFlags(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line of `isthmus agent sidecar|router` says; empty: as the environment says."""

    kind: ProxyKind = ProxyKind.SIDECAR
    discovery_address: str = ""
    log_level: str = "warning"
    component_log_level: str = ""
    concurrency: int = 2
    directory: Path = Path("/etc/istio/proxy")
    envoy: str = ""


def agent_settings(environment: Mapping[str, str], flags: AgentFlags) -> AgentSettings:
    """The settings of an agent in this environment. Raises `InvalidEnvironment`."""
    read = _Reader(environment)
    control_plane = read.text("ISTHMUS_CONTROL_PLANE_NAMESPACE", "istio-system")
    domain = read.text("ISTHMUS_DOMAIN", "cluster.local")
    trust_domain = read.text("TRUST_DOMAIN", "cluster.local")
    pilot_domain = read.text("ISTHMUS_PILOT_TRUST_DOMAIN", trust_domain)
    cluster = read.required(_META + "CLUSTER_ID")
    identity = SpiffeId(trust_domain, read.required("POD_NAMESPACE"), read.text("SERVICE_ACCOUNT", "default"))
    config = read.proxy_config()
    proxy = ProxySettings(
        executable=flags.envoy or read.text("ISTHMUS_ENVOY", ""),
        log_level=flags.log_level,
        component_log_level=flags.component_log_level,
        concurrency=flags.concurrency,
        drain_s=read.number("TERMINATION_DRAIN_DURATION_SECONDS", 5.0),
        ends_when_idle=read.text("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "").lower() == "true",
        least_drain_s=read.seconds("MINIMUM_DRAIN_DURATION", 5.0),
        override=Path(file) if (file := read.text("ISTIO_BOOTSTRAP_OVERRIDE", "")) else None,
        change_drain_s=read.seconds("DRAIN_DURATION", parse(config.drain_duration or "45s")),
        inbound_only=flags.kind is ProxyKind.SIDECAR,
        admin_port=config.proxy_admin_port or 15000,
        flush_interval_s=parse(config.file_flush_interval) if config.file_flush_interval else 1.0,
        flush_size_kb=config.file_flush_min_size_kb or 0,
    )
    return AgentSettings(
        kind=flags.kind,
        pod=read.required("POD_NAME"),
        namespace=identity.namespace,
        address=read.required("INSTANCE_IP"),
        addresses=tuple(filter(None, read.text("INSTANCE_IPS", "").split(","))),
        service_account=identity.service_account,
        cluster=cluster,
        network=read.text(_META + "NETWORK", ""),
        version=read.text(_META + "ISTIO_VERSION", ""),
        domain=domain,
        trust_domain=trust_domain,
        locality=read.locality("ISTHMUS_LOCALITY"),
        metadata=read.metadata(),
        config=config,
        attributes=read.text("OTEL_RESOURCE_ATTRIBUTES", ""),
        status_port=config.status_port or 15020,
        directory=flags.directory,
        podinfo=Path(read.text("ISTHMUS_PODINFO", "/etc/istio/pod")),
        pilot=flags.discovery_address or f"istio-pilot.{control_plane}.svc.{domain}:15012",
        pilot_identity=str(SpiffeId(pilot_domain, control_plane, _PILOT_ACCOUNT)),
        certificates=_certificates(read, identity, f"istio-citadel.{control_plane}.svc.{domain}:8060"),
        proxy=proxy,
        status=read.status(),
        probes=read.probes(),
        mark=read.mark(),
        datagrams=flags.kind is ProxyKind.SIDECAR and read.mark() is not None,
        dns_port=DNS_PORT if read.text(_META + "DNS_CAPTURE", "") == "true" else 0,
    )


def _certificates(read: _Reader, identity: SpiffeId, citadel: str) -> CertSettings:
    """Where the certificate of `identity` comes from; `citadel` where nothing is said of it."""
    return CertSettings(
        identity=identity,
        citadel=read.text("CA_ADDR", citadel),
        renewal=read.text("ISTHMUS_CA_RENEWAL_ADDR", ""),
        provisioned=Path(folder) if (folder := read.text("PROV_CERT", "")) else None,
        cluster=read.required(_META + "CLUSTER_ID"),
        workload_api=read.socket("SPIFFE_ENDPOINT_SOCKET"),
        token_file=Path(read.text("ISTHMUS_TOKEN_FILE", str(TOKEN_FILE))),
        roots_file=Path(read.text("ISTHMUS_ROOTS_FILE", str(ROOTS_FILE))),
        lifetime_s=read.seconds("SECRET_TTL", 86_400.0),
        renew_at=read.number("SECRET_GRACE_PERIOD_RATIO", 0.5),
        key_kind=read.key_kind(),
    )


class _Reader:
    """Variables by name, read as what they mean."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, usual: str) -> str:
        return self._environment.get(name) or usual

    def required(self, name: str) -> str:
        value = self._environment.get(name)
        if not value:
            raise InvalidEnvironment(f"{name} is not set (hint: isthmus kube-inject sets it)")
        return value

    def number(self, name: str, usual: float) -> float:
        try:
            return float(self.text(name, str(usual)))
        except ValueError as error:
            raise InvalidEnvironment(f"{name}: not a number: {self._environment[name]!r}") from error

    def seconds(self, name: str, usual: float) -> float:
        try:
            return parse(self._environment[name]) if self._environment.get(name) else usual
        except ValueError as error:
            raise InvalidEnvironment(f"{name}: {error}") from error

    def socket(self, name: str) -> str:
        """A socket as gRPC dials it; empty where there is none. Only unix sockets: they tell who asks."""
        text = self._environment.get(name, "")
        if not text:
            return ""
        path = text.removeprefix("unix:").removeprefix("//")
        if not path.startswith("/"):
            raise InvalidEnvironment(
                f"{name}: not a unix socket: {text!r} (hint: unix:///run/spire/agent.sock)"
            )
        return f"unix:{path}"

    def mark(self) -> int | None:
        """The mark; set but empty means none."""
        text = self._environment.get("ISTHMUS_MARK", "1337")
        if text and not text.isdigit():
            raise InvalidEnvironment(f"ISTHMUS_MARK: not a number: {text!r}")
        return int(text) if text else None

    def key_kind(self) -> KeyKind:
        """What keys are made, by Istio's variables; those for ECDSA go over the one for RSA, as there."""
        if algorithm := self.text("ECC_SIGNATURE_ALGORITHM", ""):
            if algorithm != "ECDSA":
                raise InvalidEnvironment(f"ECC_SIGNATURE_ALGORITHM: {algorithm!r} is not known (hint: ECDSA)")
            return self._chosen(
                "ECC_CURVE", {"": KeyKind.EC_P256, "P256": KeyKind.EC_P256, "P384": KeyKind.EC_P384}
            )
        kinds = {"": KeyKind.EC_P256, "2048": KeyKind.RSA_2048, "4096": KeyKind.RSA_4096}
        return self._chosen("WORKLOAD_RSA_KEY_SIZE", kinds)

    def _chosen(self, name: str, kinds: Mapping[str, KeyKind]) -> KeyKind:
        value = self.text(name, "")
        if value not in kinds:
            hint = " or ".join(filter(None, kinds))
            raise InvalidEnvironment(f"{name}: no keys of {value!r} are made (hint: {hint})")
        return kinds[value]

    def locality(self, name: str) -> Locality:
        region, zone, subzone, *_ = [*self.text(name, "").split("/"), "", "", ""]
        return Locality(region, zone, subzone)

    def metadata(self) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, value in sorted(self._environment.items()):
            if name.startswith(_META):
                found[name.removeprefix(_META)] = value
            elif name.startswith(_META_JSON):
                found[name.removeprefix(_META_JSON)] = self._json(name)
        return found

    def proxy_config(self) -> ProxyConfig:
        try:
            return read_proxy_config(self._environment.get("PROXY_CONFIG", ""))[0]
        except InvalidConfig as error:
            said = "; ".join(": ".join(each) for each in error.problems)
            raise InvalidEnvironment(f"PROXY_CONFIG: {said}") from error

    def status(self) -> StatusSettings:
        scrape = self._json("ISTIO_PROMETHEUS_ANNOTATIONS")
        if not isinstance(scrape, dict) or scrape.get("scrape") != "true":
            return StatusSettings()
        port = str(scrape.get("port") or "80")
        if not port.isdigit():
            raise InvalidEnvironment(f"ISTIO_PROMETHEUS_ANNOTATIONS: not a port: {port!r}")
        return StatusSettings(
            application_port=int(port), application_path=str(scrape.get("path") or "/metrics")
        )

    def probes(self) -> dict[str, ReadinessProbe]:
        """Those of the application, as injection writes them."""
        try:
            return msgspec.json.decode(self.text(PROBERS, "{}"), type=dict[str, ReadinessProbe])
        except msgspec.DecodeError as error:
            raise InvalidEnvironment(f"{PROBERS}: {error}") from error

    def _json(self, name: str) -> object:
        try:
            return json.loads(self.text(name, "null"))
        except ValueError as error:
            raise InvalidEnvironment(f"{name}: not JSON: {error}") from error
