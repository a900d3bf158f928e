"""Clients are kept: looked at, changed, suspended, ended; and their secrets exchanged."""

import json
from typing import Any

import pytest

from foundation.actor import SYSTEM
from foundation.errors import Invalid
from idp.clients.administration import (
    ClientAdministration,
    ClientChanged,
    LastSecret,
    SecretNotFound,
    SecretsFull,
)
from idp.protocol.errors import ClientDeleted, ClientExists, ClientNotFound, InvalidClientMetadata
from tests.idp.test_commands import Terminal, run  # noqa: F401 - a fixture
from tests.idp.world import PURPOSE, REDIRECT_URI, RelyingParty, World

ELSEWHERE = "https://food.example.gov.cn/another"


@pytest.fixture
def keeping(world: World) -> ClientAdministration:
    return world.idp.client_administration


def test_a_redirect_uri_is_changed_and_nothing_else(world: World, client: RelyingParty, keeping):
    before = keeping.show(client.id).client
    tokens = client.tokens()

    keeping.change(client.id, {"redirect_uris": [ELSEWHERE]}, by=SYSTEM)

    after = keeping.show(client.id).client
    assert after.redirect_uris == (ELSEWHERE,)
    assert after.scopes == before.scopes
    assert client.userinfo(tokens["access_token"]).status_code == 200
    assert client.refresh(tokens["refresh_token"]).status_code == 200
    refused = world.browser().get(
        "/oauth/authorize", {**client.request(), "redirect_uri": REDIRECT_URI}
    )
    assert refused.status_code == 400


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"redirect_uris": ["http://x.example/cb"]}, "/redirect_uris/0"),
        ({"redirect_uri": [ELSEWHERE]}, "/redirect_uri"),
        ({"client_id": "another"}, "/client_id"),
        ({"redirect_uris": "https://x.example/cb"}, ""),
        ({"profile": "fapi2"}, "/token_endpoint_auth_method"),
    ],
)
def test_a_change_that_breaks_a_rule_changes_nothing(client, keeping, members, pointer):
    before = keeping.show(client.id).client

    with pytest.raises(InvalidClientMetadata) as refused:
        keeping.change(client.id, members, by=SYSTEM)

    assert [each.pointer for each in refused.value.errors][:1] == ([pointer] if pointer else [])
    assert keeping.show(client.id).client == before


def test_a_disabled_client_is_enabled_again_and_its_tokens_count(world, client, keeping):
    token = client.tokens()["access_token"]

    keeping.disable(client.id, by=SYSTEM)
    assert client.userinfo(token).status_code == 401
    assert client.token({"grant_type": "client_credentials"}).status_code == 401
    assert keeping.show(client.id).state == "disabled"
    keeping.enable(client.id, by=SYSTEM)
    keeping.enable(client.id, by=SYSTEM)

    assert client.userinfo(token).status_code == 200
    assert len(world.entries("idp.client_enabled")) == 1


def test_tokens_that_ended_with_a_client_stay_ended(world, client, keeping):
    tokens = client.tokens()
    code = client.code()

    keeping.disable(client.id, end_tokens=True, by=SYSTEM)
    keeping.enable(client.id, by=SYSTEM)

    assert client.userinfo(tokens["access_token"]).status_code == 401
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_grant"
    assert client.exchange(code).json()["error"] == "invalid_grant"
    assert client.tokens()["access_token"]


def test_a_deleted_client_is_gone_for_ever(world: World, client: RelyingParty, keeping):
    tokens = client.tokens()

    keeping.delete(client.id, by=SYSTEM)

    assert client.userinfo(tokens["access_token"]).status_code == 401
    assert client.refresh(tokens["refresh_token"]).json()["error"] == "invalid_client"
    assert world.idp.consents(world.chen) == []
    assert keeping.show(client.id).state == "deleted"
    assert keeping.show(client.id).secrets == ()
    assert client.id not in [each.client.client_id for each in world.idp.clients.all()]
    for act in (keeping.enable, keeping.delete, keeping.add_secret, keeping.disable):
        with pytest.raises(ClientDeleted):
            act(client.id, by=SYSTEM)
    with pytest.raises(ClientExists):
        world.idp.clients.add(client.registered, by=SYSTEM)


def test_two_secrets_work_until_one_is_ended(world: World, client: RelyingParty, keeping):
    first = client.secret

    second = keeping.add_secret(client.id, by=SYSTEM)
    with pytest.raises(SecretsFull):
        keeping.add_secret(client.id, by=SYSTEM)
    shown = keeping.show(client.id).secrets
    assert shown == (first[:12], second[:12])
    assert works(client, first)
    assert works(client, second)

    keeping.end_secret(client.id, first[:12], by=SYSTEM)
    assert not works(client, first)
    assert works(client, second)
    with pytest.raises(LastSecret):
        keeping.end_secret(client.id, second[:12], by=SYSTEM)
    with pytest.raises(SecretNotFound):
        keeping.end_secret(client.id, first[:12], by=SYSTEM)

    third = keeping.add_secret(client.id, by=SYSTEM)
    keeping.end_secret(client.id, third[:12], by=SYSTEM)
    assert works(client, second)
    assert not works(client, third)


def works(client: RelyingParty, secret: str) -> bool:
    client.secret = secret
    return client.token({"grant_type": "client_credentials"}).status_code == 200


def test_a_new_secret_ends_both_old_ones(world: World, client: RelyingParty, keeping):
    old = [client.secret, keeping.add_secret(client.id, by=SYSTEM)]

    new = world.idp.clients.replace_secret(client.id, by=SYSTEM)

    assert [works(client, each) for each in (*old, new)] == [False, False, True]


def test_a_deleted_client_gets_no_new_secret(world: World, client: RelyingParty, keeping):
    keeping.delete(client.id, by=SYSTEM)

    with pytest.raises(ClientDeleted):
        world.idp.clients.replace_secret(client.id, by=SYSTEM)


def test_a_change_never_undoes_another_one_unseen(world, client, keeping, monkeypatch):
    """Two operators at once: what the first made stricter stays so."""
    vouch = world.idp.clients.vouch

    def meanwhile(wanted: Any) -> Any:
        monkeypatch.setattr(world.idp.clients, "vouch", vouch)
        keeping.change(client.id, {"dpop_bound_access_tokens": True}, by=SYSTEM)
        return vouch(wanted)

    monkeypatch.setattr(world.idp.clients, "vouch", meanwhile)
    with pytest.raises(ClientChanged):
        keeping.change(client.id, {"redirect_uris": [ELSEWHERE]}, by=SYSTEM)

    assert keeping.show(client.id).client.dpop_bound_access_tokens


def test_no_secret_is_empty(client: RelyingParty, keeping):
    """A column that holds no second secret is no secret."""
    assert not works(client, "")


def test_who_proves_itself_by_a_key_gets_no_secret(world: World, keeping):
    world.client("strict", profile="fapi2", token_endpoint_auth_method="private_key_jwt")

    with pytest.raises(SecretNotFound):
        keeping.add_secret("strict", by=SYSTEM)


# --- at a terminal --------------------------------------------------------------------------------


def test_what_is_shown_is_what_register_and_change_read(run, client, keeping, tmp_path):  # noqa: F811
    shown = one(run, "clients", "show", client.id, "--json")
    assert f"client_id={client.id}  state=enabled" in run.text("clients", "show", client.id)
    bare = one(run, "clients", "show", client.id, "--registration")
    assert (shown["state"], shown["secrets"]) == ("enabled", [client.secret[:12]])
    assert shown["registration"] == bare

    file = tmp_path / "client.json"
    file.write_text(json.dumps({**bare, "redirect_uris": [ELSEWHERE]}))
    run.text("clients", "change", str(file))

    assert one(run, "clients", "show", client.id, "--registration")["redirect_uris"] == [ELSEWHERE]


def test_null_gives_a_member_its_default(run, client, keeping, tmp_path):  # noqa: F811
    file = tmp_path / "client.json"
    file.write_text(json.dumps({"client_id": client.id, "post_logout_redirect_uris": None}))

    run.text("clients", "change", str(file))

    assert keeping.show(client.id).client.post_logout_redirect_uris == ()


def test_check_says_what_would_be_refused_and_changes_nothing(run, client, tmp_path, capsys):  # noqa: F811
    file = tmp_path / "client.json"
    new = {
        "client_id": "school", "name": PURPOSE, "purpose": PURPOSE, "organisation": "x",
        "organisation_name": "x", "profile": "standard", "redirect_uris": [REDIRECT_URI],
        "token_endpoint_auth_method": "client_secret_basic",
    }  # fmt: skip

    def said(described: dict[str, Any]) -> str:
        file.write_text(json.dumps(described))
        return run.text("clients", "check", str(file))

    assert "nothing would be refused: ./run idp clients register" in said(new)
    assert "nothing would be refused: ./run idp clients change" in said(
        {"client_id": client.id, "redirect_uris": [ELSEWHERE]}
    )
    with pytest.raises(InvalidClientMetadata) as refused:
        said({**new, "redirect_uris": ["http://x.example/"], "scopes": ["a b"]})
    assert {each.pointer for each in refused.value.errors} == {"/redirect_uris/0", "/scopes"}
    with pytest.raises(ClientNotFound):
        run("clients", "show", "school")


def test_deleting_asks_for_a_second_word(run, client, keeping):  # noqa: F811
    with pytest.raises(Invalid, match="cannot be undone"):
        run("clients", "delete", client.id)
    assert keeping.show(client.id).state == "enabled"

    run("clients", "delete", client.id, "--yes")

    assert keeping.show(client.id).state == "deleted"


def test_a_secret_is_exchanged_without_an_outage(run, client):  # noqa: F811
    [added] = run("clients", "add-secret", client.id, "--json")
    run("clients", "end-secret", client.id, client.secret[:12])

    assert works(client, added["client_secret"])


def one(terminal: Terminal, *words: str) -> Any:
    return json.loads(terminal.text(*words))
