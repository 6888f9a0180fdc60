"""Goldens: input and what is expected of it in one file; shown parts only (ADR 0004). `make golden` rewrites them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format

from fakes.static_envoy import static_bootstrap
from isthmus.api.yaml import documents
from isthmus.envoy.binary import envoy_executable, validate
from isthmus.envoy.descriptors import class_of_url, pool
from isthmus.envoy.rules import violations
from isthmus.translate.offline import read_case
from isthmus.translate.show import shown
from isthmus.translate.types import ENVOY_TYPES

HERE = Path(__file__).parent
CASES = sorted(HERE.rglob("*.yaml"))
EXPECT = "---\nkind: Expect\n"


def name(path: Path) -> str:
    return path.relative_to(HERE).with_suffix("").as_posix()


def rewriting(config) -> bool:
    return config.getoption("--golden-rewrite", default=False)


@pytest.mark.parametrize("path", CASES, ids=name)
def test_what_is_shown_is_what_is_expected(path, pytestconfig):
    text = path.read_text()
    before = text.partition(EXPECT)[0]
    made = shown(read_case(before))
    if rewriting(pytestconfig):
        expected = yaml.safe_dump(made, sort_keys=False, width=120, allow_unicode=True)
        path.write_text(before.rstrip("\n") + "\n" + EXPECT + expected)
        return
    *_, expect = documents(text)
    assert expect.value.pop("kind", None) == "Expect", "no Expect yet (hint: make golden)"
    assert made == expect.value


@pytest.mark.parametrize("path", CASES, ids=name)
def test_envoy_takes_all_of_it(path):
    case = read_case(path.read_text())
    generation = case.generation()
    resources = {url: list(generation.resources(case.proxy, url, None)) for url in ENVOY_TYPES}
    for url, found in resources.items():
        for one in found:
            assert violations(class_of_url(url).FromString(one.body)) == [], one.name
    bootstrap = static_bootstrap(resources)
    validate(envoy_executable(), json_format.MessageToJson(bootstrap, descriptor_pool=pool()))
