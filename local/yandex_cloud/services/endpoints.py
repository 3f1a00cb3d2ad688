"""The addresses of the API's services: all of them are the fake's."""

from typing import Any

from yandex.cloud.endpoint.api_endpoint_pb2 import ApiEndpoint
from yandex.cloud.endpoint.api_endpoint_service_pb2 import ListApiEndpointsResponse

from local.yandex_cloud.refusals import not_found
from local.yandex_cloud.service import Service

_IDS = frozenset(
    """
    apigateway-connections apploadbalancer broker-data cdn certificate-manager compute datasphere
    dns endpoint iam iot-data iot-devices iotbroker kms lockbox lockbox-payload log-ingestion
    log-reading logging managed-postgresql mdbproxy monitoring operation organization-manager
    quota-manager resource-manager serverless-apigateway serverless-containers
    serverless-functions serverless-triggers smart-web-security storage storage-api vpc
""".split()  # noqa: SIM905 - shorter
)


class Endpoints(Service):
    """Endpoints by the name of the service."""

    proto, name = "yandex.cloud.endpoint.api_endpoint_service", "ApiEndpointService"

    def list(self, request: Any) -> Any:  # noqa: ARG002 - as in the others
        """Return all endpoints."""
        return ListApiEndpointsResponse(endpoints=[self._endpoint(name) for name in sorted(_IDS)])

    def get(self, request: Any) -> Any:
        """Return one endpoint."""
        if request.api_endpoint_id not in _IDS:
            raise not_found("Endpoint", request.api_endpoint_id)
        return self._endpoint(request.api_endpoint_id)

    def _endpoint(self, name: str) -> Any:
        return ApiEndpoint(id=name, address=self.context.address())
