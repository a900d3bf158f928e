"""`idp clients …`: the register of client programs at a terminal, from registration to the end."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from foundation.actor import SYSTEM
from foundation.clock import rfc3339
from foundation.errors import Invalid
from idp.clients.administration import KeptClient
from idp.clients.metadata import Bounds
from idp.commands.terminal import AsJson, OpenIdp, print_row
from idp.models import LOCALES, Client, RegisteredClient
from idp.protocol.errors import ClientNotFound
from idp.protocol.profiles import weakenings_of

Described = TypeVar("Described", Client, Bounds)


def build(open_idp: OpenIdp) -> typer.Typer:
    """The commands over a provider that `open_idp` opens and closes."""
    app = typer.Typer(help="Which programs may ask, and what for.", no_args_is_help=True)
    _registering(app, open_idp)
    _looking(app, open_idp)
    _keeping(app, open_idp)
    _secrets(app, open_idp)
    return app


def _registering(app: typer.Typer, open_idp: OpenIdp) -> None:
    @app.command("register")
    def register(file: Path, as_json: AsJson = False) -> None:
        """Register the client described in a JSON file; prints its secret once."""
        client = _client(file.read_bytes())
        with open_idp() as idp:
            made = idp.clients.add(client, by=SYSTEM)
        print_row(_with_secret(made.client_id, made.client_secret), as_json)

    @app.command("check")
    def check(file: Path) -> None:
        """Say what of a JSON file would be refused, and why; registers and changes nothing."""
        described = _members(file.read_bytes())
        with open_idp() as idp:
            try:
                known = idp.client_administration.show(str(described.get("client_id", "")))
            except ClientNotFound:
                client, act = _client(file.read_bytes()), "register"
            else:
                client = idp.client_administration.changed(known.client.client_id, described)
                act = "change"
            idp.client_administration.check(client)
        typer.echo(f"nothing would be refused: ./run idp clients {act} {file}")

    @app.command("allow")
    def allow(
        file: Path,
        uses: Annotated[int, typer.Option(min=1, max=1000, help="How many registrations.")] = 1,
        days: Annotated[int, typer.Option(min=1, max=90, help="For how long.")] = 7,
        as_json: AsJson = False,
    ) -> None:
        """Let programs register themselves within the bounds in a JSON file (organisation,
        organisation_name, purpose, scopes, claims); prints the initial access token once."""
        bounds = _bounds(file.read_bytes())
        with open_idp() as idp:
            lifetime = timedelta(days=days)
            token = idp.registrations.allow(bounds, by=SYSTEM, uses=uses, lifetime=lifetime)
            endpoint = f"{idp.issuer}/oauth/register"
        print_row({"initial_access_token": token, "registration_endpoint": endpoint}, as_json)


def _looking(app: typer.Typer, open_idp: OpenIdp) -> None:
    @app.command("list")
    def list_(organisation: str | None = None, as_json: AsJson = False) -> None:
        """Every client, oldest first."""
        with open_idp() as idp:
            for each in idp.clients.all(organisation):
                print_row(_shown(each), as_json)

    @app.command("show")
    def show(
        client_id: str,
        registration: Annotated[
            bool, typer.Option("--registration", help="Only what `register` and `change` read.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """One client: its registration, its state, how its secrets begin, and what its profile
        gives up against the strictest."""
        with open_idp() as idp:
            kept = idp.client_administration.show(client_id)
        if registration:
            described = msgspec.json.encode(_registration(kept.client))
            typer.echo(msgspec.json.format(described, indent=2).decode())
            return
        told = _kept(kept)
        if as_json:
            print_row(told, as_json)
            return
        lists = {name: told.pop(name) for name in ("weakenings", "registration")}
        print_row({**told, "secrets": " ".join(kept.secrets)}, as_json)
        for name, value in lists["registration"].items():
            typer.echo(f"  {name}: {value if isinstance(value, str) else _compact(value)}")
        for each in lists["weakenings"]:
            typer.echo(f"gives up {each['code']}: {each['text']}")


def _keeping(app: typer.Typer, open_idp: OpenIdp) -> None:
    @app.command("change")
    def change(file: Path, as_json: AsJson = False) -> None:
        """Give the members in a JSON file new values (null: the default); the file names the
        client by its client_id. Prints a secret once, if another method needs one."""
        members = _members(file.read_bytes())
        client_id = str(members.get("client_id", ""))
        with open_idp() as idp:
            secret = idp.client_administration.change(client_id, members, by=SYSTEM)
        print_row(_with_secret(client_id, secret), as_json)

    @app.command("disable")
    def disable(
        client_id: str,
        end_tokens: Annotated[
            bool, typer.Option("--end-tokens", help="What people allowed it stays ended.")
        ] = False,
    ) -> None:
        """Refuse a client and all its tokens until it is enabled again."""
        with open_idp() as idp:
            idp.client_administration.disable(client_id, end_tokens=end_tokens, by=SYSTEM)

    @app.command("enable")
    def enable(client_id: str) -> None:
        """Accept a disabled client again."""
        with open_idp() as idp:
            idp.client_administration.enable(client_id, by=SYSTEM)

    @app.command("delete")
    def delete(
        client_id: str,
        yes: Annotated[bool, typer.Option("--yes", help="It cannot be undone; I know.")] = False,
    ) -> None:
        """End a client for ever, with its tokens, secrets and people's consents."""
        if not yes:
            raise Invalid(
                "deleting cannot be undone, and the client_id is given to nobody else",
                next_step=f"./run idp clients delete {client_id} --yes, or disable {client_id}",
            )
        with open_idp() as idp:
            idp.client_administration.delete(client_id, by=SYSTEM)


def _secrets(app: typer.Typer, open_idp: OpenIdp) -> None:
    @app.command("new-secret")
    def new_secret(client_id: str, as_json: AsJson = False) -> None:
        """Replace a client's secrets; the old ones stop working at once."""
        with open_idp() as idp:
            secret = idp.clients.replace_secret(client_id, by=SYSTEM)
        print_row(_with_secret(client_id, secret), as_json)

    @app.command("add-secret")
    def add_secret(client_id: str, as_json: AsJson = False) -> None:
        """A second secret, while the first still works; prints it once."""
        with open_idp() as idp:
            secret = idp.client_administration.add_secret(client_id, by=SYSTEM)
        print_row(_with_secret(client_id, secret), as_json)

    @app.command("end-secret")
    def end_secret(
        client_id: str,
        prefix: Annotated[str, typer.Argument(help="how it begins, as `show` tells")],
    ) -> None:
        """End one of a client's two secrets, once its program uses the other."""
        with open_idp() as idp:
            idp.client_administration.end_secret(client_id, prefix, by=SYSTEM)


def _with_secret(client_id: str, secret: str) -> dict[str, Any]:
    return {"client_id": client_id} | ({"client_secret": secret} if secret else {})


def _client(data: bytes) -> Client:
    return _read(data, Client, "a client")


def _members(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as problem:
        raise Invalid(f"the file is not a JSON object: {problem}") from None


def _read(data: bytes, kind: type[Described], what: str) -> Described:
    """What a file describes. A member that nobody knows is refused: it may be the misspelt name of
    one that makes a client stricter."""
    try:
        described = msgspec.json.decode(data, type=kind)
        unknown = msgspec.json.decode(data).keys() - kind.__annotations__.keys()
    except msgspec.DecodeError as problem:
        raise Invalid(f"the file does not describe {what}: {problem}") from None
    if unknown:
        raise Invalid(f"the file says what nobody knows: {', '.join(sorted(unknown))[:200]}")
    return described


def _bounds(data: bytes) -> Bounds:
    bounds = _read(data, Bounds, "what may be registered")
    if missing := [each for each in LOCALES if not bounds.purpose.get(each, "").strip()]:
        raise Invalid(f"the purpose is missing in {', '.join(missing)}")
    return bounds


def _compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _kept(kept: KeptClient) -> dict[str, Any]:
    return {
        "client_id": kept.client.client_id,
        "state": kept.state,
        "profile": kept.client.profile,
        "created_at": rfc3339(kept.created_at),
        "secrets": list(kept.secrets),
        "weakenings": [
            {"code": each.code, "text": each.text} for each in weakenings_of(kept.client)
        ],
        "registration": _registration(kept.client),
    }


def _registration(client: Client) -> dict[str, Any]:
    """What was registered; a member that has its default is left out."""
    default = msgspec.to_builtins(
        Client(client_id="", name={}, purpose={}, organisation="", organisation_name="")
    )
    told: dict[str, Any] = msgspec.to_builtins(client)
    return {name: value for name, value in told.items() if value != default[name]}


def _shown(registered: RegisteredClient) -> dict[str, Any]:
    client = registered.client
    return {
        "client_id": client.client_id,
        "profile": client.profile,
        "organisation": client.organisation,
        "purpose": client.purpose["zh-Hans"],
        "scopes": " ".join(client.scopes),
        "claims": " ".join(client.claims),
        "state": _state(registered),
    }


def _state(registered: RegisteredClient) -> str:
    if registered.forbidden:
        return "forbidden"
    return "disabled" if registered.disabled else "enabled"
