"""The rule of commands (CONTRIBUTING, "Commands"), held for each command there is."""

from __future__ import annotations

import re
from collections import defaultdict

import click
import pytest
from click.testing import CliRunner

from isthmus.console.cli import ALSO, COMMANDS, HINTS, main
from isthmus.console.cli.options import FORMS, Output

LEFT = {"get", "show", "create", "delete", "ls", "rm", "new", "info", "display", "print"}
"""Words for which there is another one."""
ONE_CLUSTER = {
    "trust",
    "kube-inject",
    "ca export",
    "clusters",
    "ca rotate",
    "install",
    "revision",
    "uninstall",
}
"""Commands, or groups of them, that are about one cluster, or whose owner says why not."""
WRITES = {"kube-inject", "kube-uninject"}
"""Commands whose `-o` is a file, as istioctl's is."""
SHORT = {
    "--output": "-o",
    "--namespace": "-n",
    "--all-namespaces": "-A",
    "--istio-namespace": "-i",
    "--filename": "-f",
    "--watch": "-w",
    "--header": "-H",
}


def leaves(command=main, name=()):
    """The commands that do something, as they are called."""
    if not isinstance(command, click.Group):
        yield " ".join(name), command
        return
    context = click.Context(command)
    for each in command.list_commands(context):
        yield from leaves(command.get_command(context, each), (*name, each))


def groups(command=main, name=()):
    if isinstance(command, click.Group):
        yield " ".join(name), command
        context = click.Context(command)
        for each in command.list_commands(context):
            yield from groups(command.get_command(context, each), (*name, each))


ALL = dict(leaves())
EACH = pytest.mark.parametrize("name", list(ALL))


def options(command):
    return [each for each in command.params if isinstance(each, click.Option)]


def option(command, name):
    return next((each for each in options(command) if name in each.opts), None)


def is_of(name, some):
    return any(name == each or name.startswith(f"{each} ") for each in some)


@EACH
def test_a_command_is_told_in_a_sentence_and_each_option_in_words(name):
    command = ALL[name]
    first = (command.help or "").partition("\n")[0]
    assert first.endswith((".", ":", ".`", "|")) or "\n" in (command.help or ""), first
    assert first[0].isupper()
    unsaid = [each.opts for each in options(command) if not each.help and not each.hidden]
    assert not unsaid


@EACH
def test_names_of_commands_and_options_are_small_letters_and_dashes(name):
    assert re.fullmatch(r"[a-z-]+( [a-z-]+)*", name)
    assert not LEFT & set(name.split()), "there is another word for it"
    for each in options(ALL[name]):
        for said in (*each.opts, *each.secondary_opts):
            assert re.fullmatch(r"--[a-z0-9]+(-[a-z0-9]+)*|-[a-zA-Z]", said), said


@EACH
def test_what_is_short_for_an_option_is_so_everywhere(name):
    for each in options(ALL[name]):
        for long, short in SHORT.items():
            if long in each.opts:
                assert short in each.opts, f"{long} is {short}, too"
            elif short in each.opts:
                pytest.fail(f"{short} is short for {long}")


@EACH
def test_outputs_are_of_one_list(name):
    found = option(ALL[name], "--output")
    if found is None or name in WRITES:
        return
    assert isinstance(found.type, Output), "options.output makes it"
    forms = tuple(each for each in found.type.choices if each in FORMS)
    assert forms in {FORMS, ("yaml", "json"), ("json", "yaml")}
    assert found.default == found.type.choices[0]


@EACH
def test_who_can_be_led_to_one_cluster_can_be_led_to_several(name):
    command = ALL[name]
    context = option(command, "--context")
    if context is None:
        return
    assert option(command, "--kubeconfig") is not None
    if not is_of(name, ONE_CLUSTER):
        assert context.multiple
        assert option(command, "--all-contexts") is not None


@pytest.mark.parametrize("name", [name for name in ALL if is_of(name, {"install", "uninstall", "revision"})])
def test_where_the_control_plane_is_has_one_name(name):
    if found := option(ALL[name], "--namespace"):
        assert {"-i", "--istio-namespace"} <= set(found.opts)


@EACH
def test_who_asks_for_all_namespaces_could_ask_for_one(name):
    command = ALL[name]
    if option(command, "--all-namespaces"):
        assert option(command, "--namespace")


def test_a_flag_is_a_flag_everywhere_and_a_value_a_value():
    kinds = defaultdict(set)
    for name, command in ALL.items():
        for each in options(command):
            if not is_of(name, {"run", "agent"}):  # theirs are made of settings, for Deployments
                kinds[max(each.opts, key=len)].add(each.is_flag)
    assert not {name for name, found in kinds.items() if len(found) > 1}


@EACH
def test_a_command_that_is_called_wrongly_says_so_and_ends_with_2(name):
    ran = CliRunner().invoke(main, [*name.split(), "--no-such-option"])
    assert ran.exit_code == 2
    assert "no such option" in ran.output.lower()
    assert ran.stdout == ""


@pytest.mark.parametrize("name", [name for name, _ in groups() if name])
def test_a_noun_by_itself_shows_what_can_be_done(name):
    ran = CliRunner().invoke(main, name.split())
    assert "Commands:" in ran.output
    assert CliRunner().invoke(main, [*name.split(), "--help"]).exit_code == 0


@pytest.mark.parametrize("word", list(ALSO))
def test_what_istioctl_calls_otherwise_is_known_and_not_listed(word):
    assert word not in COMMANDS
    ran = CliRunner().invoke(main, [*word.split(), "--help"])
    assert ran.exit_code == 0, ran.output
    assert f"  {word} " not in CliRunner().invoke(main, ["--help"]).output


@pytest.mark.parametrize("word", list(HINTS))
def test_what_istioctl_has_and_we_have_not_is_answered_with_what_we_have(word):
    ran = CliRunner().invoke(main, ["x", word, "anything"])
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr.splitlines()[-1] == f"Error: No such command '{word}' (hint: {HINTS[word]})."


def test_a_word_that_is_nearly_one_of_ours_is_put_right():
    ran = CliRunner().invoke(main, ["analyse"])
    assert ran.stderr.splitlines()[-1] == "Error: No such command 'analyse' (hint: did you mean analyze?)."


@pytest.mark.parametrize(
    "said", ["cluster", "endpoint", "ep", "eds", "listener", "route", "secret", "all", "log"]
)
def test_parts_are_known_by_istioctls_names(said):
    ran = CliRunner().invoke(main, ["pc", said, "--help"])
    assert ran.exit_code == 0, ran.output


@pytest.mark.parametrize("form", ["text", "short", "log", "table"])
def test_the_form_for_people_has_other_names(tmp_path, form):
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")
    ran = CliRunner().invoke(main, ["validate", "-f", str(tmp_path), "-o", form])
    assert (ran.exit_code, ran.stdout) == (0, "nothing found\n")
