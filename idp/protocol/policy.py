"""What the standards leave to whoever runs this service: one value, made from the settings.

The defaults are the strict ones. Each member that loosens says what is given up.
"""

from dataclasses import dataclass
from datetime import timedelta

from idp.models import Profile


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices.

    `refresh_grace`: how long a client whose answer got lost may ask for the same successor of its
    refresh token without anybody hearing of it. The longer, the longer a copy of a public client's
    refresh token works beside its owner's. `forbidden_profiles`: no client may have one of these,
    nor go on with it. `public_clients_without_dpop`: whether a public client registered so may rely
    on rotation alone (RFC 9700 §2.2.2). Given up: who copies an access token of such a client can
    use it.
    """

    refresh_grace: timedelta = timedelta(seconds=10)
    forbidden_profiles: tuple[Profile, ...] = ()
    public_clients_without_dpop: bool = False
