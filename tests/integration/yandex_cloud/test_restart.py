"""The fake killed in the middle of a change, and started again."""

from pathlib import Path

from grpc import StatusCode

from local.yandex_cloud import YandexCloud
from local.yandex_cloud.service import FOLDER_ID
from tests.support.processes import another_python
from tests.support.yandex_api import Api, refused

_PROGRAM = """
import sys
from pathlib import Path
from local.yandex_cloud import YandexCloud

with YandexCloud(Path(sys.argv[1])) as cloud:
    print(cloud.port, flush=True)
    sys.stdin.read()
"""


def test_everything_is_there_after_a_kill(directory: Path) -> None:
    with another_python(_PROGRAM, directory) as (process, port):
        api = Api(YandexCloud(directory, port=int(port)))
        network, subnet = api.network()
        function = api.create("Function", name="swap")
        operation = api.start(
            "Function", "CreateVersion", function_id=function.id, runtime="python312",
            entrypoint="main.handler", content=b"zip", resources={"memory": 128 << 20},
        )  # fmt: skip
        process.kill()
        process.wait()

    with YandexCloud(directory) as cloud:
        api = Api(cloud)
        version = api.call("Operation", "Get", operation_id=operation.id)
        assert api.call("Network", "Get", network_id=network.id) == network
        assert api.call("Subnet", "Get", subnet_id=subnet.id) == subnet
        found = api.call("Function", "GetVersionByTag", function_id=function.id, tag="$latest")
        assert found == version


def test_refused_call_leaves_nothing_behind(api: Api) -> None:
    boot = {"disk_spec": {"size": 10 << 30, "image_id": "fd8ubuntu24040000000"}}
    with refused(StatusCode.NOT_FOUND, "Subnet e9bnone not found"):
        api.create(
            "Instance", zone_id="ru-central1-a", platform_id="standard-v3", boot_disk_spec=boot,
            resources_spec={"cores": 2, "memory": 2 << 30},
            network_interface_specs=[{"subnet_id": "e9bnone"}],
        )  # fmt: skip

    assert not api.call("Disk", "List", folder_id=FOLDER_ID).disks
    assert not api.call("Instance", "List", folder_id=FOLDER_ID).instances
