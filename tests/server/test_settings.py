"""Settings: a misspelt one does not pass for a default, and production refuses the sandbox."""

from pathlib import Path

import pytest

from server.settings import Settings, UnusableSettings, load


def test_the_defaults_make_a_sandbox_on_one_machine() -> None:
    settings = Settings()

    assert settings.mode == "sandbox"
    assert settings.database.startswith("sqlite:///")
    assert settings.master_key == Path("data/master.key")


def test_an_unknown_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YINZHENG_PUBLIC_ULR", "https://id.example")

    with pytest.raises(UnusableSettings, match="PUBLIC_ULR"):
        load()


@pytest.mark.parametrize("url", ["ftp://id.example", "id.example", "https://", "https://a/?b=c"])
def test_a_public_address_that_is_not_one_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YINZHENG_PUBLIC_URL", url)

    with pytest.raises(UnusableSettings):
        load()


@pytest.mark.parametrize("url", ["https://host.example/id", "https://host.example/id/"])
def test_a_public_address_with_a_path_stops_the_start(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YINZHENG_PUBLIC_URL", url)

    with pytest.raises(UnusableSettings, match=r"YINZHENG_PUBLIC_URL has a path, /id") as stopped:
        load()
    assert "https://id.example" in stopped.value.next_step


def test_production_refuses_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YINZHENG_MODE", "production")

    with pytest.raises(UnusableSettings, match="https"):
        load()


def test_production_refuses_to_invent_a_master_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("YINZHENG_MODE", "production")
    monkeypatch.setenv("YINZHENG_PUBLIC_URL", "https://id.example")
    monkeypatch.setenv("YINZHENG_MASTER_KEY_FILE", str(tmp_path / "none"))

    with pytest.raises(UnusableSettings, match="master key"):
        load()


@pytest.mark.parametrize(
    ("url", "proxies", "said"),
    [
        ("http://mtls.example", "127.0.0.1", "https address"),
        ("https://mtls.example/id", "127.0.0.1", "without a path"),
        ("https://id.example/", "127.0.0.1", "public address itself"),
        ("https://mtls.example", "", "TRUSTED_PROXIES"),
    ],
)
def test_a_second_address_that_no_certificate_can_reach_is_refused(
    url: str, proxies: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YINZHENG_PUBLIC_URL", "https://id.example")
    monkeypatch.setenv("YINZHENG_MTLS_URL", url)
    monkeypatch.setenv("YINZHENG_TRUSTED_PROXIES", proxies)

    with pytest.raises(UnusableSettings, match=said):
        load()


def test_sqlite_has_one_web_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YINZHENG_PROCESSES", "2")

    with pytest.raises(UnusableSettings, match="PostgreSQL"):
        load()


def test_the_database_password_comes_from_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret/@\n")

    settings = Settings(
        database_url="postgresql+psycopg://yinzheng@db/yinzheng", database_password_file=secret
    )

    assert settings.database == "postgresql+psycopg://yinzheng:s3cret%2F%40@db/yinzheng"


def test_an_operator_forbids_a_profile_by_one_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().forbidden_profiles == ()

    monkeypatch.setenv("YINZHENG_ALLOW_BASIC_PROFILE", "false")

    assert load().forbidden_profiles == ("basic",)
