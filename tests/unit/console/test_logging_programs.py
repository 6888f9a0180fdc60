"""How much programs log, as `isthmus admin log` shows it."""

from __future__ import annotations

from isthmus.console.logging_programs import Program, is_followed, rows


def program(name, pod, said="", wrong="", **levels):
    scopes = [
        {"scope": scope, "about": f"of {scope}", "level": level, "started": "info"}
        for scope, level in levels.items()
    ]
    return Program("gke", pod, name, {"scopes": scopes, "said": said, "wrong": wrong})


def test_a_scope_is_shown_once_and_who_differs_is_named():
    programs = [
        program("pilot", "a", ads="debug", ca="info"),
        program("pilot", "b", ads="info", ca="info"),
        program("citadel", "a", ads="debug"),
    ]
    assert rows(programs, wide=False) == [
        ("ads", "debug (pilot a, citadel a); info (pilot b)", "of ads"),
        ("ca", "info", "of ca"),
    ]
    assert ("ads", "info", "info", "pilot", "b", "gke") in rows(programs, wide=True)


def test_a_program_follows_once_it_has_all_that_was_said():
    wanted = {"ads": "debug"}
    assert is_followed(program("pilot", "a", said="ads:debug,ca:error"), wanted)
    assert not is_followed(program("pilot", "a", said="ads:info"), wanted)
    assert not is_followed(program("pilot", "a", said="ads:debug", wrong="a scope of tomorrow"), wanted)
    assert is_followed(program("pilot", "a"), {})
    assert not is_followed(program("pilot", "a", said="ads:debug"), {})
