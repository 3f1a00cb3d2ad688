"""The services that the fake has."""

from local.yandex_cloud.operations import Operations
from local.yandex_cloud.service import Context, Service
from local.yandex_cloud.services.buckets import Buckets
from local.yandex_cloud.services.compute import Disks, Images, SnapshotSchedules
from local.yandex_cloud.services.dashboards import Dashboards
from local.yandex_cloud.services.endpoints import Endpoints
from local.yandex_cloud.services.functions import Functions
from local.yandex_cloud.services.gateways import Gateways
from local.yandex_cloud.services.iam import AccessKeys, ServiceAccounts
from local.yandex_cloud.services.instances import Instances
from local.yandex_cloud.services.lockbox import Payloads, Secrets
from local.yandex_cloud.services.logging_groups import LogGroups
from local.yandex_cloud.services.networks import Addresses, Networks, SecurityGroups, Subnets
from local.yandex_cloud.services.postgresql import Clusters
from local.yandex_cloud.services.postgresql_users import Databases, Users
from local.yandex_cloud.services.resource_manager import Clouds, Folders
from local.yandex_cloud.services.triggers import Triggers
from local.yandex_cloud.services.web_security import RateLimiterProfiles, SecurityProfiles

_ALL: tuple[type[Service], ...] = (
    AccessKeys,
    Addresses,
    Buckets,
    Clouds,
    Clusters,
    Dashboards,
    Databases,
    Disks,
    Endpoints,
    Folders,
    Functions,
    Gateways,
    Images,
    Instances,
    LogGroups,
    Networks,
    Operations,
    Payloads,
    RateLimiterProfiles,
    Secrets,
    SecurityGroups,
    SecurityProfiles,
    ServiceAccounts,
    SnapshotSchedules,
    Subnets,
    Triggers,
    Users,
)


def all_services(context: Context) -> list[Service]:
    """Return an instance of each service."""
    return [service(context) for service in _ALL]
