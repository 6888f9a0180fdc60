"""Every setting of Pilot, Citadel and the injector is on the page, with how it is said, also by an installation."""

from __future__ import annotations

import re

import pytest

from isthmus.api.described import fields, parts
from isthmus.console import reference_installation
from isthmus.console.install.settings import Installation
from isthmus.console.installed_flags import always_said, setting_values
from isthmus.console.reference_settings import PROGRAMS, page, settings_of


@pytest.mark.parametrize("title", list(PROGRAMS))
def test_each_setting_is_told_once_with_its_variable_and_what_it_is_for(title):
    section = page().partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in section.splitlines() if line.startswith("| `--")]
    found = {row[0].split(", ")[0].strip("`"): row for row in rows}
    options = settings_of(PROGRAMS[title][1])
    assert len(rows) == len(found) == len(options)
    for option in options:
        _, environment, default, means, _ = found[option.opts[0]]
        assert means.strip()
        assert (environment.strip().strip("`") or None) == option.envvar
        if isinstance(option.default, str | int | float) and option.default and not option.is_flag:
            assert str(option.default) in default


OPTIONS = {
    (words.rpartition(" ")[2], flag): option
    for words, command in PROGRAMS.values()
    for option in settings_of(command)
    for flag in (*option.opts, *option.secondary_opts)
}
VALUES = {each.name: each for each in fields(Installation)}
GIVEN = {"cluster", "revision"}
"""Without a word a cluster has no name in an installation, and no revision, but has both in its programs."""


def test_what_an_installation_tells_its_programs_they_know():
    assert {*setting_values(), *always_said()} <= OPTIONS.keys()
    assert {program for program, _ in setting_values()} == {"pilot", "citadel", "injector"}


def test_each_value_that_sets_a_flag_is_told_on_the_page_of_installations_and_has_the_same_default():
    told = reference_installation.page()
    alike = 0
    for flag, paths in setting_values().items():
        assert all(f"`{path.rpartition('.')[2]}`" in told for path in paths), flag
        default = OPTIONS[flag].default
        if len(paths) == 1 and isinstance(default, str) and paths[0] in VALUES and paths[0] not in GIVEN:
            assert VALUES[paths[0]].default.strip('"') == default, flag
            alike += 1
    assert alike >= 5


def test_each_value_of_an_installation_says_what_it_does():
    found = {
        f"{part.__name__}.{each.name}": each.text for part in parts(Installation) for each in fields(part)
    }
    assert len(found) > 80
    assert [name for name, text in found.items() if not text.strip()] == []
