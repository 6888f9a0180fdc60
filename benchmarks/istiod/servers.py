"""The two control planes as processes: how each is started, told the same, and asked whether it is ready."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.istiod.certificates import Authority
from benchmarks.istiod.processes import Cost, Program, answers, free_ports

from isthmus.settings import environment

CLUSTER = "Kubernetes"


@dataclass(frozen=True, slots=True)
class Terms:
    """What both are told."""

    kubeconfig: Path
    folder: Path
    quiet_ms: int = 10
    """Of quiet after a change before it is sent."""
    most_ms: int = 100
    """That a change waits at the most."""
    authority: Authority | None = None
    """Who signs, where proxies come over TLS."""
    profile: tuple[str, ...] = field(default=())
    """Words before those of a program of Python, such as those of a profiler."""


class Server(ABC):
    """A control plane that can be started again and again."""

    name = ""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._programs: list[Program] = []
        self.port = 0
        """Where proxies connect."""
        self._round = 0

    @abstractmethod
    def start(self) -> None:
        """Begin, and return when it says that it is ready."""

    def stop(self) -> None:
        """End, as when it is told to."""
        for each in self._programs:
            each.stop(gently=True)
        self._programs = []

    def cost(self) -> Cost:
        """Of all its processes."""
        return sum((each.cost() for each in self._programs), Cost())

    @property
    def number(self) -> int:
        """The process id of what serves proxies."""
        return self._programs[-1].number

    def _run(self, words: list[str], more: dict[str, str] | None = None) -> Program:
        self._round += 1
        folder = self._terms.folder / f"{self.name}-{self._round}"
        folder.mkdir(parents=True, exist_ok=True)
        found = Program(words, folder / "log", more)
        self._programs.append(found)
        return found


class Istiod(Server):
    """pilot-discovery as tools/istiod builds it."""

    name = "istiod"

    def start(self) -> None:
        terms = self._terms
        plain, secure, http, monitoring, control = free_ports(5)
        is_secure = terms.authority is not None
        words = [
            str(_built()),
            "discovery",
            f"--kubeconfig={terms.kubeconfig}",
            f"--grpcAddr={'' if is_secure else f'127.0.0.1:{plain}'}",
            f"--secureGRPCAddr={f'127.0.0.1:{secure}' if is_secure else ''}",
            f"--httpAddr=127.0.0.1:{http}",
            "--httpsAddr=",
            f"--monitoringAddr=127.0.0.1:{monitoring}",
            f"--ctrlz_port={control}",
            "--profile=false",
            f"--clusterID={CLUSTER}",
            "--log_output_level=default:warn",
            "--shutdownDuration=0s",
        ]
        told = {
            "POD_NAME": "istiod-1",
            "POD_NAMESPACE": "istio-system",
            "REVISION": "default",
            "PILOT_DEBOUNCE_AFTER": f"{terms.quiet_ms}ms",
            "PILOT_DEBOUNCE_MAX": f"{terms.most_ms}ms",
            "PILOT_MAX_REQUESTS_PER_SECOND": "100000",
            "INJECTION_WEBHOOK_CONFIG_NAME": "",
            "VALIDATION_WEBHOOK_CONFIG_NAME": "",
        }
        if terms.authority is None:
            told |= {"PILOT_CERT_PROVIDER": "none", "ENABLE_CA_SERVER": "false"}
        else:
            told |= {"ROOT_CA_DIR": str(terms.authority.folder)}
        found = self._run(words, told)
        found.until(lambda: answers(f"http://127.0.0.1:{http}/ready"))
        self.port = secure if is_secure else plain


class Isthmus(Server):
    """Our Pilot; with TLS a Citadel, too, which counts as a part of it."""

    name = "isthmus"

    def start(self) -> None:
        terms = self._terms
        plain, secure, monitoring, citadel, watched = free_ports(5)
        is_secure = terms.authority is not None
        words = [
            *terms.profile,
            *(sys.executable, "-m", "isthmus", "run", "pilot"),
            f"--kubeconfig={terms.kubeconfig}",
            f"--cluster={CLUSTER}",
            "--address=127.0.0.1",
            f"--grpc-port={0 if is_secure else plain}",
            f"--secure-grpc-port={secure if is_secure else 0}",
            f"--monitoring-port={monitoring}",
            "--webhook-port=0",
            f"--quiet-s={terms.quiet_ms / 1000}",
            f"--max-delay-s={terms.most_ms / 1000}",
            "--analysis-in-status=false",
            "--log-level=warning",
        ]
        if terms.authority is not None:
            own = terms.authority
            signing = [
                *(sys.executable, "-m", "isthmus", "run", "citadel", f"--kubeconfig={terms.kubeconfig}"),
                f"--cluster={CLUSTER}",
                f"--ca-dir={own.folder}",
                f"--grpc-port={citadel}",
                "--grpc-hostname=localhost",
                f"--monitoring-port={watched}",
                "--log-level=warning",
            ]
            self._run(signing).until(lambda: answers(f"http://127.0.0.1:{watched}/ready"))
            words += [
                f"--citadel=localhost:{citadel}",
                f"--token-path={own.token}",
                f"--root-path={own.roots}",
            ]
        found = self._run(words, {"PYTHONPATH": environment().get("PYTHONPATH", "")})
        found.until(lambda: answers(f"http://127.0.0.1:{monitoring}/ready"))
        self.port = secure if is_secure else plain


def _built() -> Path:
    """Where tools/istiod puts it. Raises `FileNotFoundError`."""
    folder = Path.home() / ".cache/isthmus"
    for each in sorted(folder.glob("istiod-*/pilot-discovery")):
        return each
    raise FileNotFoundError("no istiod (hint: tools/istiod builds it)")
