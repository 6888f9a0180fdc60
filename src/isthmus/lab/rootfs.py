"""The files a container sees: the host's programs read-only, and everything else fresh and its own.

`Host` is made once in the mount namespace of a shim; `enter` moves a forked child into a root of its own.
Nothing is written to the host: what a container writes is in a tmpfs that ends with it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from isthmus.lab.shim_protocol import Mount
from isthmus.lab.syscalls import (
    CLONE_NEWNS,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    bind,
    make_read_only,
    make_unbindable,
    mount,
    pivot_root,
    unmount,
    unshare,
)

_FRESH = frozenset({"tmp", "run", "var"})
_NOT_SHOWN = frozenset({"proc", "lost+found", *_FRESH})
_DIRECTORIES = ("tmp", "run/lock", "var/cache", "var/lib", "var/log", "var/tmp", "proc")
_LINKS = {"var/run": "../run", "var/lock": "../run/lock"}
_NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
_REPLACED = frozenset({"resolv.conf", "hosts", "hostname", "nsswitch.conf"})


@dataclass(frozen=True, slots=True)
class Host:
    """The host's tree, bound read-only below `shown`; containers get theirs at `root`."""

    shown: str
    root: str
    directories: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    visible: tuple[str, ...]
    overlay: bool


def prepare(base: str, visible: Iterable[str]) -> Host:
    """Bind the host's tree below `base`, in a mount namespace of this process's own.

    `visible` are paths that must be seen though they are in places containers have to themselves.
    """
    unshare(CLONE_NEWNS)
    mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    make_unbindable(base)  # else showing the directory that holds `base` would show `base` in itself
    shown, root = f"{base}/host", f"{base}/root"
    Path(root).mkdir()
    directories, links = [], []
    for entry in os.scandir("/"):
        if entry.name in _NOT_SHOWN:
            continue
        if entry.is_symlink():
            links.append((entry.name, str(Path(entry.path).readlink()).lstrip("/")))
        elif entry.is_dir():
            directories.append(entry.name)
    seen = tuple(sorted(path for path in set(visible) if _top(path) in _FRESH and Path(path).is_dir()))
    for name in (*directories, *(path[1:] for path in seen)):
        Path(shown, name).mkdir(parents=True, exist_ok=True)
        bind(f"/{name}", f"{shown}/{name}")
        make_read_only(f"{shown}/{name}")
    return Host(shown, root, tuple(directories), tuple(links), seen, _overlay_works(base))


def needed_by_python() -> tuple[str, ...]:
    """The directories this interpreter reads its modules from."""
    return (sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path if path))


def enter(host: Host, mounts: tuple[Mount, ...], etc: Mapping[str, str]) -> None:
    """Give this process, which must be in its pod's pid namespace, a root of its own and go there.

    `etc` are files of /etc by name. Raises OSError that names the mount that failed.
    """
    unshare(CLONE_NEWNS)
    mount("tmpfs", host.root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
    root = Path(host.root)
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, target in (*_LINKS.items(), *host.links):
        (root / name).symlink_to(target)
    for name in ("tmp", "var/tmp", "run/lock"):
        (root / name).chmod(0o1777)
    wanted = [(_real(host, each.target), each) for each in mounts]
    wanted.sort(key=lambda pair: pair[0].count("/"))
    for name in host.directories:
        below = _missing(name, wanted)
        _show(host, name, below, etc if name == "etc" else {})
    for path in host.visible:
        (root / path[1:]).mkdir(parents=True, exist_ok=True)
        bind(f"{host.shown}{path}", f"{host.root}{path}")
    mount("proc", f"{host.root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    shared_memory = Path(host.root, "dev", "shm")
    if shared_memory.is_dir():
        mount("tmpfs", str(shared_memory), "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for path, each in wanted:
        _mount_one(host, path, each)
    os.chdir(host.root)
    pivot_root(".", ".")
    unmount(".")
    os.chdir("/")


def _mount_one(host: Host, path: str, wanted: Mount) -> None:
    target = Path(host.root + path)
    is_file = bool(wanted.source) and not Path(wanted.source).is_dir()
    if wanted.source and not os.path.lexists(wanted.source):
        raise FileNotFoundError(f"mount on {wanted.target}: {wanted.source} does not exist")
    _make_target(target, is_file=is_file)
    if wanted.source:
        bind(wanted.source, str(target))
    else:
        mount("tmpfs", str(target), "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    if wanted.read_only:
        make_read_only(str(target))


def _make_target(target: Path, *, is_file: bool) -> None:
    if target.exists():
        return
    if is_file:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    else:
        target.mkdir(parents=True, exist_ok=True)


def _show(host: Host, name: str, missing: dict[str, bool], files: Mapping[str, str]) -> None:
    """Show one directory of the host's root, with places for `missing` and `files` in it if any."""
    source, target = f"{host.shown}/{name}", f"{host.root}/{name}"
    if not missing and not files:
        Path(target).mkdir()
        bind(source, target)
        return
    if host.overlay and not _has_mounts(name):
        with suppress(OSError):
            _overlay(host, name, missing, files)
            return
    _mirror(source, Path(target), missing, frozenset(files and {*files, *_REPLACED}))
    _fill(Path(target), missing, files)


def _overlay(host: Host, name: str, missing: dict[str, bool], files: Mapping[str, str]) -> None:
    upper, work = Path(host.root, ".lab", name, "upper"), Path(host.root, ".lab", name, "work")
    upper.mkdir(parents=True)
    work.mkdir()
    _fill(upper, missing, files)
    target = f"{host.root}/{name}"
    Path(target).mkdir(exist_ok=True)
    options = f"lowerdir={host.shown}/{name},upperdir={upper},workdir={work},userxattr"
    mount("overlay", target, "overlay", MS_NOSUID | MS_NODEV, options)


def _fill(directory: Path, missing: dict[str, bool], files: Mapping[str, str]) -> None:
    for path, is_file in missing.items():
        _make_target(directory / path, is_file=is_file)
    for name, text in ({"nsswitch.conf": _NSSWITCH, **files} if files else {}).items():
        (directory / name).write_text(text)


def _mirror(source: str, target: Path, missing: Iterable[str], left_out: frozenset[str]) -> None:
    """A directory on the tmpfs with each entry of `source` bound into it, for kernels without overlay."""
    target.mkdir(exist_ok=True)
    through: dict[str, list[str]] = {}
    for path in missing:
        first, _, rest = path.partition("/")
        through.setdefault(first, []).append(rest)
    for entry in os.scandir(source):
        shown = target / entry.name
        if entry.name in left_out:
            continue
        if entry.is_symlink():
            shown.symlink_to(Path(entry.path).readlink())
        elif entry.is_dir() and entry.name in through:
            _mirror(entry.path, shown, [rest for rest in through[entry.name] if rest], frozenset())
        elif entry.is_dir() or entry.is_file():
            _make_target(shown, is_file=entry.is_file())
            bind(entry.path, str(shown))


def _missing(name: str, wanted: list[tuple[str, Mount]]) -> dict[str, bool]:
    """Paths below the host's `/name` that are to be mounted on and are not there: is each a file?"""
    found: dict[str, bool] = {}
    for path, each in wanted:
        if _top(path) != name or path == f"/{name}" or os.path.lexists(path):
            continue
        if not any(PurePosixPath(path).is_relative_to(f"/{name}/{other}") for other in found):
            found[path[len(name) + 2 :]] = bool(each.source) and not Path(each.source).is_dir()
    return found


def _real(host: Host, target: str) -> str:
    """`target` without symbolic links, as it will be inside."""
    path = os.path.normpath("/" + target.lstrip("/"))
    for link, place in (("/var/run", "/run"), ("/var/lock", "/run/lock")):
        if path == link or path.startswith(link + "/"):
            return place + path[len(link) :]
    links = {name for name, _ in host.links}
    return os.path.realpath(path) if _top(path) in links or _top(path) in host.directories else path


def _has_mounts(name: str) -> bool:
    """Whether something is mounted inside the host's `/name` that an overlay of it would not show."""
    inner = (line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    replaced = {f"/{name}/{each}" for each in _REPLACED}
    return any(point.startswith(f"/{name}/") and point not in replaced for point in inner)


def _overlay_works(base: str) -> bool:
    place = Path(base, "probe")
    place.mkdir()
    mount("tmpfs", str(place), "tmpfs")
    for name in ("lower", "upper", "work", "merged"):
        (place / name).mkdir(parents=True)
    options = f"lowerdir={place}/lower,upperdir={place}/upper,workdir={place}/work,userxattr"
    try:
        mount("overlay", str(place / "merged"), "overlay", options=options)
        unmount(str(place / "merged"))
    except OSError:
        return False
    finally:
        unmount(str(place))
    return True


def _top(path: str) -> str:
    return path.lstrip("/").partition("/")[0]
