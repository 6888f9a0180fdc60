"""What the documents name is there: links, files, commands and their options, codes, settings, manifests."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import click
import pytest

from fakes.helm import helm_program
from fakes.kube_programs import needs_kubectl
from fakes.told_commands import ToldCommands
from isthmus.console.cli import main
from isthmus.console.faults import faults_of_each
from isthmus.console.written import Manifest
from isthmus.model.codes import Code
from isthmus.settings import PREFIX, PilotSettings

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "src" / "isthmus"
FOLDERS = (
    "",
    "docs",
    "docs/adr",
    "docs/guides",
    "docs/performance",
    "docs/reference",
    "docs/runbooks",
    "samples/*",
    "benchmarks",
)
DOCUMENTS = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.md".lstrip("/")))
BY_HAND = [path for path in DOCUMENTS if path.name != "CHANGELOG.md" and path.parent.name != "reference"]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))

_LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
_BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_SAID = re.compile(r"(?<!from )\bisthmus (?!asks|journal|after)([a-z][^`,;:)|(\n'\"]*)")
_NO_COMMAND = re.compile(r"   |(?<=install )(?:ROLE|NAME)|(?<=agent )WORDS|(?<=config )shows")
_JOINED = re.compile(r"\\\n\s*")
_OURS = re.compile(r"^(?:\.ci|benchmarks|docs|samples|src|tests|tools)/[\w./*-]+$")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def prose(path: Path) -> str:
    """The text without its blocks of code."""
    return _BLOCK.sub("", path.read_text())


def blocks(path: Path, language: str) -> list[str]:
    return [text for kind, text in _BLOCK.findall(path.read_text()) if kind == language]


def anchors(path: Path) -> set[str]:
    """The places in a document that links may lead to, as GitHub names them."""
    text = path.read_text()
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    named = {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}
    return named | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_each_link_leads_somewhere(path: Path) -> None:
    lost = []
    for link in _LINK.findall(prose(path)):
        file, _, place = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (place and place not in anchors(target)):
            lost.append(link)
    assert not lost


@pytest.mark.parametrize("path", BY_HAND, ids=name_of)
def test_each_file_that_is_named_is_there(path: Path) -> None:
    named = [word for code in _CODE.findall(prose(path)) for word in code.split()]
    typed = [word for text in blocks(path, "console") for word in re.split(r"[\s=,]+", text)]
    assert not [
        word for word in (*named, *typed) if _OURS.match(word) and not list(ROOT.glob(word.rstrip("/.")))
    ]


def test_each_file_of_the_architecture_is_there() -> None:
    """Names without a folder are beside the one before; `FILE · NAME` is a name in it."""
    lost, folder = [], SOURCES
    for row in re.findall(r"^\|(.*)\|$", prose(ROOT / "ARCHITECTURE.md"), re.MULTILINE):
        for word in _CODE.findall(row):
            name, _, within = word.partition(" · ")
            if not re.fullmatch(r"[\w./]+(?:\.py|/)", name) or "NAME" in name or "SUBJECT" in name:
                continue
            places = [root / name for root in (SOURCES, ROOT, folder) if (root / name).exists()]
            folder = places[0].parent if places else folder
            if not places or (within and f"\n{within}" not in places[0].read_text()):
                lost.append(word)
    assert not lost


def test_the_layers_are_drawn_as_they_are_checked() -> None:
    config = ConfigParser()
    config.read(ROOT / ".importlinter")
    checked = config["importlinter:contract:house"]["layers"].strip().splitlines()
    drawn = blocks(ROOT / "ARCHITECTURE.md", "text")[1].strip().splitlines()
    assert [line.split() for line in drawn] == [re.findall(r"\w+", line) for line in checked]


def commands(path: Path, program: str = "isthmus") -> Iterator[list[str]]:
    """The calls of a program in a document, in blocks and in sentences."""
    for text in blocks(path, "console"):
        for line in _JOINED.sub(" ", text).splitlines():
            yield from calls(line, program)
    for code in _CODE.findall(prose(path)):
        yield from calls(code.replace("\n", " "), program)


def calls(line: str, program: str = "isthmus") -> Iterator[list[str]]:
    """The words after each `program` that stands where a command begins."""
    for part in re.split(r"(?:^|[|;(]|&&|\|\|)\s*(?:\$ |! )*(?:until |do |\w+=\$\()?", line):
        if part.startswith(f"{program} "):
            try:
                yield shlex.split(re.sub(r"(?:[)>&]|<<).*$", "", part), comments=True)[1:]
            except ValueError:
                yield re.sub(r"['\"]", "", part).split()[1:]


@pytest.mark.parametrize("path", BY_HAND, ids=name_of)
def test_each_command_and_its_options_are_there(path: Path) -> None:
    assert not [unknown for words in commands(path) for unknown in unknown_words(words)]


def test_each_command_that_code_names_is_there() -> None:
    """In hints and other messages, which people copy; in docstrings, too."""
    unknown = []
    for path in SOURCES.rglob("*.py"):
        for said in _SAID.findall(path.read_text()):
            words = _NO_COMMAND.split(re.sub(r"\{.*?\}", "NAME", said))[0].split()
            unknown += [f"{name_of(path)}: {each}" for each in unknown_words(words)]
    assert not unknown


@pytest.mark.parametrize("path", BY_HAND, ids=name_of)
def test_each_command_that_is_to_be_typed_is_understood(path: Path) -> None:
    """Its arguments are all there, and are what its options take."""
    lines = [line for text in blocks(path, "console") for line in _JOINED.sub(" ", text).splitlines()]
    typed = [words for line in lines for words in calls(line)]
    assert [(words, wrong) for words in typed if (wrong := misunderstood(words))] == []


def misunderstood(words: list[str]) -> str:
    """What is wrong with a command; not that files of its reader are not here."""
    command, rest = named(words)
    try:
        if command is not None:
            command.make_context(" ".join(words), rest)
    except click.exceptions.Exit:  # it has said its help
        return ""
    except click.BadParameter as wrong:
        is_file = wrong.param is not None and isinstance(wrong.param.type, click.Path | click.File)
        return "" if is_file else wrong.format_message()
    except click.ClickException as wrong:
        return wrong.format_message()
    return ""


def named(words: list[str]) -> tuple[click.Command | None, list[str]]:
    """The command, and what it is told; None where there is none of the first word that is left."""
    command: click.Command | None = main
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        command = command.get_command(click.Context(command), rest[0])
        rest = rest[1:] if command is not None else rest
    return command, rest


def unknown_words(words: list[str]) -> Iterator[str]:
    command, rest = named(words)
    if command is None:
        yield f"isthmus … {rest[0]}"
        return
    known = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {
        "-h",
        "--help",
    }
    for word in rest:
        option = word.partition("=")[0]
        if re.fullmatch(r"--?[a-z][\w-]*", option) and option not in known:
            yield f"isthmus {' '.join(words)}: {option}"


@pytest.mark.kubectl
@needs_kubectl
def test_each_command_of_kubectl_and_its_options_are_there() -> None:
    kubectl = ToldCommands("kubectl", "options")
    assert unknown_to(kubectl, "kubectl") == []
    for wrong in ("gett", "create secrte", "get --namespaces", "-x"):
        assert [*kubectl.unknown(wrong.split())] == [wrong], "what is not there is told"
    assert [*kubectl.unknown(["-n", "get", "top", "pods", "-l", "app=a", "--", "-x"])] == []


@pytest.mark.helm
def test_each_command_of_helm_and_its_options_are_there() -> None:
    assert unknown_to(ToldCommands(helm_program()), "helm") == []


def unknown_to(told: ToldCommands, program: str) -> list[str]:
    found = [(path, words) for path in BY_HAND for words in commands(path, program)]
    assert found
    return [f"{path.name}: {program} {each}" for path, words in found for each in told.unknown(words)]


@pytest.mark.parametrize("path", BY_HAND, ids=name_of)
def test_each_code_and_decision_that_is_named_is_there(path: Path) -> None:
    codes = {each.value[0] for each in Code}
    decisions = {each.name[:4] for each in (ROOT / "docs/adr").glob("*.md")}
    text = path.read_text()
    assert not set(re.findall(r"\bIS[TM]\d{4}\b", text)) - codes
    assert not set(re.findall(r"\bADRs? (\d{4})\b", text)) - decisions


def test_each_decision_has_a_number_of_its_own() -> None:
    decisions = sorted((ROOT / "docs/adr").glob("*.md"))
    assert len({each.name[:4] for each in decisions}) == len(decisions)
    for each in decisions:
        assert each.read_text().startswith(f"# ADR {each.name[:4]}: ")


def test_each_decision_is_named_where_it_shows() -> None:
    tests = (each for room in ("golden", "fakes") for each in (ROOT / "tests" / room).glob("*.py"))
    where = (ROOT / ".importlinter", *(ROOT / "src").rglob("*.py"), *tests)
    named = {each for path in where for each in re.findall(r"\b(?:ADR |adr/)(\d{4})\b", path.read_text())}
    assert named == {each.name[:4] for each in (ROOT / "docs/adr").glob("*.md")}


@pytest.mark.parametrize("path", BY_HAND, ids=name_of)
def test_each_variable_that_is_named_is_read(path: Path) -> None:
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]+", path.read_text()))
    settings = {f"{PREFIX}{each.upper()}" for each in PilotSettings.__struct_fields__}
    assert not [each for each in named - settings if each not in code()]


@cache
def code() -> str:
    """All of our Python but this test."""
    files = [path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    return "".join(path.read_text() for path in files if path != Path(__file__))


@pytest.mark.parametrize("path", BY_HAND, ids=name_of)
def test_each_target_of_make_is_there(path: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = path.read_text()
    named = set(re.findall(r"`make ([a-z]+)`", text)) | set(
        re.findall(r"^\$ make ([a-z]+)", text, re.MULTILINE)
    )
    assert not named - targets


@pytest.mark.parametrize("path", BY_HAND, ids=name_of)
def test_nothing_is_wrong_with_the_manifests_that_are_shown(path: Path) -> None:
    shown = [text for text in blocks(path, "yaml") if re.search(r"^apiVersion:", text, re.MULTILINE)]
    manifests = [Manifest(f"{path.name} {index}", text, "") for index, text in enumerate(shown)]
    assert not [str(each) for each in faults_of_each(manifests)]


_TEST = re.compile(r"\b(tests/[\w/]+\.py)::(\w+)")


@pytest.mark.parametrize("path", BY_HAND, ids=name_of)
def test_each_test_that_is_named_is_there(path: Path) -> None:
    lost = []
    for file, name in _TEST.findall(path.read_text()):
        place = ROOT / file
        if not place.exists() or f"def {name}(" not in place.read_text():
            lost.append(f"{file}::{name}")
    assert not lost


def test_each_threat_has_its_tests() -> None:
    rows = [
        line.strip("|").split("|")
        for line in (ROOT / "docs/threat-model.md").read_text().split("## A stolen pod")[1].splitlines()
        if line.startswith("| to ")
    ]
    assert len(rows) > 25
    assert not [threat for threat, _, shown in rows if not _TEST.search(shown)]


def test_the_index_tells_of_each_guide() -> None:
    assert {f"guides/{each.name}" for each in GUIDES} <= set(_LINK.findall(prose(ROOT / "docs/README.md")))


def test_each_document_has_a_title() -> None:
    assert not [name_of(path) for path in DOCUMENTS if not path.read_text().startswith("# ")]
