"""A short run of the fuzzer over all targets; the long ones are for a command: python tests/fuzz/run.py TARGET."""

from __future__ import annotations

import asyncio
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fuzz.targets import ALL, TARGETS


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("name", TARGETS)
def test_no_seed_is_a_fault(name: str):
    seeds = list(TARGETS[name].seeds())
    assert seeds
    for seed in seeds:
        TARGETS[name].run(seed)


@pytest.mark.skipif(find_spec("atheris") is None, reason="needs atheris, which has no wheel for this Python")
async def test_a_short_run_finds_no_fault(tmp_path: Path):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        Path(__file__).parent / "run.py",
        "all",
        os.environ.get("ISTHMUS_FUZZ_SECONDS", "10"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"ISTHMUS_FUZZ": str(tmp_path)},
    )
    out, _ = await process.communicate()
    said = out.decode(errors="replace")
    assert process.returncode == 0, said[-5000:]
    assert "stat::number_of_executed_units" in said
    assert len(list((tmp_path / "all").glob("seed-*"))) == len(list(ALL.seeds()))
