"""How much an Envoy logs: its admin's words for it. Source: Envoy's admin interface, `POST /logging`."""

from __future__ import annotations

from urllib.parse import quote

LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")


def wanted_levels(text: str) -> list[str]:
    """The queries that set what `text` says, a level for all or `NAME:LEVEL` with commas between; none to look only.

    Raises `ValueError`.
    """
    if not text:
        return [""]
    found = []
    for each in text.split(","):
        name, colon, level = each.rpartition(":")
        level = "warning" if level == "warn" else level
        if level not in LEVELS or (colon and not name):
            raise ValueError(f"--level: {each!r} is none (hint: {', '.join(LEVELS)}, or NAME:LEVEL)")
        found.append(f"?{quote(name or 'level')}={level}")
    return found


def refusal(said: str, level: str) -> str:
    """Why an Envoy does not set `level`: the first line of what it says, without how it is used otherwise."""
    why = said.partition("\n")[0].removeprefix("error: ")
    return f"--level: {level!r}: {why} (hint: without --level all loggers are listed)"


def loggers(answer: str) -> dict[str, str]:
    """The level of each logger, of what Envoy answers."""
    pairs = (line.partition(":") for line in answer.splitlines()[1:])
    return {name.strip(): level.strip() for name, colon, level in pairs if colon}
