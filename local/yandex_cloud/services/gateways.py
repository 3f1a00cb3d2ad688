"""API Gateway: gateways and their OpenAPI documents."""

import json
from typing import Any

import yaml
from yandex.cloud.serverless.apigateway.v1.apigateway_pb2 import ApiGateway
from yandex.cloud.serverless.apigateway.v1.apigateway_service_pb2 import GetOpenapiSpecResponse

from local.yandex_cloud.access import AccessBindings
from local.yandex_cloud.refusals import invalid
from local.yandex_cloud.service import Collection

DOCUMENT = "openapi-document"
"""The kind in the state of a gateway's document, under the gateway's id."""


class Gateways(AccessBindings, Collection):
    """Gateways."""

    proto, name = "yandex.cloud.serverless.apigateway.v1.apigateway_service", "ApiGatewayService"
    resource, noun, prefix = ApiGateway, "API gateway", "d5d"
    slow = frozenset({"Create"})

    def fill(self, resource: Any, request: Any) -> None:
        """Give the gateway its host name, and store its document."""
        resource.domain = f"{resource.id}.local.apigw.yandexcloud.net"
        resource.status = ApiGateway.ACTIVE
        if not resource.HasField("execution_timeout"):
            resource.execution_timeout.seconds = 300
        self._store(resource, request.openapi_spec)

    def change(self, resource: Any, request: Any) -> None:
        """Store the new document, if there is one."""
        if "openapi_spec" in self.paths(request):
            self._store(resource, request.openapi_spec)

    def remove(self, resource: Any) -> None:
        """Forget the gateway and its document."""
        self.state.erase(DOCUMENT, resource.id)
        super().remove(resource)

    def get_openapi_spec(self, request: Any) -> Any:
        """Return the document."""
        gateway = self.find(request.api_gateway_id)
        document = self.state.read(DOCUMENT, gateway.id) or b""
        return GetOpenapiSpecResponse(api_gateway_id=gateway.id, openapi_spec=document.decode())

    def _store(self, resource: Any, document: str) -> None:
        try:
            parsed = (
                json.loads(document)
                if document.lstrip().startswith("{")
                else yaml.safe_load(document)
            )
        except (ValueError, yaml.YAMLError) as error:
            raise invalid(f"Invalid OpenAPI specification: {error}") from None
        if not isinstance(parsed, dict) or not {"openapi", "info", "paths"} <= set(parsed):
            raise invalid("Invalid OpenAPI specification: openapi, info and paths are required")
        self.state.write(DOCUMENT, resource.id, document.encode())
