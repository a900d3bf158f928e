"""`idp notices …`: services that were to be told of a sign-out, and did not confirm."""

from typing import Annotated, Any

import typer

from foundation.actor import SYSTEM
from foundation.clock import rfc3339
from idp.accounts.backchannel import LogoutNotice
from idp.commands.terminal import AsJson, OpenIdp, print_row


def build(open_idp: OpenIdp) -> typer.Typer:
    """The commands over a provider that `open_idp` opens and closes."""
    app = typer.Typer(help="Services that were to be told of a sign-out.", no_args_is_help=True)

    @app.command("list")
    def list_(
        client: Annotated[str, typer.Option(help="client_id: of this service only")] = "",
        as_json: AsJson = False,
    ) -> None:
        """Notices that no service confirmed yet, or that were given up; newest first."""
        with open_idp() as idp:
            for notice in idp.notices.waiting_or_given_up(client):
                print_row(_told(notice), as_json)

    @app.command("send-again")
    def send_again(notice: str, as_json: AsJson = False) -> None:
        """Send a notice again now; one that was given up is tried for three more days."""
        with open_idp() as idp:
            print_row(_told(idp.notices.send_again(notice, by=SYSTEM)), as_json)

    return app


def _told(notice: LogoutNotice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "client_id": notice.client.client_id,
        "ended_at": rfc3339(notice.ended_at),
        "state": notice.state,
        "attempts": notice.attempts,
        "problem": notice.problem,
    }
