"""Public machine routes of certificates. They need no token and leave no trace: nothing
here is about a person.

    GET /status-lists                         every status list (aggregation)
    GET /status-lists/{id}                    signed status list (fast lane); ?time= as it was
    GET /.well-known/jwt-vc-issuer            the issuer's keys (SD-JWT VC §5)
    GET /types                                the catalogue
    GET /types/{name}/{version}               type metadata: what a credential's `vct` points to
    GET /types/{name}/{version}/schema        JSON Schema of the fields
"""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter

from certificates.catalogue import CertificateType
from certificates.errors import UnknownType
from certificates.service import Certificates
from foundation.batching import (
    HotRoute,
    mount,
)


def hot_routes(certificates: Certificates) -> Sequence[HotRoute]:
    """The fast-lane routes."""
    return certificates.status_lists.routes()


def router(certificates: Certificates) -> APIRouter:
    """All routes of certificates, the fast-lane ones as twins."""
    routes = APIRouter()
    mount(routes, hot_routes(certificates))
    tags: list[Any] = ["certificate types"]

    @routes.get("/.well-known/jwt-vc-issuer", operation_id="get_jwt_vc_issuer", tags=tags)
    def get_issuer() -> dict[str, Any]:
        """The credential issuer and its keys: every seal's, because seals sign credentials."""
        keys = certificates.keys
        uses = {key.use for key in keys.inventory() if key.use.startswith("seal/")}
        return {"issuer": certificates.public_url, "jwks": keys.jwks(*sorted(uses))}

    @routes.get("/status-lists", operation_id="list_status_lists", tags=["status"])
    def list_status_lists() -> dict[str, list[str]]:
        """Every status list, to fetch them ahead (Token Status List §9)."""
        return {"status_lists": certificates.status_lists.uris()}

    @routes.get("/types", operation_id="list_certificate_types", tags=tags)
    def list_types() -> list[dict[str, Any]]:
        """Every certificate type: its words, its fields, and who may see which of them."""
        return [describe(kind, certificates.public_url) for kind in certificates.types()]

    @routes.get("/types/{name}/{version}", operation_id="get_type_metadata", tags=tags)
    def get_metadata(name: str, version: int) -> dict[str, Any]:
        """SD-JWT VC type metadata; the value of `vct` in every credential of the type."""
        kind = _version(certificates, name, version)
        return kind.metadata(certificates.public_url, specimen=certificates.specimen)

    @routes.get("/types/{name}/{version}/schema", operation_id="get_type_schema", tags=tags)
    def get_schema(name: str, version: int) -> dict[str, Any]:
        """JSON Schema (2020-12) of the fields of one certificate."""
        kind = _version(certificates, name, version)
        return {"$id": f"{kind.vct(certificates.public_url)}/schema", **kind.schema}

    return routes


def describe(kind: CertificateType, public_url: str) -> dict[str, Any]:
    """A type as the catalogue shows it."""
    return {
        "name": kind.name,
        "code": kind.code,
        "version": kind.version,
        "labels": dict(kind.labels),
        "description": dict(kind.description),
        "vct": kind.vct(public_url),
        "holder": kind.holder.kind,
        "formats": list(kind.formats),
        "fields": [
            {
                "name": field.name,
                "labels": dict(field.labels),
                "kind": field.kind,
                "required": field.required,
                "personal": field.personal,
                "example": field.example,
            }
            for field in kind.fields.values()
        ],
        "purposes": [
            {
                "code": code,
                "names": dict(purpose.names),
                "fields": list(purpose.fields),
                "legal_basis": purpose.legal_basis,
                "case_required": purpose.case_required,
            }
            for code, purpose in kind.purposes.items()
        ],
    }


def _version(certificates: Certificates, name: str, version: int) -> CertificateType:
    kind = certificates.catalogue.get(name)
    if kind is None or kind.version != version:
        raise UnknownType("there is no such version of a certificate type")
    return kind
