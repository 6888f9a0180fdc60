"""Build what is published into `dist/`: wheel, source, Helm chart, bases of kustomize, and a bill of materials.

The same commit gives the same bytes, wherever and whenever it is built: times are that of the commit, and the tools
that build are pinned like all others. `python tools/dist.py FOLDER` builds into another folder.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from isthmus.console.chart.made import files
from isthmus.console.install.kustomization import base
from isthmus.console.install.reading import Layer, profile, settings
from isthmus.console.installation import documents, dump
from isthmus.kit.release import RELEASE

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTORS = ROOT / "src" / "isthmus" / "envoy" / "descriptors.binpb.xz"
LOCK = ROOT / "requirements.lock"
SBOM = "isthmus.cdx.json"
BIN = Path(sys.executable).parent
_IMAGE = re.compile(r"^ARG ENVOY=(?P<name>[\w./-]+):(?P<tag>[\w.-]*v(?P<version>[\d.]+))", re.MULTILINE)
_OF_US = uuid.UUID("5b1d3a52-6f0a-5d0e-9a52-0f6d1c1f7e11")

CLUSTER = "kubernetes"
BASES = (
    *(("default", role) for role in ("primary", "gateway", "egress-gateway", "gateway-api")),
    *(("production", role) for role in ("primary", "gateway", "egress-gateway")),
)
"""Profile and role of each base of kustomize."""

Json = dict[str, Any]


def main() -> int:
    """0 when all is built; 1, with the mend, where something that belongs to it is missing."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    if not DESCRIPTORS.is_file():
        print("Envoy's descriptors are not there (hint: make setup)", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    epoch = f"SOURCE_DATE_EPOCH={commit_time()}"
    build = ["env", epoch, sys.executable, "-m", "hatchling", "build", "-d", str(folder.absolute())]
    subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for name, found in (("chart", files()), ("kustomize", bases())):
        (folder / f"isthmus-{name}-{RELEASE}.tgz").write_bytes(archive(found, int(commit_time())))
    (folder / SBOM).write_text(json.dumps(bill(), indent=2, sort_keys=True) + "\n")
    for each in sorted(folder.iterdir()):
        print(f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.name}")
    return 0


def commit_time() -> str:
    """When the commit was made, in seconds since 1970."""
    asked = ["git", "log", "-1", "--format=%ct"]
    return subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def archive(found: Iterable[tuple[str, str]], epoch: int) -> bytes:
    """Files as an archive, below `isthmus/`, as `helm package` has it, with the commit's time on everything."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as made:
        for name, text in found:
            about = tarfile.TarInfo(f"isthmus/{name}")
            content = text.encode()
            about.size, about.mtime = len(content), epoch
            made.addfile(about, io.BytesIO(content))
    return gzip.compress(held.getvalue(), mtime=epoch)


def bases() -> Iterator[tuple[str, str]]:
    """The bases of kustomize, a folder each, of what depends on no names but the cluster's."""
    for name, role in BASES:
        made = documents(role, settings([profile(name), Layer("", {"cluster": CLUSTER})]))
        for path, text in base(role, made, dump).items():
            yield f"{name}/{role}/{path}", text


def bill() -> Json:
    """The bill of materials: what the lock has, and the Envoy that the image takes from its makers' one."""
    with tempfile.TemporaryDirectory() as work:
        made = Path(work) / SBOM
        command = [
            str(BIN / "cyclonedx-py"),
            "requirements",
            str(LOCK),
            "--pyproject",
            str(ROOT / "pyproject.toml"),
        ]
        options = [
            "--mc-type",
            "application",
            "--output-reproducible",
            "--no-validate",  # that is for the whole of it, below
            "--spec-version",
            "1.6",
            "-o",
            str(made),
        ]
        subprocess.run([*command, *options], check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
        found: Json = json.loads(made.read_text())
    found["components"].append(_envoy())
    found["serialNumber"] = f"urn:uuid:{uuid.uuid5(_OF_US, LOCK.read_text())}"
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(found)):
        raise ValueError(f"the bill of materials is no CycloneDX: {wrong}")
    return found


def _envoy() -> Json:
    image = _IMAGE.search((ROOT / "Dockerfile").read_text())
    if image is None:
        raise ValueError("the Dockerfile names no image of Envoy (hint: ARG ENVOY=envoyproxy/envoy:…)")
    name, tag = image["name"], image["tag"]
    return {
        "bom-ref": "envoy",
        "type": "application",
        "name": "envoy",
        "version": image["version"],
        "description": "The proxy, copied from its official image",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "purl": f"pkg:docker/{name}@{tag}",
    }


if __name__ == "__main__":
    sys.exit(main())
