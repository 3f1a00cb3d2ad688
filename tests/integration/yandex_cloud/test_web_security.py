"""Smart Web Security in the fake: profiles and the limits that they use."""

from grpc import StatusCode

from tests.support.yandex_api import Api, refused


def test_limits_are_kept_while_a_profile_uses_them(api: Api) -> None:
    limits = api.create("AdvancedRateLimiterProfile", name="limits")
    profile = api.create(
        "SecurityProfile", name="main", default_action="ALLOW",
        advanced_rate_limiter_profile_id=limits.id, disallow_data_processing=True,
    )  # fmt: skip
    assert api.call("SecurityProfile", "Get", security_profile_id=profile.id) == profile
    which = {"advanced_rate_limiter_profile_id": limits.id}

    with refused(StatusCode.FAILED_PRECONDITION, f"is used by security profile {profile.id}"):
        api.call("AdvancedRateLimiterProfile", "Delete", **which)

    api.call("SecurityProfile", "Delete", security_profile_id=profile.id)
    api.call("AdvancedRateLimiterProfile", "Delete", **which)


def test_profile_with_limits_that_do_not_exist_is_refused(api: Api) -> None:
    with refused(StatusCode.NOT_FOUND, "Advanced rate limiter profile fevnone not found"):
        api.create(
            "SecurityProfile", name="main", default_action="ALLOW",
            advanced_rate_limiter_profile_id="fevnone",
        )  # fmt: skip
