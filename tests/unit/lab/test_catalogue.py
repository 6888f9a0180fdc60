from __future__ import annotations

import sys

import pytest

from isthmus.lab.catalogue import Catalogue, Image, Program, UnknownImage, as_module, environment_of

IMAGES = Catalogue(
    [
        Image(name="*/app:v1", module="app", cmd=("9080",), cwd="/srv", env={"COLOR": "red"}),
        Image(name="*tool*:*", entrypoint=("true", "-x"), cmd=("usual",)),
        Image(name="bare:*"),
        Image(name="latest:latest", cmd=("true",)),
    ]
)


def argv(image, command=(), args=()):
    found = IMAGES.program(image, list(command), list(args))
    return found.module, found.argv[1:] if found.argv[:1] == ("/usr/bin/true",) else found.argv


@pytest.mark.parametrize(
    ("command", "args", "said"),
    [
        ((), (), ("-x", "usual")),
        ((), ("more",), ("-x", "more")),
        (("true",), (), ()),
        (("true",), ("more",), ("more",)),
    ],
)
def test_command_and_args_stand_for_entrypoint_and_cmd(monkeypatch, command, args, said):
    monkeypatch.setattr("shutil.which", lambda name, path=None: f"/usr/bin/{name}")
    assert argv("example.com/tool:1", command, args) == ("", said)


def test_a_module_runs_with_the_images_arguments_unless_there_are_others():
    assert IMAGES.program("r/app:v1", [], []) == Program(
        argv=("9080",), module="app", env={"COLOR": "red"}, cwd="/srv"
    )
    assert IMAGES.program("r/app:v1", [], ["80"]).argv == ("80",)
    assert IMAGES.program("r/app:v1", ["/bin/other"], []).module == ""


def test_an_image_without_a_tag_is_the_latest():
    assert IMAGES.program("latest", [], []).argv
    with pytest.raises(UnknownImage):
        IMAGES.program("latest:v2", [], [])


def test_a_registrys_port_is_no_tag():
    catalogue = Catalogue([Image(name="example.com:5000/app:latest", cmd=("true",))])
    assert catalogue.program("example.com:5000/app", [], []).argv


def test_an_image_without_a_command_needs_one():
    assert IMAGES.program("bare:1", ["sh", "-c", "exit"], []).argv[1:] == ("-c", "exit")
    with pytest.raises(UnknownImage, match=r'image "bare:1" has no command of its own \(hint: set command\)'):
        IMAGES.program("bare:1", [], [])


def test_an_unknown_image_is_refused_with_those_that_are_known():
    with pytest.raises(UnknownImage, match=r'no program stands for image "nginx".*known are .*bare:\*'):
        IMAGES.program("nginx", [], [])


def test_our_own_program_and_python_run_in_this_python():
    assert as_module(("isthmus", "pilot", "--help")) == ("isthmus", ("pilot", "--help"))
    assert as_module(("python3", "-c", "1")) == ("", (sys.executable, "-c", "1"))


def test_more_images_come_before_the_labs_own(tmp_path):
    more = tmp_path / "images.yaml"
    more.write_text("images: [{name: '*busybox*:*', cmd: ['{samples}/start']}]")
    catalogue = Catalogue.read(tmp_path / "samples", [more])
    assert catalogue.program("busybox", [], []).argv == (f"{tmp_path}/samples/start",)
    own = Catalogue.read(tmp_path / "samples")
    assert own.program("docker.io/istio/examples-bookinfo-reviews-v3:1.20", [], []).env["STAR_COLOR"] == "red"


def test_what_a_pod_gives_overrides_what_its_image_has():
    program = IMAGES.program("r/app:v1", [], [])
    found = environment_of(program, {"COLOR": "blue", "A": "b"}, "web-1")
    assert (found["COLOR"], found["A"], found["HOSTNAME"]) == ("blue", "b", "web-1")
    assert "/usr/bin" in found["PATH"]
