"""The reference of findings, as Markdown: what each code means, manifests that have it, and the mend.

The manifests are the cases of tests/findings, so that what the page shows is what is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import yaml

from isthmus.console.drawn_mesh import DrawnMesh, draw
from isthmus.console.fault import Fault, fault
from isthmus.console.faults import faults_together
from isthmus.console.written import Manifest
from isthmus.discovery.registrations import Registrations
from isthmus.kit.clock import ManualClock, SystemClock
from isthmus.model.codes import Code
from isthmus.model.registration import ASKED_GROUP
from isthmus.translate.offline import ProxySpec, proxy_said

_MARK, _MENDED = "---\n", "---\nkind: Mended\n---\n"
_HEAD = """# Findings

What `isthmus analyze`, `isthmus validate`, Pilot's log and the status of objects say is wrong, by its code. Made by
`make docs`; do not edit.

Codes that begin with IST are those of Istio's analyzer for the same thing; those with ISM are our own. An *error* means
that the object, or a part of it, has no effect; a *warning* that it has one which its author may not have meant. The
annotation `galley.istio.io/analyze-suppress: IST0103,IST0108` on an object keeps findings of these codes away from it
(`"*"`: of all), and so does `isthmus analyze --suppress "IST0103=Pod shop/*"`.
"""

_UNCHECKED = """
## Codes of Istio's that nothing here has

Compared with Istio's list (`pkg/config/analysis/msg/messages.yaml`) up to IST0174. IST0104, IST0105, IST0114, IST0115,
IST0117, IST0120, IST0121 and IST0124 are given up there; IST0172 stands in no list of it that is public.

| code | name | why not |
|---|---|---|
| IST0001 | InternalError | a fault of the analysis itself ends the command with 1, and says so |
| IST0133 | SchemaWarning | what is read and has no effect is ISM0007 |
| IST0136 | AlphaAnnotation | whether an annotation has an effect is ISM0008, however old it is |
| IST0139 | InvalidWebhook | the webhook is installed with Pilot, which keeps it right |
| IST0141 | InsufficientPermissions | `isthmus install` writes manifests; the API server says why it takes none |
| IST0142 | UnsupportedKubernetesVersion | likewise |
| IST0143 | LocalhostListener | where a process listens is not said by any object, and analysis runs nothing in pods |
| IST0148 | NamespaceInjectionEnabledByDefault | namespaces are never injected without a label here |
| IST0156 | UnsupportedGatewayAPIVersion | of each kind the newest version that a cluster serves is read |
| IST0158 | PodsIstioProxyImageMismatchInNamespace | Pilot serves proxies of other images as well |
| IST0163 | InvalidExternalControlPlaneConfig | there is no external control plane |
| IST0164 | ExternalControlPlaneAddressIsNotAHostname | likewise |
| IST0166 | IneffectiveSelector | labels select the Envoys of Gateways of the Gateway API as well as others |
| IST0168 | UnknownUpgradeCompatibility | there is no older release of which defaults could have changed |
| IST0169 | UpdateIncompatibility | likewise |
"""


class Case(NamedTuple):
    """What is to be found where, in which manifests; how to mend that, and manifests in which it is mended."""

    code: str
    finds: frozenset[tuple[str, str]]  # object and path
    wrong: str
    mend: str
    mended: str
    now: datetime | None  # what the time is, where that matters
    proxies: tuple[ProxySpec, ...]  # who comes to Pilot, where that matters

    def found(self, text: str) -> Iterator[Fault]:
        """What is found of the case's code in `text`, at its time and with its proxies."""
        clock = SystemClock() if self.now is None else ManualClock(self.now.timestamp())
        manifests = [Manifest("mesh.yaml", text)]
        found = (*faults_together(manifests, clock=clock), *_refused(draw(manifests), self.proxies))
        return (each for each in found if each.code == self.code)


def read_case(path: Path) -> Case:
    """The case in a file."""
    head, _, rest = path.read_text().partition(_MARK)
    wrong, _, laid = rest.partition(_MENDED)
    said = yaml.safe_load(head)
    places = (each.rsplit(" ", 1) for each in said["finds"])
    finds = frozenset((found, at) for found, at in places)
    proxies = msgspec.convert(said.get("proxies", ()), tuple[ProxySpec, ...])
    return Case(said["code"], finds, wrong, said["mend"], _laid_over(wrong, laid), said.get("now"), proxies)


def page(cases: Path) -> str:
    """The page, with the cases that are in a directory."""
    known = {case.code: case for case in map(read_case, sorted(cases.glob("*.yaml")))}
    rows = [
        f"| [{each.number}](#{each.number.lower()}) | {each.title} | {each.severity.value} | {each.meaning} |"
        for each in _codes()
    ]
    table = "\n".join(["| code | name | usually | what it means |", "|---|---|---|---|", *rows])
    sections = (_section(each, known.get(each.number)) for each in _codes())
    return "\n".join([_HEAD, table, "", *sections, _UNCHECKED.lstrip("\n")])


def _codes() -> list[Code]:
    return sorted(Code, key=lambda code: (code.number.startswith("ISM"), code.number))


def _section(code: Code, case: Case | None) -> str:
    head = f'<a id="{code.number.lower()}"></a>\n## {code.number} {code.title}\n\n{code.meaning}\n'
    if case is None:
        return head
    told = "\n".join(map(str, case.found(case.wrong)))
    when = f"On {case.now:%Y-%m-%d}:\n\n" if case.now is not None else ""
    who = "".join(f"To Pilot comes {_of(each)}:\n\n" for each in case.proxies)
    return f"{head}\n{when}{who}```yaml\n{case.wrong}```\n\n```text\n{told}\n```\n\n{case.mend}\n"


def _of(proxy: ProxySpec) -> str:
    group = proxy.metadata.get(ASKED_GROUP, "")
    return f"{proxy.namespace}/{proxy.name} at {proxy.address}, which asks to be of WorkloadGroup {group}"


def _refused(drawn: DrawnMesh, proxies: tuple[ProxySpec, ...]) -> Iterator[Fault]:
    """What Pilot says of proxies that come, and may not have what they ask for."""
    mesh = drawn.generation.mesh
    registrations = Registrations(lambda: mesh, lambda: None)
    for each in proxies:
        with suppress(PermissionError):
            registrations.proven(proxy_said(each, mesh.settings.config_cluster))
    return map(fault, registrations.findings)


def _laid_over(wrong: str, mend: str) -> str:
    """The documents of `wrong` but those that are in `mend`, too, and these."""
    kept: dict[tuple[str, ...], str] = {}
    cluster = ""
    for text in (wrong, mend):
        for part in text.split(_MARK):
            document = yaml.safe_load(part)
            meta = document["metadata"]
            cluster = meta["name"] if document["kind"] == "Cluster" else cluster
            kept[cluster, document["kind"], meta.get("namespace", ""), meta["name"]] = part
    clusters = dict.fromkeys(key[0] for key in kept)
    return _MARK.join(part for name in clusters for key, part in kept.items() if key[0] == name)
