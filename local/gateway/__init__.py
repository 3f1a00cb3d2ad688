"""The local API Gateway: serves the API's own OpenAPI document as the cloud's gateway does.

Left out, because the document uses none of it: the request validator, CORS, WebSocket,
integrations other than functions and a bucket's files, and the cache of the authorizer's results.
"""

from local.gateway.gateway import Exchange, Gateway, Page
from local.gateway.operations import Routes

__all__ = ["Exchange", "Gateway", "Page", "Routes"]
