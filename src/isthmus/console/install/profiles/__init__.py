"""Profiles: settings that go together, each with a sentence that says what for."""

from __future__ import annotations

from importlib import resources

USUAL = "default"


def profile_names() -> tuple[str, ...]:
    """All profiles, the usual one first."""
    names = (each.name.removesuffix(".yaml") for each in resources.files(__name__).iterdir())
    return tuple(
        sorted((each for each in names if not each.startswith("_")), key=lambda each: (each != USUAL, each))
    )


def about_profile(name: str) -> str:
    """What a profile is for, in a sentence."""
    return profile_text(name).partition("\n")[0].removeprefix("# ")


def profile_text(name: str) -> str:
    """A profile as it is written."""
    return (resources.files(__name__) / f"{name}.yaml").read_text()
