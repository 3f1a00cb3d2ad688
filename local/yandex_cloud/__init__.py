"""A fake of the Yandex Cloud API, for `terraform apply` on one machine and without an account.

    cloud.py          `YandexCloud`: starts and stops the fake; the environment for Terraform
    server.py         gRPC over TLS: finds the method, decodes, validates, answers
    recorder.py       writes each request and its answer to a file, without secrets
    service.py        `Service`: a service is a class, its methods are the RPCs that the fake knows;
                      `Collection`: Get, List, Create, Update and Delete of any resource
    access.py         access bindings, and the roles that exist
    operations.py     long-running operations
    validation.py     the restrictions that the API's descriptors declare
    messages.py       copies between requests and resources, by the names of their fields
    ids.py            ids of the platform's shape
    state.py          everything that exists, in one SQLite file: each call is one transaction
    services/         the services, each with what its resources need besides
    http/             the APIs that are no gRPC: Object Storage and Message Queue
    listing.py        what is in the fake, for people

An RPC that no class has a method for is answered with UNIMPLEMENTED and its full name.
"""

from local.yandex_cloud.cloud import YandexCloud

__all__ = ["YandexCloud"]
