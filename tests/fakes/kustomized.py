"""What kubectl makes of bases of kustomize, and what `isthmus install` prints."""

from __future__ import annotations

import subprocess

import yaml
from click.testing import CliRunner

from isthmus.console.cli import main


def install(*words):
    """`isthmus install`, as it ended."""
    return CliRunner().invoke(main, ["install", *map(str, words)])


def objects(text):
    """What a text of YAML says, in the order that kustomize has."""
    return sorted(
        yaml.load_all(text, Loader=yaml.CSafeLoader),
        key=lambda each: (each["kind"], each["metadata"]["name"]),
    )


def kustomized(folder):
    """The objects that kubectl makes of a base or an overlay."""
    ran = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return objects(ran.stdout)
