"""The agent: beside a workload, or as a gateway, it holds the certificate and runs Envoy."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import msgspec

from isthmus.api.errors import InvalidConfig
from isthmus.api.istio.proxy_config import ProxyConfig, StatsMatcher
from isthmus.api.istio.workload_group import ReadinessProbe
from isthmus.api.yaml import documents
from isthmus.kit.clock import Clock, SystemClock
from isthmus.kit.plain_http import HttpServer, Request, Response
from isthmus.kit.release import RELEASE
from isthmus.kit.scopes import agent as log
from isthmus.kit.tasks import supervise
from isthmus.model import doors, health, name_table, trust_bundles
from isthmus.model.endpoint import Locality
from isthmus.model.families import Families, family
from isthmus.model.identity import SpiffeId
from isthmus.model.proxy import ProxyKind
from isthmus.model.proxy_config import ANNOTATION
from isthmus.model.registration import ASKED_GROUP
from isthmus.model.service_name import canonical_name, service_name
from isthmus.model.trust_held import TRUST_TYPE, written
from isthmus.sidecar import sds
from isthmus.sidecar.ads_messages import node
from isthmus.sidecar.app_probes import AppProbes
from isthmus.sidecar.believed import Believed
from isthmus.sidecar.bootstrap import BootstrapSettings, bootstrap_json
from isthmus.sidecar.capture_rules import FAMILIES
from isthmus.sidecar.certs import CertSettings, trust_held
from isthmus.sidecar.datagrams import Datagrams
from isthmus.sidecar.health import Health
from isthmus.sidecar.marked_relay import MarkedRelay
from isthmus.sidecar.pod_names import NameSettings, PodNames
from isthmus.sidecar.probing import Here
from isthmus.sidecar.proxy_process import ProxyProcess, ProxySettings
from isthmus.sidecar.source import certificate_source
from isthmus.sidecar.stats_annotations import stats_wishes, together
from isthmus.sidecar.status import Status, StatusSettings
from isthmus.sidecar.taken import Taken
from isthmus.sidecar.told import Said, Told, Wanted
from isthmus.wire.listeners import Unix
from isthmus.wire.serve import GrpcServer

PILOT_SOCKET = "pilot.sock"
"""In the agent's directory: where Envoy takes what the agent says to Pilot."""
_SOCKET_CHECK_S = 2.0


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that decides how an agent works."""

    kind: ProxyKind = ProxyKind.SIDECAR
    pod: str
    namespace: str
    address: str  # of the pod, by which it is known
    addresses: tuple[str, ...] = ()  # all of the pod's; empty: that one
    service_account: str = "default"
    cluster: str
    network: str = ""
    version: str = ""  # of Isthmus, as Pilot shows it
    domain: str = "cluster.local"
    trust_domain: str = "cluster.local"
    locality: Locality = Locality()
    labels: dict[str, str] = {}  # beside those in `podinfo`
    metadata: dict[str, object] = {}  # further keys of Envoy's node, from ISTIO_META_*
    attributes: str = ""  # of OpenTelemetry, as the environment has them: OTEL_RESOURCE_ATTRIBUTES
    config: ProxyConfig = ProxyConfig()  # what holds for this proxy, as it was injected
    podinfo: Path = Path("/etc/istio/pod")
    directory: Path = Path("/etc/istio/proxy")  # for the bootstrap and the socket; in memory
    pilot: str = "istio-pilot.istio-system.svc.cluster.local:15012"
    pilot_identity: str = "spiffe://cluster.local/ns/istio-system/sa/istio-pilot-service-account"
    certificates: CertSettings
    proxy: ProxySettings = ProxySettings()
    status: StatusSettings = StatusSettings()
    probes: dict[str, ReadinessProbe] = {}  # of the application, by the paths at which kubelets ask for them
    status_port: int = 15020
    ready_port: int = 15021
    stats_port: int = 15090
    mark: int | None = 1337
    datagrams: bool = False  # whether it leads those of the pod to Envoy; needs CAP_NET_ADMIN
    dns_port: int = 0  # where the pod's questions are led; 0: it asks its resolvers itself
    envoy_dns_port: int = 15054  # where Envoy's are answered, then

    @property
    def registers(self) -> bool:
        """Whether the workload is to get an entry of a WorkloadGroup, whose probe the agent asks then."""
        return bool(self.metadata.get(ASKED_GROUP))

    @property
    def here(self) -> Here:
        """Where the agent asks the application; without a mark capture takes the agent for its Envoy."""
        is_led = self.kind is ProxyKind.SIDECAR and self.mark is None
        return Here(self.address, FAMILIES[family(self.address)].source if is_led else "")

    @property
    def families(self) -> Families:
        """The versions of IP that the pod has addresses of."""
        return tuple(sorted({family(each) for each in (self.address, *self.addresses)}))

    @property
    def identity(self) -> SpiffeId:
        return SpiffeId(self.trust_domain, self.namespace, self.service_account)


async def run_agent(settings: AgentSettings, clock: Clock | None = None) -> None:
    """An agent and its Envoy until cancelled or asked to quit; connections are drained before the end."""
    await Agent(settings, clock or SystemClock()).run()


class Agent:
    """Certificates, SDS, Envoy and the status server of one pod."""

    def __init__(self, settings: AgentSettings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._quit = asyncio.Event()
        self._socket = settings.directory / "sds.sock"
        self._config = settings.directory / "envoy.json"
        self._relays, certificates = _ways_to_citadel(settings)
        self.certificates = certificate_source(certificates, clock)
        environment = tuple(proxy_environment(settings).items())
        self.proxy = ProxyProcess(
            msgspec.structs.replace(settings.proxy, environment=environment), self._config, clock
        )
        self._status = Status(
            settings.status, self.certificates, self.proxy, self._quit.set, self._more_metrics
        )
        self._probes = AppProbes(settings.probes, settings.here)
        self._door = HttpServer("0.0.0.0", settings.status_port, self._answer)
        self._taken, self._trust = Taken(), Said(None)
        self._believed = Believed()
        services = sds.services(self.certificates.held, clock, self._taken, self._believed)
        self._sds = GrpcServer(services, [Unix(str(self._socket))])
        self._names = PodNames(name_settings(settings)) if settings.dns_port else None
        self._datagrams = Datagrams(clock, settings.families) if settings.datagrams else None
        self._health = Health(settings.here, clock) if settings.registers else None
        self._told = self._talk_with_pilot()

    async def run(self) -> None:
        """Run until cancelled or `/quitquitquit`. Raises `OSError` for a taken port, `NoEnvoy`."""
        self.proxy.executable()  # else its absence would show only when there is a certificate
        self._settings.directory.mkdir(parents=True, exist_ok=True)
        self._told.remember()
        jobs = [self.certificates.run(), self._serve_secrets(), self._door.run(), self._run_proxy()]
        jobs += [self._told.run(), self._say_what_is_held()]
        jobs += [relay.run() for relay in self._relays]
        if self._datagrams is not None:
            jobs.append(self._datagrams.run())
        if self._health is not None:
            jobs.append(self._health.run())
        if self._names is not None:
            jobs.insert(0, self._names.run())  # even the agent's own questions are led to it
        async with supervise(*jobs):
            try:
                await self._quit.wait()
            finally:
                # The kubelet asks the application's hooks at the moment at which it asks the agent to end.
                await self._probes.hooks_are_answered()
                await self.proxy.drain()
                await self._probes.hooks_are_answered()

    async def _answer(self, request: Request) -> Response:
        """The answer to what is asked at the port of the agent."""
        responsible = self._probes if self._probes.answers(request) else self._status
        return await responsible.answer(request)

    def _talk_with_pilot(self) -> Told:
        """What is asked of Pilot for the agent itself, and said to it."""
        settings = self._settings
        wanted = {trust_bundles.TYPE_URL: Wanted((trust_bundles.NAME,), self._believed.take)}
        if self._names is not None:
            wanted[name_table.TYPE_URL] = Wanted(name_table.PART_NAMES, self._names.take)
        if self._datagrams is not None:
            wanted[doors.TYPE_URL] = Wanted((doors.NAME, doors.SHUT), self._datagrams.take)
        if self._health is not None:
            wanted[health.PROBE_TYPE] = Wanted((health.NAME,), self._health.take)
        who = node(node_id(settings), node_metadata(settings), settings.locality)
        path = settings.directory / PILOT_SOCKET
        said = {TRUST_TYPE: self._trust}
        if self._health is not None:
            said[health.HEALTH_TYPE] = self._health.fault
        return Told(path, who, wanted, settings.directory, said)

    async def _say_what_is_held(self) -> None:
        async for held in self._taken.held.changes():
            self._trust.set(written(trust_held(held)) if held is not None else None)

    def _more_metrics(self) -> dict[str, float]:
        found = self._names.metrics() if self._names is not None else {}
        if self._datagrams is not None:
            found["isthmus_datagram_ways"] = float(self._datagrams.open)
            found["isthmus_datagram_failures_total"] = float(self._datagrams.failures)
        return found

    async def _serve_secrets(self) -> None:
        while True:
            async with supervise(self._sds.run()):
                await self._sds.addresses()
                # Envoy's connection would outlive the socket's file, but Envoy's next start would not.
                while self._socket.exists():
                    await self._clock.sleep(_SOCKET_CHECK_S)
            log.error("the socket of SDS was removed, it is made again", socket=str(self._socket))

    async def _run_proxy(self) -> None:
        # Before there is a certificate Envoy could only fail to reach Pilot, and back off.
        await self.certificates.first()
        await self._sds.addresses()
        self._config.write_text(bootstrap_json(bootstrap_settings(self._settings, self._socket)))
        log.info("starting envoy", node=node_id(self._settings), pilot=self._settings.pilot)
        await self.proxy.run()


def _ways_to_citadel(settings: AgentSettings) -> tuple[tuple[MarkedRelay, ...], CertSettings]:
    """How Citadel is reached: past the capture of this pod's connections, where there is one."""
    told = settings.certificates
    mark = settings.mark
    if mark is None or settings.kind is not ProxyKind.SIDECAR:
        return (), told
    relay, citadel, name = _relayed(told.citadel, settings.directory / "citadel.sock", mark)
    told = msgspec.structs.replace(told, citadel=citadel, citadel_name=told.citadel_name or name)
    if not told.renewal:
        return (relay,), told
    second, renewal, name = _relayed(told.renewal, settings.directory / "renewal.sock", mark)
    return (relay, second), msgspec.structs.replace(
        told, renewal=renewal, renewal_name=told.renewal_name or name
    )


def _relayed(target: str, path: Path, mark: int) -> tuple[MarkedRelay, str, str]:
    """A relay to `target`, what is dialled instead, and the name to expect there."""
    host, _, port = target.rpartition(":")
    return MarkedRelay(path, host, int(port), mark), f"unix:{path}", host


def node_id(settings: AgentSettings) -> str:
    """Who this proxy is to Pilot, in Istio's form."""
    name = f"{settings.pod}.{settings.namespace}"
    return f"{settings.kind.value}~{settings.address}~{name}~{settings.namespace}.svc.{settings.domain}"


def node_metadata(settings: AgentSettings) -> dict[str, object]:
    """The metadata of Envoy's node: what Pilot must know of us and cannot see, under Istio's keys."""
    labels = {**read_podinfo(settings.podinfo / "labels"), **settings.labels}
    own: dict[str, object] = {
        "CLUSTER_ID": settings.cluster,
        "NETWORK": settings.network,
        "NAMESPACE": settings.namespace,
        "NAME": settings.pod,
        "SERVICE_ACCOUNT": settings.service_account,
        "LABELS": labels,
        "INSTANCE_IPS": ",".join(settings.addresses or (settings.address,)),
        "ISTIO_VERSION": settings.version,
        "ISTHMUS_RELEASE": RELEASE,
        "PROXY_CONFIG": _own_config(settings),
    }
    return {**settings.metadata, **{key: value for key, value in own.items() if value}}


def _own_config(settings: AgentSettings) -> object:
    """What the pod says of its proxy: Pilot puts it over the mesh's settings of the hour."""
    text = read_podinfo(settings.podinfo / "annotations").get(ANNOTATION, "")
    try:
        found = [document.value for document in documents(text)]
    except InvalidConfig:
        return None  # injection has said it
    return found[0] if found and isinstance(found[0], dict) else None


def proxy_environment(settings: AgentSettings) -> dict[str, str]:
    """What Envoy reads of its environment for spans: whose they are."""
    labels = {**read_podinfo(settings.podinfo / "labels"), **settings.labels}
    revision = labels.get("service.istio.io/canonical-revision") or labels.get("version") or "latest"
    already = settings.attributes
    attributes = {"service.name": service_name(settings.config, labels, settings.namespace)}
    pairs = [f"{key}={quote(value)}" for key, value in attributes.items() if f"{key}=" not in already]
    return {
        "ISTIO_META_CANONICAL_SERVICE": canonical_name(labels),
        "ISTIO_META_CANONICAL_REVISION": revision,
        "OTEL_RESOURCE_ATTRIBUTES": ",".join([*pairs, *([already] if already else [])]),
    }


def bootstrap_settings(settings: AgentSettings, socket: Path) -> BootstrapSettings:
    """What the bootstrap is made of."""
    host, _, port = settings.pilot.rpartition(":")
    config = settings.config
    labels = {**read_podinfo(settings.podinfo / "labels"), **settings.labels}
    wishes = stats_wishes(read_podinfo(settings.podinfo / "annotations"))
    return BootstrapSettings(
        node_id=node_id(settings),
        node_cluster=service_name(config, labels, settings.namespace),
        metadata=node_metadata(settings),
        locality=settings.locality,
        domain=settings.domain,
        pilot_host=host,
        pilot_port=int(port),
        pilot_identity=settings.pilot_identity,
        sds_socket=str(socket),
        pilot_socket=str(settings.directory / PILOT_SOCKET),
        dns_port=settings.envoy_dns_port if settings.dns_port else 0,
        admin_port=settings.proxy.admin_port,
        agent_port=settings.status_port,
        ready_port=settings.ready_port,
        stats_port=settings.stats_port,
        mark=settings.mark,
        families=settings.families,
        runtime=config.runtime_values,
        statsd=config.statsd_udp_address,
        metrics_service=config.envoy_metrics_service,
        stats=together(config.proxy_stats_matcher or StatsMatcher(), wishes.matcher),
        stat_tags=(*config.extra_stat_tags, *wishes.tags),
        stats_buckets=wishes.buckets,
        stats_eviction_s=wishes.eviction_s,
    )


def name_settings(settings: AgentSettings) -> NameSettings:
    """What the pod's DNS is made of."""
    return NameSettings(
        namespace=settings.namespace,
        domain=settings.domain,
        port=settings.dns_port,
        envoy_port=settings.envoy_dns_port,
        families=settings.families,
        mark=settings.mark,
    )


def read_podinfo(path: Path) -> dict[str, str]:
    """Labels or annotations as the downward API writes them, `key="value"` a line; none without the file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key: json.loads(value) for key, _, value in pairs}
