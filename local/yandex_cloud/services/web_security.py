"""Smart Web Security: profiles, and the limits for each client's address that they use."""

from typing import Any

from yandex.cloud.smartwebsecurity.v1.advanced_rate_limiter.advanced_rate_limiter_profile_pb2 import (  # noqa: E501 - its name
    AdvancedRateLimiterProfile,
)
from yandex.cloud.smartwebsecurity.v1.security_profile_pb2 import SecurityProfile

from local.yandex_cloud.refusals import in_use, not_found
from local.yandex_cloud.service import CLOUD_ID, Collection

_PROTO = "yandex.cloud.smartwebsecurity.v1"


class RateLimiterProfiles(Collection):
    """Profiles of limits."""

    proto = f"{_PROTO}.advanced_rate_limiter.advanced_rate_limiter_profile_service"
    name, prefix = "AdvancedRateLimiterProfileService", "fev"
    resource, noun = AdvancedRateLimiterProfile, "Advanced rate limiter profile"

    def fill(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Set the cloud."""
        resource.cloud_id = CLOUD_ID

    def check_unused(self, resource: Any) -> None:
        """Keep a profile that a security profile uses."""
        for profile in self.state.all(SecurityProfile):
            if profile.advanced_rate_limiter_profile_id == resource.id:
                raise in_use(f"{self.noun} {resource.id} is used by security profile {profile.id}")


class SecurityProfiles(Collection):
    """Security profiles."""

    proto, name = f"{_PROTO}.security_profile_service", "SecurityProfileService"
    resource, noun, prefix = SecurityProfile, "Security profile", "fev"

    def check(self, resource: Any) -> None:
        """Check the profile of limits."""
        limits = resource.advanced_rate_limiter_profile_id
        if limits and self.state.get(AdvancedRateLimiterProfile, limits) is None:
            raise not_found(RateLimiterProfiles.noun, limits)

    def fill(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Set the cloud."""
        resource.cloud_id = CLOUD_ID
