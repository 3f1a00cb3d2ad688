"""The one cloud and the one folder of the fake."""

from typing import Any

from yandex.cloud.resourcemanager.v1.cloud_pb2 import Cloud
from yandex.cloud.resourcemanager.v1.cloud_service_pb2 import ListCloudsResponse
from yandex.cloud.resourcemanager.v1.folder_pb2 import Folder
from yandex.cloud.resourcemanager.v1.folder_service_pb2 import ListFoldersResponse

from local.yandex_cloud.access import AccessBindings
from local.yandex_cloud.refusals import not_found
from local.yandex_cloud.service import CLOUD_ID, FOLDER_ID, Service


class Folders(AccessBindings, Service):
    """The folder that everything is in."""

    proto, name = "yandex.cloud.resourcemanager.v1.folder_service", "FolderService"

    def get(self, request: Any) -> Any:
        """Return the folder."""
        return self.find(request.folder_id)

    def list(self, request: Any) -> Any:
        """Return the cloud's folders."""
        if request.cloud_id != CLOUD_ID:
            raise not_found("Cloud", request.cloud_id)
        return ListFoldersResponse(folders=[self.find(FOLDER_ID)])

    def find(self, key: str) -> Any:
        """Return the folder. Raises Refused for another id."""
        if key != FOLDER_ID:
            raise not_found("Folder", key)
        return Folder(id=FOLDER_ID, cloud_id=CLOUD_ID, name="local", status=Folder.ACTIVE)


class Clouds(Service):
    """The cloud that the folder is in."""

    proto, name = "yandex.cloud.resourcemanager.v1.cloud_service", "CloudService"

    def get(self, request: Any) -> Any:
        """Return the cloud."""
        if request.cloud_id != CLOUD_ID:
            raise not_found("Cloud", request.cloud_id)
        return Cloud(id=CLOUD_ID, name="local")

    def list(self, request: Any) -> Any:  # noqa: ARG002 - as in the others
        """Return all clouds."""
        return ListCloudsResponse(clouds=[Cloud(id=CLOUD_ID, name="local")])
