"""What a person is called towards a client (OIDC Core §8).

A public subject is the person's id here. A pairwise subject is different for every sector (the host
of the client's redirect URIs), so two services cannot find out that they serve the same person.
Both begin with "p_", which no client_id may (RFC 9700 §4.15).
"""

from typing import Final
from urllib.parse import urlsplit

from foundation.encryption import FieldCipher
from idp.models import Client

PERSON_PREFIX: Final = "p_"


def subject_for(cipher: FieldCipher, client: Client, person_id: str) -> str:
    """The `sub` of a person in tokens for `client`."""
    if client.subject_type == "public":
        return person_id
    pseudonym = cipher.blind_index(f"{sector(client)}\x00{person_id}", "pairwise subject")
    return PERSON_PREFIX + pseudonym[:43]


def sector(client: Client) -> str:
    """The sector identifier (OIDC Core §8.1): the host of the sector document, else the one host of
    the redirect URIs (registration sees to it that there is only one)."""
    if client.sector_identifier_uri:
        return urlsplit(client.sector_identifier_uri).hostname or client.client_id
    hosts = {urlsplit(uri).hostname or uri for uri in client.redirect_uris}
    return min(hosts) if hosts else client.client_id
