"""Invokes a deployed function over HTTPS, as the virtual machine's service account."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from shared.config import SettingsInvalid

_FUNCTIONS = "https://functions.yandexcloud.net"
_CONNECT_SECONDS = 5
_CONNECTIONS = 64
"""Kept open at most, one for each lane."""
_UNAUTHORIZED = (requests.codes.unauthorized, requests.codes.forbidden)


class InvocationFailed(RuntimeError):
    """The function could not be invoked, or did not succeed."""


class MetadataToken:
    """The IAM token that the VM's metadata service issues to its service account.

    The library `yandexcloud` returns a token without its expiry, and requests another every 20 s.
    So a token is used for a minute, and dropped at once when a service rejects it.
    """

    KEPT_SECONDS = 60.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._token = ""
        self._asked_at = 0.0

    def get(self) -> str:
        """Return the token, a new one if it is old. Raises InvocationFailed."""
        if not self._token or self._clock() - self._asked_at >= self.KEPT_SECONDS:
            self._asked_at = self._clock()
            self._token = _ask_for_token()
        return self._token

    def forget(self) -> None:
        """Request a new token next time."""
        self._token = ""


class FunctionUrl:
    """Invokes one function like the platform's triggers: `integration=raw`, the event as body.

    All lanes use it at the same time: the HTTP connections are a pool, and two lanes that both
    find the token old only ask twice.
    """

    def __init__(
        self, function_id: str, *, timeout_seconds: float, token: MetadataToken | None = None
    ) -> None:
        if not function_id:
            raise SettingsInvalid("invalid settings: BRIDGE_FUNCTION_ID: required")
        self._url = f"{_FUNCTIONS}/{function_id}"
        self._timeout = (_CONNECT_SECONDS, timeout_seconds)
        self._token = token or MetadataToken()
        self._session = requests.Session()
        self._session.mount(_FUNCTIONS, HTTPAdapter(pool_maxsize=_CONNECTIONS))

    def __call__(self, event: dict[str, Any]) -> Any:
        """Invoke the function; return its response, None if it is no JSON.

        Raises InvocationFailed.
        """
        try:
            response = self._session.post(
                self._url,
                params={"integration": "raw"},
                json=event,
                headers={"Authorization": f"Bearer {self._token.get()}"},
                timeout=self._timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise InvocationFailed(f"{self._url} cannot be reached: {error}") from error
        if response.status_code in _UNAUTHORIZED:
            self._token.forget()
        if not 200 <= response.status_code < 300 or "X-Function-Error" in response.headers:  # noqa: PLR2004 - 2xx
            raise InvocationFailed(_explain(response))
        with suppress(requests.JSONDecodeError):
            return response.json()
        return None

    def close(self) -> None:
        """Close the HTTP connections."""
        self._session.close()


def _ask_for_token() -> str:
    from yandexcloud.auth import (  # noqa: PLC0415 - slow, and the local cloud does not need it
        get_auth_token,
    )

    try:
        return str(get_auth_token())
    except requests.RequestException as error:
        raise InvocationFailed(
            f"no IAM token from the metadata service ({error}): the bridge must run on a VM "
            "that has a service account"
        ) from error


def _explain(response: requests.Response) -> str:
    hint = ""
    if response.status_code in _UNAUTHORIZED:
        hint = "; the VM's service account needs the role functions.functionInvoker"
    return f"{response.url} returned {response.status_code}{hint}: {response.text[:300]}"
