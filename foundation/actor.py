"""Who is acting. Every use case takes an `Actor`; nobody guesses it from a context variable."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ROLES: Final = ("drafter", "approver", "keeper", "auditor", "operator")


class ActorKind(StrEnum):
    """What acts: a signed-in person, a registered program, the system itself, or nobody we know."""

    PERSON = "person"
    CLIENT = "client"
    SYSTEM = "system"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, a client program, the system itself, or somebody unknown.

    `organisation` is the 18-character code of the department the actor acts for ("" for citizens).
    `roles` are a person's offices (of `ROLES`) or a client's granted scopes. `subjects` are the
    pseudonymous ids of the holders whose certificates the actor may see as their own: the person
    and the organisations the person represents.
    `signed_by` is the thumbprint of the key that signed the request, where requests are signed.
    `named_itself`: the program registered itself, so nobody of ours has read its `name`, and no
    public record repeats it in clear.
    """

    kind: ActorKind
    id: str
    name: str = ""
    organisation: str = ""
    organisation_name: str = ""
    roles: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    signed_by: str = ""
    named_itself: bool = False

    def may(self, role: str) -> bool:
        """Whether the actor holds this office, one of `ROLES`."""
        return role in self.roles


SYSTEM = Actor(ActorKind.SYSTEM, "system", name="system")
ANONYMOUS = Actor(ActorKind.ANONYMOUS, "anonymous")
