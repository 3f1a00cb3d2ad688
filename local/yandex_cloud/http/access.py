"""Who calls an HTTP API: an IAM token, or a static key of a service account."""

import re

from werkzeug.wrappers import Request
from yandex.cloud.iam.v1.awscompatibility.access_key_pb2 import AccessKey
from yandex.cloud.iam.v1.service_account_pb2 import ServiceAccount

from local.yandex_cloud.access import bindings
from local.yandex_cloud.http.answers import HttpRefused
from local.yandex_cloud.state import State

_TOKEN = re.compile(r"t1\.[^.]+\.?[^.]*")
_KEY = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/")


def check(request: Request, state: State) -> ServiceAccount | None:
    """Return the service account that signed the request; None with an IAM token.

    The signature itself is not verified. Raises HttpRefused.
    """
    authorization = request.headers.get("Authorization", "")
    token = request.headers.get("X-YaCloud-SubjectToken", authorization.removeprefix("Bearer "))
    if _TOKEN.fullmatch(token):
        return None
    signed = _KEY.match(authorization)
    if signed is None:
        raise HttpRefused(403, "AccessDenied", "Access Denied")
    key = next((one for one in state.all(AccessKey) if one.key_id == signed[1]), None)
    account = key and state.get(ServiceAccount, key.service_account_id)
    if not account:
        message = "The AWS access key Id you provided does not exist in our records."
        raise HttpRefused(403, "InvalidAccessKeyId", message)
    return account


def has_role(account: ServiceAccount, roles: set[str], state: State) -> bool:
    """Return whether the account has one of these roles in its folder."""
    return any(
        one.subject.id == account.id and one.role_id in roles
        for one in bindings(state, account.folder_id).access_bindings
    )
