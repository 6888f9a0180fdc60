"""The key of the CA is in no log, no page, no error and no `repr`, and in no file that others may read."""

import base64
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from fakes.citadel import loopback_citadel
from fakes.eventually import eventually
from isthmus.ca import founding, store
from isthmus.ca.founding import Founding
from isthmus.ca.self_signed import material
from isthmus.ca.store import CA_CERT, CA_KEY, InvalidStore
from isthmus.kit import x509
from isthmus.kit.plain_http import fetch
from isthmus.kit.tasks import supervise
from isthmus.model.holdings import PAGE
from isthmus.sidecar.certs import Certificates


def parts(key: bytes) -> list[str]:
    """The key as it may show: its PEM's lines, the whole in base64, and its number."""
    lines = [line for line in key.decode().splitlines() if not line.startswith("-----")]
    number = x509.load_key(key).private_numbers().private_value
    return [*lines, base64.b64encode(key).decode(), str(number), f"{number:x}"]


async def test_nothing_that_citadel_says_holds_its_key(tmp_path: Path):
    with capture_logs() as logs:
        async with loopback_citadel(tmp_path / "ca") as citadel:
            key = (tmp_path / "ca" / CA_KEY).read_bytes()
            port = await citadel.citadel.monitoring.port()
            certificates = Certificates(citadel.workload("reviews", tmp_path / "pod", 3600))
            async with supervise(certificates.run()):
                await certificates.first()
            (tmp_path / "ca" / CA_KEY).write_bytes(key[:-60])

            async def complained() -> bool:
                return any(log["log_level"] == "error" for log in logs)

            await eventually(complained)
            pages = [(await fetch("GET", port, path)).body for path in ("/metrics", "/ready", PAGE)]
            said = repr((citadel.authority.value, citadel.settings, vars(citadel.authority.value)))
    text = "".join((said, repr(logs), *(page.decode() for page in pages)))
    assert "Isthmus CA" in text
    assert "CA files changed and cannot be used" in text
    assert not [part for part in parts(key) if part in text]


@pytest.mark.parametrize("cut", [0, 1, 10, 60])
def test_an_error_about_the_key_holds_no_part_of_it(tmp_path: Path, cut: int):
    founding.found(tmp_path)
    founding.found(tmp_path / "other")
    files = store.read(tmp_path)
    # Cut short, or the key of another CA.
    key = files[CA_KEY][:-cut] if cut else (tmp_path / "other" / CA_KEY).read_bytes()
    data = {name: base64.b64encode(pem).decode() for name, pem in ((CA_KEY, key), (CA_CERT, files[CA_CERT]))}
    lines = [line for line in key.decode().splitlines() if not line.startswith("-----") and len(line) > 8]
    for attempt in (lambda: store.verify(files | {CA_KEY: key}, NOW), lambda: material(data, NOW)):
        try:
            attempt()
        except InvalidStore as error:
            text = "".join(traceback.format_exception(error))
            assert not [line for line in lines if line in text]
        else:
            assert cut == 1, "only the last line's end may be missing"


NOW = 1_800_000_000.0


def test_keys_on_disk_are_for_their_owner_alone(tmp_path: Path):
    made = founding.found(tmp_path / "ca", Founding(clusters=("gke", "onprem")))
    keys = [path for path in made if b"PRIVATE KEY" in path.read_bytes()]
    assert {path.name for path in keys} == {CA_KEY, founding.ROOT_KEY}
    assert len(keys) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


DIES = "import os\n{}\nos.abort()"
NO_CORE = "from isthmus.kit import core_dumps; core_dumps.leave_none()"


def leaves_core(folder: Path, before: str) -> bool:
    """Whether a process that dies leaves its memory behind."""
    code = "import os, resource\ncore = resource.RLIMIT_CORE\n"
    code += "resource.setrlimit(core, (resource.getrlimit(core)[1],) * 2)\n"
    code += "pid = os.fork()\nif pid == 0:\n    " + DIES.format(before).replace("\n", "\n    ")
    code += "\nprint(os.WCOREDUMP(os.waitpid(pid, 0)[1]))"
    asked = [sys.executable, "-c", code]
    done = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip() == "True"


def test_a_process_with_keys_leaves_no_core_dump(tmp_path: Path):
    if not leaves_core(tmp_path, ""):
        pytest.skip("no process leaves a core dump on this machine")
    assert not leaves_core(tmp_path, NO_CORE)
