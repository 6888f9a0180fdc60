"""The whole agent on loopback: real Envoy, real Citadel, and a Pilot that has nothing to say."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from fakes.citadel import loopback_citadel
from fakes.eventually import eventually
from fakes.ports import free_ports
from isthmus.envoy.binary import NoEnvoy
from isthmus.envoy.types import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from isthmus.kit.clock import SystemClock
from isthmus.kit.plain_http import Request, fetch
from isthmus.kit.tasks import supervise
from isthmus.model.health import PROBE_TYPE
from isthmus.model.identity import SpiffeId
from isthmus.model.name_table import TYPE_URL
from isthmus.model.registration import ASKED_GROUP
from isthmus.sidecar.agent import Agent, AgentSettings, node_id, node_metadata, read_podinfo
from isthmus.sidecar.certs import Certificates, CertSettings
from isthmus.sidecar.proxy_process import ProxyProcess, ProxySettings
from isthmus.sidecar.request import RequestFailed, request, wait_until_ready
from isthmus.sidecar.status import Status, StatusSettings
from isthmus.wire.listeners import Secure, ServerCertificate
from isthmus.wire.serve import Bidi, GrpcServer
from isthmus.wire.stream import Stream

DELTA_ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


def settings_for(certificates: CertSettings, directory: Path) -> AgentSettings:
    return AgentSettings(
        pod="reviews-1",
        namespace="default",
        address="10.10.1.7",
        service_account="reviews",
        cluster="gke",
        podinfo=directory,
        directory=directory,
        certificates=certificates,
    )


def test_the_node_tells_pilot_who_it_is(tmp_path: Path):
    (tmp_path / "labels").write_text('app="reviews"\nnote="a \\"b\\" = c"\n')
    settings = replace(
        settings_for(CertSettings(identity=SpiffeId("cluster.local", "default", "reviews")), tmp_path),
        metadata={"WORKLOAD_NAME": "r", "CLUSTER_ID": "x"},
    )
    assert node_id(settings) == "sidecar~10.10.1.7~reviews-1.default~default.svc.cluster.local"
    metadata = node_metadata(settings)
    assert metadata["CLUSTER_ID"] == "gke"
    assert metadata["WORKLOAD_NAME"] == "r"
    assert metadata["LABELS"] == {"app": "reviews", "note": 'a "b" = c'}
    assert "NETWORK" not in metadata
    assert read_podinfo(tmp_path / "annotations") == {}


async def test_nobody_home_is_an_error_with_a_hint():
    (port,) = free_ports(1)
    with pytest.raises(RequestFailed, match="hint: does Envoy run here"):
        await request("GET", "config_dump", port)
    with pytest.raises(RequestFailed):
        await wait_until_ready(port, limit_s=0)


async def test_only_the_pod_itself_may_end_its_agent(tmp_path: Path):
    identity = SpiffeId("cluster.local", "default", "reviews")
    asked: list[str] = []
    status = Status(
        StatusSettings(),
        Certificates(CertSettings(identity=identity)),
        ProxyProcess(ProxySettings(), tmp_path / "envoy.json", SystemClock()),
        lambda: asked.append("quit"),
    )
    quit_ = Request("POST", "/quitquitquit", {})
    assert (await status.answer(quit_._replace(asker="10.10.1.8"))).status == 403
    assert asked == []
    assert (await status.answer(quit_._replace(asker="127.0.0.1"))).status == 200
    assert asked == ["quit"]


async def test_an_agent_without_envoy_says_so_at_once(tmp_path: Path):
    identity = SpiffeId("cluster.local", "default", "reviews")
    settings = replace(
        settings_for(CertSettings(identity=identity), tmp_path),
        proxy=ProxySettings(executable=str(tmp_path / "envoy")),
    )
    with pytest.raises(NoEnvoy, match=r"envoy is not there \(hint:"):
        await Agent(settings, SystemClock()).run()


SLEEPER = """
import asyncio, sys
from pathlib import Path
from isthmus.kit.clock import SystemClock
from isthmus.sidecar.proxy_process import ProxyProcess, ProxySettings

async def main():
    proxy = ProxyProcess(ProxySettings(executable=sys.argv[1]), Path("none"), SystemClock())
    running = asyncio.ensure_future(proxy.run())
    while not proxy.is_running:
        await asyncio.sleep(0.01)
    print(proxy.pid, flush=True)
    await running

asyncio.run(main())
"""


def ended(stat: Path) -> bool:
    """Whether the process with this file in /proc is gone, or a zombie that nobody waits for."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_an_agent_that_is_killed_takes_its_envoy_along(tmp_path: Path):
    envoy = tmp_path / "envoy"
    envoy.write_text("#!/bin/sh\necho started\nexec sleep 600\n")
    envoy.chmod(0o755)
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SLEEPER, str(envoy), stdout=asyncio.subprocess.PIPE
    )
    assert agent.stdout is not None
    said = sorted([await agent.stdout.readline(), await agent.stdout.readline()])
    assert said[1] == b"started\n"
    envoy_status = Path(f"/proc/{int(said[0])}/stat")
    agent.kill()
    await agent.wait()

    async def gone() -> bool:
        return ended(envoy_status)

    await eventually(gone)


class SilentPilot:
    """Answers each subscription with nothing, which is what makes an Envoy ready; keeps who called."""

    def __init__(self, certificates: Certificates) -> None:
        self.nodes: list[str] = []
        self.uris: list[tuple[str, ...]] = []
        self.types: set[str] = set()
        self._certificates = certificates
        self.server = GrpcServer({DELTA_ADS: Bidi(self.talk)}, [Secure("127.0.0.1", 0, self.shown)])

    def shown(self) -> ServerCertificate:
        held = self._certificates.held.value
        assert held is not None
        return ServerCertificate(held.chain, held.key, held.roots)

    async def talk(self, stream: Stream) -> None:
        self.uris.append(stream.peer.uris)
        count = 0
        while (message := await stream.receive()) is not None:
            asked = DeltaDiscoveryRequest.FromString(message)
            if asked.HasField("node"):
                self.nodes.append(asked.node.id)
            self.types.add(asked.type_url)
            if not asked.response_nonce:
                count += 1
                answer = DeltaDiscoveryResponse(type_url=asked.type_url, nonce=str(count))
                await stream.send(answer.SerializeToString())


class Running:
    """An agent that runs, its settings and its Pilot."""

    def __init__(self, agent: Agent, settings: AgentSettings, pilot: SilentPilot) -> None:
        self.agent, self.settings, self.pilot = agent, settings, pilot

    async def status(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        answer = await fetch(method, self.settings.status_port, path)
        return answer.status, answer.body

    async def ready(self) -> bool:
        try:
            return (await self.status("/healthz/ready"))[0] == 200
        except OSError:
            return False


@asynccontextmanager
async def running_agent() -> AsyncIterator[Running]:
    place = Path(tempfile.mkdtemp(prefix="isthmus-"))
    admin, status, ready, stats = free_ports(4)
    try:
        async with loopback_citadel(place / "ca") as citadel:
            account = "pilot"
            pilot_certificates = Certificates(citadel.workload(account, place / "pilot", 3600))
            pilot = SilentPilot(pilot_certificates)
            async with supervise(pilot_certificates.run()):
                await pilot_certificates.first()
                async with supervise(pilot.server.run()):
                    (address,) = await pilot.server.addresses()
                    settings = replace(
                        settings_for(citadel.workload("reviews", place / "pod", 3600), place / "pod"),
                        pilot=address.replace("127.0.0.1", "localhost"),
                        pilot_identity="spiffe://cluster.local/ns/default/sa/pilot",
                        proxy=ProxySettings(admin_port=admin, concurrency=1, drain_s=0.1, log_level="error"),
                        status=StatusSettings(admin_port=admin),
                        status_port=status,
                        ready_port=ready,
                        stats_port=stats,
                        mark=None,
                    )
                    agent = Agent(settings, SystemClock())
                    yield Running(agent, settings, pilot)
    finally:
        shutil.rmtree(place)


@pytest.mark.lab
async def test_an_agent_brings_its_envoy_to_pilot_and_says_when_it_is_ready():
    async with running_agent() as running, supervise(running.agent.run()):
        await wait_until_ready(running.settings.status_port)
        assert set(running.pilot.nodes) == {node_id(running.settings)}
        assert running.pilot.uris[0] == ("spiffe://cluster.local/ns/default/sa/reviews",)
        # The kubelet's probe goes through Envoy itself.
        assert (await fetch("GET", running.settings.ready_port, "/healthz/ready")).body == b"ready\n"
        assert (await fetch("GET", running.settings.ready_port, "/config_dump")).status == 404
        _, metrics = await running.status("/stats/prometheus")
        assert b'envoy_cluster_upstream_cx_total{cluster_name="xds-grpc"}' in metrics
        # Of other upstreams that only by which they are watched.
        assert b'envoy_cluster_upstream_cx_total{cluster_name="agent"}' in metrics
        assert b'envoy_cluster_upstream_cx_http2_total{cluster_name="xds-grpc"}' in metrics
        assert b'envoy_cluster_upstream_cx_http2_total{cluster_name="agent"}' not in metrics
        assert b"istio_agent_num_certificates_received 1.0" in metrics
        through_envoy = await fetch("GET", running.settings.stats_port, "/stats/prometheus")
        assert b"envoy_server_live" in through_envoy.body
        dump = json.loads(await request("GET", "config_dump", running.settings.proxy.admin_port))
        bootstrap = dump["configs"][0]["bootstrap"]
        assert bootstrap["node"]["metadata"]["CLUSTER_ID"] == "gke"
        with pytest.raises(RequestFailed, match="status 404"):
            await request("GET", "/nothing", running.settings.proxy.admin_port)


@pytest.mark.lab
async def test_an_agent_asks_pilot_for_names_through_its_envoy():
    async with running_agent() as running:
        dns, envoys = free_ports(2)
        settings = replace(running.settings, dns_port=dns, envoy_dns_port=envoys)
        async with supervise(Agent(settings, SystemClock()).run()):

            async def asked() -> bool:
                return TYPE_URL in running.pilot.types

            await eventually(asked)
            assert set(running.pilot.nodes) == {node_id(settings)}
            # Envoy found Pilot, by name, at the agent.
            _, metrics = await running.status("/stats/prometheus")
            assert b"isthmus_dns_names 0.0" in metrics


@pytest.mark.lab
async def test_an_agent_of_a_group_asks_pilot_how_to_probe_its_workload():
    async with running_agent() as running:
        settings = replace(running.settings, metadata={ASKED_GROUP: "vms"})
        async with supervise(Agent(settings, SystemClock()).run()):

            async def asked() -> bool:
                return PROBE_TYPE in running.pilot.types

            await eventually(asked)


@pytest.mark.lab
async def test_without_pilot_an_agent_says_what_its_envoy_waits_for():
    async with running_agent() as running:
        (nobody,) = free_ports(1)
        agent = Agent(replace(running.settings, pilot=f"localhost:{nobody}"), SystemClock())
        async with supervise(agent.run()):

            async def waits() -> bool:
                try:
                    status, body = await running.status("/healthz/ready")
                except OSError:
                    return False
                return status == 503 and b"it has no configuration from pilot yet" in body

            await eventually(waits)


@pytest.mark.lab
async def test_an_envoy_that_is_killed_comes_back():
    async with running_agent() as running, supervise(running.agent.run()):
        await wait_until_ready(running.settings.status_port)
        info = json.loads(await request("GET", "server_info", running.settings.proxy.admin_port))
        assert info["state"] == "LIVE"
        os.kill(running.agent.proxy.pid, signal.SIGKILL)
        await eventually(lambda: started_twice(running))
        await eventually(running.ready)


@pytest.mark.lab
async def test_a_socket_that_is_removed_is_made_again_and_a_new_envoy_finds_it():
    async with running_agent() as running, supervise(running.agent.run()):
        await wait_until_ready(running.settings.status_port)
        socket = running.settings.directory / "sds.sock"
        socket.unlink()

        async def back() -> bool:
            return socket.exists()

        await eventually(back)
        os.kill(running.agent.proxy.pid, signal.SIGKILL)
        await eventually(lambda: started_twice(running))
        await eventually(running.ready)


async def started_twice(running: Running) -> bool:
    return running.agent.proxy.starts == 2


@pytest.mark.lab
async def test_an_agent_ends_with_its_envoy_when_it_is_cancelled_or_asked_to_quit():
    async with running_agent() as running:
        async with supervise(running.agent.run()):
            await wait_until_ready(running.settings.status_port)
        assert not running.agent.proxy.is_running
        again = Agent(running.settings, SystemClock())
        async with asyncio.TaskGroup() as group:
            job = group.create_task(again.run())
            await wait_until_ready(running.settings.status_port)
            assert (await running.status("/quitquitquit", "POST"))[0] == 200
            async with asyncio.timeout(30):
                await job
        assert not again.proxy.is_running
