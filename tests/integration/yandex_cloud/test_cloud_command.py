"""`python -m local cloud`."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.yandex_cloud import YandexCloud
from tests.support.processes import ROOT
from tests.support.yandex_api import Api

_COMMAND = [sys.executable, "-m", "local", "cloud"]


@contextmanager
def _running(directory: Path) -> Iterator[tuple["subprocess.Popen[str]", list[str]]]:
    """The command on free ports, and what it prints until it is ready."""
    command = [*_COMMAND, "--port", "0", "--data-dir", str(directory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().rstrip("\n")]
            while lines[-1] and not lines[-1].startswith("# Ctrl-C"):
                lines.append(process.stdout.readline().rstrip("\n"))
            yield process, lines
        finally:
            process.kill()


def _ended(directory: Path, *options: str) -> tuple[int, str]:
    """Return the exit code and the output of a command that ends by itself."""
    command = [*_COMMAND, "--data-dir", str(directory), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def test_its_output_is_a_shells_environment_for_terraform(directory: Path) -> None:
    with _running(directory) as (process, lines):
        script = "\n".join([*lines, 'echo "$YC_ENDPOINT $TF_VAR_folder_id"'])
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
        exports = [line for line in lines if line.startswith("export ")]
        assert _ended(directory, "--environment") == (0, "\n".join(exports))

        variables = dict(shlex.split(line)[1].split("=", 1) for line in exports)
        address, folder_id = done.stdout.split()
        assert (address, folder_id) == (variables["YC_ENDPOINT"], "b1gfolder00000000001")
        cloud = YandexCloud(directory, port=int(address.rpartition(":")[2]))
        Api(cloud).create("Network", name="made-by-a-client")
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_it_goes_on_with_what_was_there_and_lists_it(directory: Path) -> None:
    with YandexCloud(directory) as cloud:
        network, _ = Api(cloud).network("main")
        Api(cloud).create("Bucket", name="console-files")
    with _running(directory) as (process, lines):
        assert f"# 4 resources in {directory}. In another terminal:" in lines
        code, running = _ended(directory, "--list")
        assert (code, running.splitlines()[0]) == (0, "storage")
        assert network.id in running
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    assert _ended(directory, "--list") == (0, running)
    stopped = f"no cloud runs with {directory}: start one with python -m local cloud"
    assert _ended(directory, "--environment") == (2, f"python -m local cloud: {stopped}")


def test_directory_or_port_in_use_is_named(directory: Path, tmp_path: Path) -> None:
    with _running(directory) as (_, lines):
        in_use = f"another cloud runs with {directory}: stop it, or choose another --data-dir"
        assert _ended(directory, "--port", "0") == (2, f"python -m local cloud: {in_use}")

        endpoint = next(line for line in lines if line.startswith("export YC_ENDPOINT="))
        port = endpoint.rpartition(":")[2]
        code, output = _ended(tmp_path / "other", "--port", port)
        assert code == 2
        assert output.startswith(f"python -m local cloud: port {port} cannot be used")


def test_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    code, output = _ended(file / "cloud")
    assert code == 2
    assert output.startswith(f"python -m local cloud: the directory {file / 'cloud'} cannot be")


def test_list_without_a_cloud_says_so(tmp_path: Path) -> None:
    code, output = _ended(tmp_path / "none", "--list")

    assert code == 2
    assert output.startswith(f"python -m local cloud: there is no cloud in {tmp_path / 'none'}")
