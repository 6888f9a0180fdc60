"""The objects of a role as a base of kustomize: a file each, and the list of them, which overlays lay over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from isthmus.console.install.refusals import CannotInstall

_LIST = "kustomization.yaml"
_LISTS = (_LIST, "kustomization.yml", "Kustomization")
"""By which names kustomize finds a list. Source: https://kubectl.docs.kubernetes.io/references/kustomize/glossary/#kustomization-root"""
_MADE = "# Made by `isthmus install "
"""How the first line of each file begins that is ours to change, and to take away."""

Json = dict[str, Any]


def base(role: str, objects: Sequence[Json], dump: Callable[[list[Json]], str]) -> dict[str, str]:
    """The files of the base, by their paths within its folder, the list last."""
    files = {_place(each): _said(role) + dump([each]) for each in objects}
    listed = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [*files]}
    return files | {_LIST: _said(role) + dump([listed])}


def _said(role: str) -> str:
    return f"{_MADE}{role} --output-dir`, which also changes it: lay an overlay over it.\n"


def write_base(folder: Path, role: str, objects: Sequence[Json], dump: Callable[[list[Json]], str]) -> str:
    """Write the base into `folder`, and take away what an earlier one of the role had there and this one has not.

    Returns what was done, in a sentence. Raises `CannotInstall`, before anything is changed, where a file is not ours.
    """
    said, files = _said(role), base(role, objects, dump)
    before = dict(_there(folder))
    if problems := list(_problems(folder, said, files, before)):
        raise CannotInstall(*problems)
    gone = [name for name, text in before.items() if text.startswith(said) and name not in files]
    changed = {name: text for name, text in files.items() if before.get(name) != text}
    for name, text in changed.items():  # the list last
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for name in gone:
        (folder / name).unlink()
    return f"{folder}: {len(objects)} objects; {len(changed)} files written, {len(gone)} taken away"


def _place(found: Json) -> str:
    """The file of an object: in a folder of its namespace, if it has one."""
    meta = found["metadata"]
    name = f"{found['kind'].lower()}-{meta['name']}.yaml"
    return f"{meta['namespace']}/{name}" if meta.get("namespace") else name


def _there(folder: Path) -> Iterator[tuple[str, str]]:
    """The files where ours would be, with what they say."""
    for path in sorted(path for pattern in (*_LISTS, "*.yaml", "*/*.yaml") for path in folder.glob(pattern)):
        yield str(path.relative_to(folder)), path.read_text(errors="replace")


def _problems(folder: Path, said: str, files: dict[str, str], before: dict[str, str]) -> Iterator[str]:
    for name, text in before.items():
        if text.startswith(said) or name not in {*files, *_LISTS}:
            continue
        if text.startswith(_MADE):
            yield f"{folder / name}: is of another role (hint: a folder for each role)"
        else:
            yield f"{folder / name}: is somebody else's (hint: another folder, over which an overlay lays yours)"
