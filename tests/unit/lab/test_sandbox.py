"""Pods' processes in real namespaces: what they see, what they leave, how they end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from isthmus.lab.fabric import Fabric, FabricFamily, FabricSpec
from isthmus.lab.sandbox import Command, Mount, Process, Sandbox, SandboxError, Sandboxes, SandboxSpec, Stdio
from unit.lab.inside import tell

WHO = pytest.mark.parametrize("who", ["root", "user"])
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "GREETING": "hello"}


def shown_below_tmp() -> list[str]:
    """Entries of the host's /tmp that containers see, since this Python reads its modules from there."""
    places = (
        Path(path).parts for path in (*sys.path, sys.prefix, sys.base_prefix) if path.startswith("/tmp/")
    )
    return sorted({parts[2] for parts in places})


@asynccontextmanager
async def pods(folder: Path, *names: str) -> AsyncIterator[list[Sandbox]]:
    fabric = Fabric(
        FabricSpec("gke", (FabricFamily("10.124.0.0/16", "10.0.0.0/20", "10.128.0.2", "172.16.0.2"),))
    )
    sandboxes = Sandboxes(folder / "rootfs")
    await fabric.start()
    await sandboxes.start()
    made = []
    for name in names:
        network = await fabric.add_pod(name)
        hosts = f"127.0.0.1 localhost\n{network.address} {name}\n"
        made.append(
            await sandboxes.create(
                SandboxSpec(name, network.namespace, name, "nameserver 10.0.0.10\n", hosts)
            )
        )
    yield made
    await sandboxes.stop()
    await fabric.stop()


async def started(pod: Sandbox, command: Command, beside: Process | None = None) -> tuple[Process, int]:
    """A process, and the descriptor its output can be read from."""
    read, write = os.pipe()
    try:
        stdio = Stdio(None, write, write)
        process = await (pod.exec(beside, command, stdio) if beside else pod.spawn(command, stdio))
    finally:
        os.close(write)
    return process, read


async def said(pod: Sandbox, command: Command, beside: Process | None = None) -> tuple[int, str]:
    """The exit code of a command and its output."""
    process, read = await started(pod, command, beside)
    with os.fdopen(read) as output:
        text = await asyncio.to_thread(output.read)
    return await process.wait(), text.strip()


def shell(script: str, *mounts: Mount) -> Command:
    return Command(("sh", "-c", script), ENV, mounts=mounts)


async def what_a_container_sees(folder: Path) -> Any:
    volume = folder / "volume"
    (volume / "sub").mkdir(parents=True)
    (volume / "file").write_text("from the volume")
    async with pods(folder, "reviews", "ratings") as (reviews, ratings):
        reviews.mount(volume, "/etc/istio/deep/config", read_only=True)
        mounts = (
            Mount("/var/run/secrets/tokens", str(volume)),
            Mount("/usr/share/isthmus/one-file", str(volume / "file")),
            Mount("/data", ""),
            Mount("/etc/istio/deep/config/sub", str(volume / "sub")),
        )
        looks = {
            "hostname": "hostname; cat /etc/hostname",
            "hosts": "cat /etc/hosts",
            "resolv": "cat /etc/resolv.conf",
            "env": "env | grep -v -e PWD -e SHLVL -e '^_=' | sort",
            "pids": "echo $(cat /proc/1/cmdline | tr -d '\\0'); echo $$",
            "links": "ls /sys/class/net >/dev/null; cat /proc/net/dev | grep -c :",
            "volume": "cat /etc/istio/deep/config/file /run/secrets/tokens/file /usr/share/isthmus/one-file",
            "read_only": "echo x 2>&1 > /etc/istio/deep/config/new || echo refused",
            "written": "echo x > /run/secrets/tokens/new && echo x > /data/new && echo x > /etc/new && echo fine",
            "host": "touch /usr/bin/new /home/new 2>/dev/null; ls /etc/passwd && sh -c 'exit 0'",
            "fds": "ls /proc/self/fd | wc -l",
            # A checkout or a Python below /tmp is shown on purpose; nothing else of the host's is.
            "tmp": f"ls /tmp | grep -vxE '{'|'.join(shown_below_tmp()) or '-'}' | wc -l",
            "dns": "cat /etc/nsswitch.conf | grep hosts",
        }
        facts = {name: await said(reviews, shell(look, *mounts)) for name, look in looks.items()}
        facts["other"] = await said(ratings, shell("ls -d /etc/istio /data 2>/dev/null; hostname"))
        facts["next"] = await said(reviews, shell("ls -d /etc/new 2>/dev/null; echo gone"))
        facts["on the host"] = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))  # noqa: ASYNC240
        return facts


@WHO
@pytest.mark.lab
def test_a_container_sees_its_own_files_names_and_volumes_and_writes_nothing_to_the_host(who: str) -> None:
    facts = tell(__file__, "what_a_container_sees", who)
    assert facts["hostname"] == [0, "reviews\nreviews"]
    assert facts["hosts"] == [0, "127.0.0.1 localhost\n10.124.0.2 reviews"]
    assert facts["resolv"] == [0, "nameserver 10.0.0.10"]
    assert facts["env"] == [0, "\n".join(sorted(f"{name}={value}" for name, value in ENV.items()))]
    first, own = facts["pids"][1].splitlines()
    assert first == "/pause"
    assert int(own) < 100  # the pod counts its own processes
    assert facts["links"] == [0, "2"]
    assert facts["volume"] == [0, "from the volume" * 3]
    assert facts["read_only"][1].endswith("refused")
    assert facts["written"] == [0, "fine"]
    assert facts["host"] == [0, "/etc/passwd"]
    assert facts["fds"] == [0, "4"]
    assert facts["tmp"] == [0, "0"]
    assert facts["dns"] == [0, "hosts: files dns"]
    assert facts["other"][1] == "ratings"
    assert facts["next"] == [0, "gone"]
    assert facts["on the host"] == ["rootfs", "volume", "volume/file", "volume/new", "volume/sub"]
    assert not Path("/usr/bin/new").exists()
    assert not Path("/home/new").exists()


async def how_processes_end(folder: Path) -> Any:
    async with pods(folder, "reviews") as (pod,):
        facts: dict[str, Any] = {"code": await said(pod, shell("exit 7"))}
        facts["signal"] = await said(pod, shell("kill -TERM $$"))
        sleeping = await pod.spawn(Command(("sleep", "100"), ENV))
        facts["running"] = sleeping.returncode
        sleeping.send_signal(signal.SIGTERM)
        facts["told"] = await sleeping.wait()
        sleeping.kill()  # no one is there any more
        try:
            await pod.spawn(Command(("no-such-program",), ENV))
        except SandboxError as error:
            facts["missing"] = str(error)
        try:
            await pod.spawn(shell("true", Mount("/x", "/no/such/volume")))
        except SandboxError as error:
            facts["no volume"] = str(error)
        leader, read = await started(pod, shell("sleep 100 & echo $!; exit 0"))
        facts["leader"] = await leader.wait()
        os.close(read)
        count = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -c '[s]leep 100'"
        # It is killed when the leader has ended, and takes a moment to be gone.
        looks = f"for i in $(seq 100); do n=$({count}); [ $n = 0 ] && break; sleep 0.1; done; echo $n"
        facts["its child"] = (await said(pod, shell(looks)))[1]
        dead = "grep -h '^State:' /proc/[0-9]*/status 2>/dev/null | grep -c zombie"
        orphan = shell(f"setsid sh -c 'sleep 0.01 & exit 0' & wait; sleep 0.2; {dead}")
        facts["zombies"] = (await said(pod, orphan))[1]
        stubborn, read = await started(pod, shell("trap '' TERM; echo deaf; while true; do sleep 100; done"))
        with os.fdopen(read) as output:
            await asyncio.to_thread(output.readline)
        await pod.destroy(grace_s=0.1)
        facts["destroyed"] = stubborn.returncode
        try:
            await pod.spawn(shell("true"))
        except SandboxError as error:
            facts["after"] = str(error)
        return facts


@WHO
@pytest.mark.lab
def test_processes_end_with_their_codes_and_take_their_groups_with_them(who: str) -> None:
    facts = tell(__file__, "how_processes_end", who)
    assert facts["code"] == [7, ""]
    assert facts["signal"] == [128 + 15, ""]
    assert facts["running"] is None
    assert facts["told"] == 128 + 15
    assert facts["missing"] == '"no-such-program": no such program (PATH /usr/sbin:/usr/bin:/sbin:/bin)'
    assert facts["no volume"] == "mount on /x: /no/such/volume does not exist"
    assert facts["leader"] == 0
    assert facts["its child"] == "0"
    assert facts["zombies"] == "0"
    assert facts["destroyed"] == 128 + 9
    assert facts["after"] == 'pod "reviews" is destroyed'


async def beside_a_running_container(folder: Path) -> Any:
    async with pods(folder, "reviews") as (pod,):
        main, read = await started(pod, shell("echo mine > /tmp/mine; echo up; exec sleep 100"))
        with os.fdopen(read) as output:
            await asyncio.to_thread(output.readline)
            facts: dict[str, Any] = {"files": await said(pod, shell("cat /tmp/mine; hostname"), main)}
            ours, theirs = os.openpty()
            on_terminal = Command(
                ("sh", "-c", "tty && echo typed $(cat /proc/self/stat | cut -d' ' -f7)"), ENV
            )
            there = await pod.exec(main, on_terminal, Stdio(theirs, theirs, theirs, tty=True))
            os.close(theirs)
            facts["terminal"] = [await there.wait(), _read_terminal(ours)]
            main.kill()
            await main.wait()
        try:
            await pod.exec(main, shell("true"))
        except SandboxError as error:
            facts["ended"] = str(error)
        return facts


@WHO
@pytest.mark.lab
def test_exec_joins_the_files_of_a_running_container_also_on_a_terminal(who: str) -> None:
    facts = tell(__file__, "beside_a_running_container", who)
    assert facts["files"] == [0, "mine\nreviews"]
    code, shown = facts["terminal"]
    assert code == 0
    assert shown.startswith("/dev/pts/")
    assert "typed" in shown
    assert "typed 0" not in shown  # 0 would be: no controlling terminal
    assert facts["ended"] == 'pod "reviews": the container has ended'


MODULE = """
import atexit, os, signal, sys, threading
print("name", __name__, "argv", sys.argv[1:], "cwd", os.getcwd(), "env", sorted(os.environ))
print("first", sys.path[0], "file", os.path.basename(sys.argv[0]))
print("stdin", sys.stdin.read())
print("to stderr", file=sys.stderr)
atexit.register(lambda: print("at exit"))
threading.Thread(target=lambda: print("thread")).start()
what = sys.argv[1]
if what == "raise":
    raise RuntimeError("on purpose")
if what == "signal":
    os.kill(os.getpid(), signal.SIGTERM)
if what == "interrupt":
    os.kill(os.getpid(), signal.SIGINT)
if what == "message":
    sys.exit("bye")
if what == "code":
    sys.exit(3)
"""


async def both_ways(folder: Path) -> Any:
    """The same module by exec and by fork: standard output, standard error, exit code of each."""
    import sys

    code = folder / "code"
    code.mkdir()
    (code / "told.py").write_text(MODULE)
    facts: dict[str, Any] = {}
    async with pods(folder, "reviews") as (pod,):
        for what in ("end", "code", "message", "raise", "signal", "interrupt"):
            for module in ("", "told"):
                argv = (what, "more") if module else (sys.executable, "-m", "told", what, "more")
                env = {**ENV, "PYTHONPATH": os.pathsep.join(sys.path[1:]), "LC_ALL": "C.UTF-8"}
                command = Command(argv, env, "/code", (Mount("/code", str(code)),), module)
                facts[f"{what} {'fork' if module else 'exec'}"] = await streams(pod, command)
        libraries = Command(("-c",), env, "/code", (Mount("/code", str(code)),), "serve")
        (code / "serve.py").write_text(GRPC)
        facts["grpc"] = await streams(pod, libraries)
    return facts


async def streams(pod: Sandbox, command: Command) -> Any:
    pipes = [os.pipe() for _ in range(3)]
    (input_read, input_write), (output_read, output_write), (error_read, error_write) = pipes
    process = await pod.spawn(command, Stdio(input_read, output_write, error_write))
    for fd in (input_read, output_write, error_write):
        os.close(fd)
    os.write(input_write, b"typed")
    os.close(input_write)
    texts = [await asyncio.to_thread(_read_all, fd) for fd in (output_read, error_read)]
    return [await process.wait(), *texts]


def _read_terminal(fd: int) -> str:
    """All that was written to a terminal whose other side is closed: then reading it is an error."""
    shown = b""
    with suppress(OSError):
        while data := os.read(fd, 1000):
            shown += data
    os.close(fd)
    return shown.decode()


def _read_all(fd: int) -> str:
    with os.fdopen(fd) as stream:
        return stream.read()


GRPC = """
import asyncio, grpc
async def main():
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    async def echo(request, context): return request
    method = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Say": method}),))
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        print(await channel.unary_unary("/test.Echo/Say")(b"over grpc", timeout=20))
    await server.stop(None)
asyncio.run(main())
"""


@WHO
@pytest.mark.lab
def test_a_forked_python_module_behaves_as_an_executed_one(who: str) -> None:
    facts = tell(__file__, "both_ways", who)
    for what in ("end", "code", "message", "signal", "interrupt"):
        assert facts[f"{what} fork"][:2] == facts[f"{what} exec"][:2], what
    assert facts["raise fork"][:2] == facts["raise exec"][:2]
    assert [
        facts[f"{what} fork"][0] for what in ("end", "code", "message", "raise", "signal", "interrupt")
    ] == [
        0,
        3,
        1,
        1,
        128 + 15,
        128 + 2,
    ]
    assert "name __main__ argv ['end', 'more'] cwd /code env ['GREETING'" in facts["end fork"][1]
    for what in ("raise", "message"):
        assert facts[f"{what} fork"][2].splitlines()[-1] == facts[f"{what} exec"][2].splitlines()[-1]
    code, output, errors = facts["grpc"]
    assert (code, output) == (0, "b'over grpc'\n")
    # A goodbye that the client reads before it is closed is information.
    assert [line for line in errors.splitlines() if "Got goaway" not in line] == []


async def many(folder: Path) -> Any:
    async with pods(folder, *(f"pod{number}" for number in range(12))) as made:
        for pod in made:  # all at once, from both shims
            pod.mount(folder, "/folder")
        commands = [shell("echo done"), Command((), {**ENV}, python_module="this")]
        async with asyncio.TaskGroup() as group:
            jobs = [group.create_task(said(pod, command)) for pod in made for command in commands]
        return [(code, len(text) > 0) for code, text in (job.result() for job in jobs)]


@WHO
@pytest.mark.lab
def test_many_pods_start_at_once(who: str) -> None:
    assert tell(__file__, "many", who) == [[0, True]] * 24
