"""What analyze says of annotations, held against what the code reads."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import isthmus
from isthmus.console import reference_annotations
from isthmus.model.analyze.annotation_words import EFFECT, LABEL_EFFECT, NO_EFFECT
from isthmus.model.analyze.known_annotations import KNOWN, LABELS, READ, has_effect

SOURCE = Path(isthmus.__file__).parent
NAME = re.compile(r"([a-z0-9-]+\.)*(istio|isthmus)\.io/[A-Za-z][A-Za-z-]*")
PREFIX = re.compile(r"([a-z0-9-]+\.)*istio\.io/")
TABLES = {SOURCE / f"model/analyze/{name}.py" for name in ("known_annotations", "annotation_words")}

NO_ANNOTATIONS = {
    "istio.io/gateway-controller", "istio.io/ingress-controller",  # names of controllers
    "gateway.istio.io/tls-terminate-mode", "gateway.istio.io/listener-protocol",  # options of a listener's TLS
    "istio.io/config", "isthmus.io/follows",  # labels of our own objects
    "istio.io/deactivated",  # a label that no namespace has
    "install.isthmus.io/role", "install.isthmus.io/revision", "isthmus.io/given-to", "isthmus.io/citadel",
    "isthmus.io/reader-access", "isthmus.io/made-by-join", "isthmus.io/precedes", "install.isthmus.io/keeps",
    "networking.istio.io/cluster",  # of Secrets, which analyze does not see
    "internal.isthmus.io/namespace", "isthmus.io/ordered-by", "isthmus.io/identity",  # of objects that nobody wrote
    "istio.io/ca-root", "istio.io/key-and-cert",  # types of Secrets
    "istio.io/connections", "istio.io/debug",  # types by which istioctl asks over xDS
    "config.istio.io/pilotEndpoint", "config.istio.io/platform",  # of registry files, which analyze does not see
    "config.istio.io/accessConfigFile", "config.istio.io/pilotCfgStore",
}  # fmt: skip
UNREAD_BY_NAME = {
    *(name for name in READ if name.partition("/")[0] in {"internal.istio.io", "install.operator.istio.io"}),
    "istio.io/autoRegistrationGroup", "istio.io/workloadController", "istio.io/connectedAt",
    "istio.io/disconnectedAt", "istio.io/rev",
}  # fmt: skip
"""Those that need no effect: control planes write them, for themselves and for people."""


@cache
def texts() -> frozenset[str]:
    """All texts in the code that are a name by themselves, or a part of one."""
    found: set[str] = set()
    for path in sorted(SOURCE.rglob("*.py")):
        if path in TABLES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return frozenset(found)


def test_each_name_that_the_code_reads_is_known_as_read_or_is_no_annotation() -> None:
    named = {text for text in texts() if NAME.fullmatch(text)}
    assert named > {"galley.istio.io/analyze-suppress", "isthmus.io/follows"}
    assert named - READ - LABELS - NO_ANNOTATIONS == set()


def test_each_part_that_is_put_behind_a_prefix_is_known_as_read() -> None:
    prefixes = {text for text in texts() if PREFIX.fullmatch(text)}
    made = {name for name in KNOWN if (name.partition("/")[0] + "/") in prefixes}
    read = {name for name in made if name.partition("/")[2] in texts()}
    assert "sidecar.istio.io/proxyCPU" in read
    assert read - READ == set()


@pytest.mark.parametrize("name", sorted(READ - UNREAD_BY_NAME))
def test_what_is_known_as_read_is_named_in_the_code(name: str) -> None:
    prefix, _, rest = name.partition("/")
    assert name in texts() or {f"{prefix}/", rest} <= texts()


def test_what_is_known_as_read_is_an_annotation_of_istio() -> None:
    assert set(KNOWN) >= READ
    assert LABELS & set(KNOWN) == {"istio.io/rev"}, "a label that people write; on pods, the injector's word"


def test_an_annotation_may_have_an_effect_on_one_kind_only() -> None:
    assert has_effect("networking.istio.io/traffic-distribution", "Service")
    assert not has_effect("networking.istio.io/traffic-distribution", "ServiceEntry")


def test_of_each_annotation_is_said_what_it_does_or_why_it_does_nothing() -> None:
    assert set(KNOWN) == EFFECT.keys() | NO_EFFECT.keys()
    assert EFFECT.keys() == READ
    assert not EFFECT.keys() & NO_EFFECT.keys()
    assert LABEL_EFFECT.keys() <= LABELS | {"sidecar.istio.io/inject"}


def test_the_page_of_annotations_has_each_and_is_made_of_what_is_known() -> None:
    page = Path(__file__).parents[3] / "docs/reference/annotations.md"
    assert page.read_text() == reference_annotations.text()
    assert [name for name in KNOWN if f"| `{name}` |" not in page.read_text()] == []
