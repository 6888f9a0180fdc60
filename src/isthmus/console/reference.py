"""The reference of all kinds, as Markdown: made from the types that decode them, so that it is never behind.

A field's words are the docstring under it (`api/described.py`); the golden that shows it is found by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from isthmus.api import KINDS
from isthmus.api.described import Field, Struct, fields, fields_set, hints, parts
from isthmus.api.istio.mesh_config import MeshConfig
from isthmus.api.istio.mesh_networks import MeshNetworks
from isthmus.api.resource import Kind
from isthmus.api.yaml import documents
from isthmus.console import (
    reference_annotations,
    reference_checks,
    reference_commands,
    reference_findings,
    reference_installation,
    reference_metrics,
    reference_rights,
    reference_settings,
)

Goldens = Mapping[tuple[Struct, str], Path]
"""By field the golden that shows it best."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the reference."""

    name: str
    about: str  # how it is written, under the title
    head: Struct  # its first section; what is below it follows
    path: str = "spec"  # where the head stands in the object


def pages() -> list[Page]:
    """All pages, by name."""
    found = [_of_kind(kind) for kind in KINDS if kind.is_config]
    settings = (
        Page(head.__name__, f"ConfigMap `istio` of the root namespace, key `{key}`.", head, "")
        for key, head in _SETTINGS.items()
    )
    return sorted([*found, *settings], key=lambda page: page.name)


def _of_kind(kind: Kind) -> Page:
    newest, *older = (f"`{kind.group}/{version}`" for version in kind.versions)
    about = f"{newest} (also {', '.join(older)})" if older else newest
    short = f", short `{'`, `'.join(kind.short_names)}`" if kind.short_names else ""
    return Page(kind.ref_kind, f"{about}{short}.", hints(kind.type)["spec"])


@cache
def goldens(directory: Path) -> Goldens:
    """By field the golden in `directory` whose input sets the fewest others: the one that is about it."""
    by_case = {path: set(_set_in(path)) for path in sorted(directory.rglob("*.yaml"))}
    found: dict[tuple[Struct, str], Path] = {}
    for path, shown in sorted(by_case.items(), key=lambda each: (len(each[1]), each[0])):
        for field in shown:
            found.setdefault(field, path)
    return found


def _set_in(case: Path) -> Iterator[tuple[Struct, str]]:
    """The fields that the objects of a golden's input set."""
    for _, document, _ in documents(case.read_text()):
        if isinstance(document, Mapping):
            group = str(document.get("apiVersion", "")).rpartition("/")[0]
            yield from fields_set(_TYPES.get((group, str(document.get("kind")))), document)
            data = document.get("data")
            for key, head in _SETTINGS.items():
                if isinstance(data, Mapping) and isinstance(data.get(key), str):
                    for _, settings, _ in documents(data[key]):
                        yield from fields_set(head, settings)


_TYPES = {(kind.group, kind.name): kind.type for kind in KINDS}
_SETTINGS: Mapping[str, Struct] = {"mesh": MeshConfig, "meshNetworks": MeshNetworks}
"""By its key in the ConfigMap what a text is."""


def page_text(page: Page, shown: Goldens, at: Path) -> str:
    """One page that will stand in the directory `at`."""
    sections = (_section(each, page, shown, at) for each in parts(page.head))
    made_from = "Made by `make docs` from the types that decode it; do not edit."
    return "\n\n".join([f"# {page.name}", f"{page.about} {made_from}", *sections]) + "\n"


def index_text(found: Iterable[Page]) -> str:
    """The page that leads to all others."""
    head = (
        "# Reference\n\nEvery field of every kind that the mesh reads: what it does, and where it is found in Envoy. "
        "Made by `make docs`; do not edit.\n\n"
    )
    rows = [f"- [{page.name}]({page.name}.md): {_summary(page.head)}" for page in found]
    rows.append("- [Annotations and labels](annotations.md): what each of Istio's does here.")
    rows.append("- [Findings](findings.md): what is said to be wrong, by its code, and the mend.")
    rows.append(
        "- [Commands](commands.md): every command, its options, and the settings of Pilot and Citadel."
    )
    rows.append("- [Checks](checks.md): what `isthmus check` looks at, and why.")
    rows.append("- [Installation](installation.md): what `isthmus install` can be told, and its profiles.")
    rows.append(
        "- [Settings](settings.md): what Pilot, Citadel and the injector can be told when they start."
    )
    rows.append("- [Metrics](metrics.md): what Pilot and Citadel tell Prometheus of themselves.")
    rows.append("- [Rights](rights.md): what each part of the mesh may do in Kubernetes.")
    return head + "\n".join(rows) + "\n"


def write(directory: Path, golden_directory: Path) -> None:
    """Writes all pages, and removes what is no page any more."""
    made = texts(directory, golden_directory)
    directory.mkdir(exist_ok=True)
    for old in pages_in(directory):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (directory / name).write_text(text)


def pages_in(directory: Path) -> list[Path]:
    """The pages that are there and made here; others are others' matter."""
    ours = {
        "annotations.md",
        "checks.md",
        "commands.md",
        "findings.md",
        "installation.md",
        "metrics.md",
        "rights.md",
        "settings.md",
    }
    return [path for path in directory.glob("*.md") if path.name[0].isupper() or path.name in ours]


def texts(directory: Path, golden_directory: Path) -> dict[str, str]:
    """The pages as they are in `directory`, by the names of their files."""
    shown, found = goldens(golden_directory), pages()
    made = {f"{page.name}.md": page_text(page, shown, directory) for page in found}
    cases = golden_directory.parent / "findings"
    return {
        "README.md": index_text(found),
        "annotations.md": reference_annotations.text(),
        "findings.md": reference_findings.page(cases),
        "checks.md": reference_checks.page(),
        "commands.md": reference_commands.page(),
        "installation.md": reference_installation.page(),
        "metrics.md": reference_metrics.page(),
        "rights.md": reference_rights.page(),
        "settings.md": reference_settings.page(),
        **made,
    }


def _section(part: Struct, page: Page, shown: Goldens, at: Path) -> str:
    title = f"`{page.path}`" if part is page.head and page.path else part.__name__
    rows = [_row(part, field, page, shown, at) for field in fields(part)]
    table = "\n".join(["| field | what it does | in Envoy |", "|---|---|---|", *rows])
    anchor = f'<a id="{part.__name__}"></a>'
    return f"{anchor}\n## {title}\n\n{_summary(part)}\n\n{table}"


def _row(part: Struct, field: Field, page: Page, shown: Goldens, at: Path) -> str:
    cells = (
        _name_cell(field, page),
        _words_cell(field),
        _envoy_cell(field, shown.get((part, field.name)), at),
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _name_cell(field: Field, page: Page) -> str:
    below = {each.__name__ for each in parts(page.head)}
    words = " ".join(f"[{word}](#{word})" if word in below else word for word in field.type.split())
    said = [f"`{field.name}`", words]
    if field.required:
        said.append("**required**")
    if field.default:
        said.append(f"default `{field.default}`")
    return "<br>".join(said)


def _words_cell(field: Field) -> str:
    allowed = f" One of {', '.join(f'`{each}`' for each in field.allowed if each)}." if field.allowed else ""
    return f"{field.text}{allowed}"


def _envoy_cell(field: Field, golden: Path | None, at: Path) -> str:
    if golden is None:
        return field.envoy
    link = f"[{golden.stem}]({os.path.relpath(golden, at)})"
    return f"{field.envoy} Shown in {link}." if field.envoy else f"Shown in {link}."


def _summary(part: Struct) -> str:
    return " ".join((part.__doc__ or "").split("\n\n")[0].split())
