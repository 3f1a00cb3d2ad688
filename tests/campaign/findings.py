"""Findings of schemathesis that are not errors, each with its reason."""

NOT_EXPRESSIBLE = {
    "must be an unchanged next_cursor of the same list": "a cursor's contents are not public",
    "must be an unchanged cursor of this feed": "a cursor's contents are not public",
    "must (be a URL|have a|have no).*": "a pattern that describes URLs could not be read",
    ".* has no address": "only the DNS knows",
    "the installed and the removed accumulator are the same": "a schema cannot compare fields",
    "cabinets and accumulators must be 1 to 1000 items in all": "a schema cannot add lengths",
    "must be in the future, and at most 24 hours ahead": "a schema has no clock",
    "from_contractor_id and to_contractor_id are the same": "a schema cannot compare fields",
    "accumulator_ids names twice.*": "ids that differ only in case are the same",
    "radius_m needs near": "OpenAPI 3.0 has no dependencies between query parameters",
}
"""Messages of a 400 to a request that the document allows, as patterns."""

STATUSES = {
    # 400: only those above; the check `refused_for_a_listed_reason` compares the messages.
    # 304: the client has the response already.
    # 422: the Idempotency-Key was used for another request. Like 409, it depends on the state.
    "positive_data_acceptance": ["2xx", 304, 400, 401, 403, 404, 409, 422, 502, 503, 504],
    # The cabinet rejected the command, a server is unavailable, the cabinet did not reply.
    "not_a_server_error": ["2xx", 304, "4xx", 502, 503, 504],
}
"""The statuses that a check expects."""

READABLE_AFTER_DELETE = {
    "/v1/accumulators/{accumulator_id}": "DELETE retires an accumulator; its ledger stays",
    "/v1/accumulators/{accumulator_id}/movements": "the ledger of a retired accumulator stays",
    "/v1/bookings/{booking_id}": "DELETE cancels a booking; its record stays",
}
"""Paths of resources that can be read after a DELETE."""

REPORTED_IN_A_200 = {
    "/v1/imports": "an invalid item fails, and the others of the import do not",
}
"""Paths whose response to a body that the document does not allow may be a 200 that says so."""


def config() -> str:
    """Return schemathesis.toml."""
    lines = [
        f"[checks.{check}]\nexpected-statuses = {statuses}" for check, statuses in STATUSES.items()
    ]
    lines += ["[[operations]]", f"include-path = {[*READABLE_AFTER_DELETE]}"]
    lines += ["checks.use_after_free.enabled = false"]
    lines += ["[[operations]]", f"include-path = {[*REPORTED_IN_A_200]}"]
    lines += ["checks.negative_data_rejection.expected-statuses = [200, '4xx', 503]"]
    return "\n".join(lines)
