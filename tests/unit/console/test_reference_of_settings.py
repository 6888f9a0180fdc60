"""Every setting of Pilot, Citadel and the injector is on the page, with how it is said."""

from __future__ import annotations

import re

import pytest

from isthmus.console.reference_settings import PROGRAMS, page, settings_of


@pytest.mark.parametrize("title", list(PROGRAMS))
def test_each_setting_is_told_once_with_its_variable_and_what_it_is_for(title):
    section = page().partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in section.splitlines() if line.startswith("| `--")]
    found = {row[0].split(", ")[0].strip("`"): row for row in rows}
    options = settings_of(PROGRAMS[title][1])
    assert len(rows) == len(found) == len(options)
    for option in options:
        _, environment, default, means = found[option.opts[0]]
        assert means.strip()
        assert (environment.strip().strip("`") or None) == option.envvar
        if isinstance(option.default, str | int | float) and option.default and not option.is_flag:
            assert str(option.default) in default
