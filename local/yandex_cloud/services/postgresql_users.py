"""Managed PostgreSQL: the users and databases of clusters."""

from typing import Any, ClassVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from yandex.cloud.mdb.postgresql.v1.cluster_pb2 import Cluster
from yandex.cloud.mdb.postgresql.v1.database_pb2 import Database
from yandex.cloud.mdb.postgresql.v1.database_service_pb2 import ListDatabasesResponse
from yandex.cloud.mdb.postgresql.v1.user_pb2 import User
from yandex.cloud.mdb.postgresql.v1.user_service_pb2 import ListUsersResponse

from local.yandex_cloud import messages
from local.yandex_cloud.refusals import already_exists, in_use, invalid, not_found
from local.yandex_cloud.service import Collection

PASSWORD = "postgresql-password"  # noqa: S105 - a kind
"""The kind in the state of a user's password, under `<cluster id>/<user name>`."""
_CONNECTIONS = 50


class _InCluster(Collection):
    """Resources that have a name in a cluster instead of an id."""

    name_field: ClassVar[str]
    prefix = "c9q"

    def key(self, request: Any) -> str:
        return f"{request.cluster_id}/{getattr(request, self.name_field)}"

    def save(self, resource: Any) -> Any:
        self.state.put(f"{resource.cluster_id}/{resource.name}", resource)
        return resource

    def remove(self, resource: Any) -> None:
        self.state.remove(self.resource, f"{resource.cluster_id}/{resource.name}")

    def of(self, cluster_id: str) -> list[Any]:
        """Return the cluster's resources of this kind."""
        return [one for one in self.all() if one.cluster_id == cluster_id]

    def make(self, request: Any, specification: Message) -> Any:
        """Return the new resource of a request. Raises Refused if there is one of its name."""
        if self.state.get(Cluster, request.cluster_id) is None:
            raise not_found("Cluster", request.cluster_id)
        resource = self.resource(cluster_id=request.cluster_id)
        messages.copy(specification, resource)
        if any(one.name == resource.name for one in self.of(request.cluster_id)):
            raise already_exists(self.noun, resource.name)
        return resource


class Users(_InCluster):
    """Users."""

    proto, name = "yandex.cloud.mdb.postgresql.v1.user_service", "UserService"
    resource, noun, name_field = User, "User", "user_name"

    def list(self, request: Any) -> Any:
        """Return a cluster's users."""
        return ListUsersResponse(users=self.of(request.cluster_id))

    def create(self, request: Any) -> Any:
        """Make a user with a password."""
        wanted = request.user_spec
        user = self.make(request, wanted)
        if not wanted.password and not wanted.generate_password.value and not user.auth_method > 1:
            raise invalid("Request validation error: UserSpec.Password: Field is required")
        user.conn_limit = user.conn_limit or _CONNECTIONS
        if not user.HasField("login"):
            user.login.value = True
        self.check(user)
        self.state.write(PASSWORD, f"{user.cluster_id}/{user.name}", wanted.password.encode())
        return self.save(user)

    def check(self, resource: Any) -> None:
        """Check that the databases exist."""
        for permission in resource.permissions:
            if (
                self.state.get(Database, f"{resource.cluster_id}/{permission.database_name}")
                is None
            ):
                raise not_found("Database", permission.database_name)

    def change(self, resource: Any, request: Any) -> None:  # noqa: ARG002 - as in the others
        """Store the new password, if there is one."""
        if "password" in self.paths(request) and request.password:
            self.state.write(PASSWORD, self.key(request), request.password.encode())

    def check_unused(self, resource: Any) -> None:
        """Keep the owner of a database."""
        for database in self.state.all(Database):
            if (database.cluster_id, database.owner) == (resource.cluster_id, resource.name):
                raise in_use(f"User {resource.name} is the owner of database {database.name}")
        if resource.deletion_protection.value:
            raise in_use(f"User {resource.name} has deletion protection enabled")

    def remove(self, resource: Any) -> None:
        """Forget the user and the password."""
        self.state.erase(PASSWORD, f"{resource.cluster_id}/{resource.name}")
        super().remove(resource)


class Databases(_InCluster):
    """Databases."""

    proto, name = "yandex.cloud.mdb.postgresql.v1.database_service", "DatabaseService"
    resource, noun, name_field = Database, "Database", "database_name"

    def list(self, request: Any) -> Any:
        """Return a cluster's databases."""
        return ListDatabasesResponse(databases=self.of(request.cluster_id))

    def create(self, request: Any) -> Any:
        """Make a database of a user."""
        database = self.make(request, request.database_spec)
        if self.state.get(User, f"{database.cluster_id}/{database.owner}") is None:
            raise not_found("User", database.owner)
        database.lc_collate = database.lc_collate or "C"
        database.lc_ctype = database.lc_ctype or "C"
        return self.save(database)

    def check_unused(self, resource: Any) -> None:
        """Keep a protected database."""
        if resource.deletion_protection.value:
            raise in_use(f"Database {resource.name} has deletion protection enabled")

    def delete(self, request: Any) -> Any:
        """Delete the database, and the users' permissions for it."""
        database = self.find(self.key(request))
        self.check_unused(database)
        for user in self.state.all(User):
            kept = [one for one in user.permissions if one.database_name != database.name]
            if user.cluster_id == database.cluster_id and len(kept) != len(user.permissions):
                del user.permissions[:]
                user.permissions.extend(kept)
                self.state.put(f"{user.cluster_id}/{user.name}", user)
        self.remove(database)
        return Empty()
