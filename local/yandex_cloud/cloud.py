"""The fake as a whole: starts, stops, and tells Terraform where it is."""

import ssl
from pathlib import Path

from local.rehearsal.certificates import Authority
from local.yandex_cloud.http.queues import Queues
from local.yandex_cloud.http.server import HttpServer
from local.yandex_cloud.http.storage import Storage
from local.yandex_cloud.recorder import Recorder
from local.yandex_cloud.server import Server, serve
from local.yandex_cloud.service import CLOUD_ID, FOLDER_ID, Context
from local.yandex_cloud.services import all_services
from local.yandex_cloud.state import State

TOKEN = "t1.local.fake"  # noqa: S105 - of the fake, which accepts any
_HOST = "localhost"
_VARIABLES = {
    "apply_migrations": "false",  # no function runs here
    "deletion_protection": "false",
    "grant_log_role": "false",
    "runner_account": "false",
}
"""Of terraform/, with which it can be applied here, and destroyed."""
_SECONDS_TO_STOP = 2


class YandexCloud:
    """A fake cloud whose state is in a directory. Use it as a context, or start and stop it."""

    def __init__(self, directory: Path, *, port: int = 0, record: Path | None = None) -> None:
        """`port`: of the API; Object Storage and Message Queue have the next one. 0: free ones.

        `record`: a file that calls are appended to.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = port
        self._record = record
        pki = directory / "pki"
        self.authority = Authority(pki)

    def start(self) -> None:
        """Serve what the directory holds."""
        self.state = State(self.directory / "state.sqlite3")
        self._recorder = Recorder(self._record) if self._record else None
        certificate = self.authority.certificate(_HOST).encode()
        apis = (Storage(self.state), Queues(self.state))
        port = self.port and self.port + 1
        record = self._recorder.http if self._recorder else None
        self.http = HttpServer(apis, self.state, port=port, record=record)
        self.http.start()
        context = Context(self.state, lambda: self.address)
        self.server = Server(all_services(context), self._recorder)
        self._grpc, self.port = serve(
            self.server, port=self.port, key=certificate, certificate=certificate
        )

    def stop(self) -> None:
        """Stop serving; calls that run get two seconds to end."""
        self._grpc.stop(_SECONDS_TO_STOP).wait()
        self.http.stop()
        self.state.close()
        if self._recorder:
            self._recorder.close()

    def __enter__(self) -> "YandexCloud":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Host and port of the API."""
        return f"{_HOST}:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return the environment variables that make Terraform use this cloud."""
        return {
            "AWS_CA_BUNDLE": "",  # the provider's client of Object Storage does not start with one
            "SSL_CERT_FILE": str(self._trusted()),
            "TF_WORKSPACE": "local-cloud",  # a state of its own
            "TF_VAR_cloud_id": CLOUD_ID,
            "TF_VAR_folder_id": FOLDER_ID,
            **{f"TF_VAR_{name}": value for name, value in _VARIABLES.items()},
            "YC_CLOUD_ID": CLOUD_ID,
            "YC_ENDPOINT": self.address,
            "YC_FOLDER_ID": FOLDER_ID,
            "YC_TERRAFORM_INITIALIZATION_SILENCE": "true",
            "YC_TOKEN": TOKEN,
            **self.http.environment,
        }

    def _trusted(self) -> Path:
        """Return a file with the system's authorities, for the registry, and the fake's."""
        system = ssl.get_default_verify_paths().cafile
        texts = [Path(system).read_text()] if system else []
        file = self.directory / "authorities.pem"
        file.write_text("\n".join([*texts, self.authority.ca.read_text()]))
        return file
