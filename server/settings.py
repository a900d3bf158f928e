"""Every setting, read once. The only file of the product that looks at the environment.

Defaults make a sandbox on one machine; `production` refuses what must not happen there. A variable
that begins with YINZHENG_ and is not known is refused too: a misspelt setting must not pass for a
default.
"""

import os
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from foundation.errors import YinzhengError

PREFIX = "YINZHENG_"
SHORTEST_TOKEN = 20


class UnusableSettings(YinzhengError):
    """The process must not start like this; `detail` names the setting and what it should be."""

    code = "unusable_settings"


class Settings(BaseSettings):
    """Environment variables are these names in capitals with the prefix YINZHENG_."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    mode: Literal["sandbox", "production"] = Field(
        default="sandbox", description="sandbox seeds made-up people and allows http"
    )
    data_dir: Path = Field(
        default=Path("data"), description="where the embedded default keeps its files"
    )
    database_url: str = Field(default="", description="empty: SQLite in the data folder")
    database_password_file: Path = Field(
        default=Path(""), description="a file with the database password, kept out of the URL"
    )
    master_key_file: Path = Field(
        default=Path(""),
        description="32 random bytes in base64, mode 0600; empty: in the data folder",
    )
    key_store: str = Field(
        default="software:",
        description="where new private keys are kept: software:, an RFC 7512 pkcs11: URI, or "
        "unix:/path of a key service",
    )
    tsa_url: str = Field(
        default="", description="an RFC 3161 authority that stamps seals; empty: our own"
    )
    tsa_root_file: Path = Field(
        default=Path(""), description="PEM of the roots that the authority's tokens must lead to"
    )
    host: str = Field(default="127.0.0.1", description="address the web server listens on")
    port: int = Field(default=8000, ge=1, le=65535, description="port the web server listens on")
    public_url: str = Field(
        default_factory=lambda known: f"http://localhost:{known.get('port', 8000)}",
        description="what people and clients type, without a path; also the issuer",
    )
    management_port: int = Field(
        default=9000,
        ge=0,
        le=65535,
        description="health and metrics; 0 turns them off",
    )
    management_host: str = Field(
        default="127.0.0.1",
        description="address of the management port; any other than this machine's own needs "
        "management_token_file",
    )
    management_token_file: Path = Field(
        default=Path(""),
        description="a file with the token, of 20 characters at least, that /metrics asks for",
    )
    log_level: Literal["info", "warning", "error", "off"] = Field(
        default="info",
        description="lines on stderr: info has each request, warning those refused or failed, "
        "error faults of ours only",
    )
    processes: int = Field(default=1, ge=1, le=64, description="web processes; PostgreSQL only")
    trusted_proxies: str = Field(
        default="",
        description="addresses or networks, with commas, whose Client-Cert header is believed",
    )
    client_ca_file: Path = Field(
        default=Path(""), description="PEM file: the authorities of client certificates (mTLS)"
    )
    mtls_url: str = Field(
        default="",
        description="a second address of this server, on which the proxy asks for client "
        "certificates; told as mtls_endpoint_aliases, so that browsers are never asked",
    )
    allow_basic_profile: bool = Field(
        default=True,
        description="let clients use the profile basic: RS256, no PKCE, no nonce; false refuses "
        "them everywhere, those that are registered too",
    )
    embedded_worker: bool = Field(
        default=True, description="run jobs in a thread of the web process"
    )

    refresh_grace_seconds: int = Field(
        default=10,
        ge=0,
        le=3600,
        description="how long a client whose answer got lost is given the same next refresh token "
        "again; the longer, the longer a stolen one of a public client works unnoticed",
    )
    public_clients_without_dpop: bool = Field(
        default=False,
        description="let apps registered with relies_on_rotation work without DPoP: whoever copies "
        "an access token of theirs can use it",
    )
    outbound_networks: str = Field(
        default="",
        description="networks beside the public internet in which services may be told of "
        "sign-outs and changes and asked for their keys, such as 10.20.0.0/16,fd00::/8",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        _refuse(self)
        return self

    @property
    def issuer(self) -> str:
        """`public_url` without a slash at its end, as tokens and metadata name us."""
        return self.public_url.rstrip("/")

    @property
    def forbidden_profiles(self) -> tuple[Literal["basic"], ...]:
        """The profiles that no client may have here."""
        return () if self.allow_basic_profile else ("basic",)

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Where requests of ours may go beside public addresses; a sandbox may talk to itself."""
        named = [each.strip() for each in self.outbound_networks.split(",") if each.strip()]
        loopback = ["127.0.0.0/8", "::1/128"] if self.mode == "sandbox" else []
        return tuple(ip_network(each) for each in (*loopback, *named))

    @property
    def proxies(self) -> tuple[str, ...]:
        """The networks of `trusted_proxies` in canonical form; `ValueError` for anything else."""
        named = (each.strip() for each in self.trusted_proxies.split(","))
        return tuple(str(ip_network(each)) for each in named if each)

    @property
    def database(self) -> str:
        """The database's URL for SQLAlchemy, with the password from its file; without
        `database_url` an SQLite file in `data_dir`."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir.resolve()}/yinzheng.db"
        if self.database_password_file == Path(""):
            return self.database_url
        url = make_url(self.database_url).set(
            password=self.database_password_file.read_text().strip()
        )
        return url.render_as_string(hide_password=False)

    @property
    def management_token(self) -> str:
        """What `/metrics` asks for; "" where only this machine can ask."""
        file = self.management_token_file
        return file.read_text().strip() if file != Path("") else ""

    @property
    def master_key(self) -> Path:
        """Where the master key is kept: the named file, else `master.key` in `data_dir`."""
        named = self.master_key_file
        return named if named != Path("") else self.data_dir / "master.key"


def load() -> Settings:
    """Settings of this process. Raises `UnusableSettings`."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    if unknown := sorted(set(filter(_is_ours, os.environ)) - known):
        raise UnusableSettings(
            f"unknown setting {', '.join(unknown)}",
            next_step=f"the settings are {', '.join(sorted(known))}",
        )
    try:
        return Settings()
    except ValidationError as problem:
        wrong = [each for each in problem.errors() if each["type"] != "default_factory_not_called"]
        named = [f"{PREFIX}{str(each['loc'][0]).upper()}: {each['msg']}" for each in wrong]
        raise UnusableSettings("; ".join(named)) from None  # values are not repeated


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX)


def _refuse(settings: Settings) -> None:
    url = urlsplit(settings.public_url)
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        raise UnusableSettings("YINZHENG_PUBLIC_URL must be a plain http or https URL")
    if url.path.strip("/"):
        raise UnusableSettings(
            f"YINZHENG_PUBLIC_URL has a path, {url.path}; cookies, addresses in certificates "
            "and the places of metadata (RFC 8414 §3.1) are of a whole host",
            next_step="give this service a host or a port of its own, such as https://id.example",
        )
    try:
        settings.proxies  # noqa: B018 - reading it is the check
    except ValueError as problem:
        raise UnusableSettings(f"YINZHENG_TRUSTED_PROXIES: {problem}") from None
    if settings.mtls_url:
        _refuse_mtls_url(settings)
    try:
        backend = make_url(settings.database).get_backend_name()
    except ArgumentError:
        backend = ""
    if backend not in {"sqlite", "postgresql"}:
        raise UnusableSettings(
            "YINZHENG_DATABASE_URL must be a sqlite or postgresql URL",
            next_step="for example postgresql+psycopg://yinzheng@db/yinzheng",
        )
    sqlite = not settings.database_url or settings.database_url.startswith("sqlite")
    if sqlite and settings.processes > 1:
        raise UnusableSettings(
            "more than one web process needs PostgreSQL in YINZHENG_DATABASE_URL"
        )
    try:
        _ = settings.networks
    except ValueError:
        raise UnusableSettings(
            "YINZHENG_OUTBOUND_NETWORKS must be networks like 10.20.0.0/16, with commas between"
        ) from None
    _refuse_open_management(settings)
    if bool(settings.tsa_url) != (settings.tsa_root_file != Path("")):
        raise UnusableSettings(
            "YINZHENG_TSA_URL and YINZHENG_TSA_ROOT_FILE go together",
            next_step="name the roots that the authority's certificates lead to",
        )
    if settings.mode == "production":
        _refuse_in_production(settings)


def _refuse_open_management(settings: Settings) -> None:
    """Numbers of a whole office are for its operators: beyond this machine they need a token."""
    try:
        address = ip_address(settings.management_host)
        token = settings.management_token
    except ValueError:
        raise UnusableSettings("YINZHENG_MANAGEMENT_HOST must be an IP address") from None
    except OSError as problem:
        raise UnusableSettings(
            f"YINZHENG_MANAGEMENT_TOKEN_FILE: {problem.strerror}",
        ) from None
    needed = not address.is_loopback or settings.management_token_file != Path("")
    if needed and len(token) < SHORTEST_TOKEN:
        raise UnusableSettings(
            "YINZHENG_MANAGEMENT_HOST beyond this machine needs YINZHENG_MANAGEMENT_TOKEN_FILE "
            f"with {SHORTEST_TOKEN} characters at least",
            next_step="openssl rand -hex 32 > FILE",
        )


def _refuse_mtls_url(settings: Settings) -> None:
    url = urlsplit(settings.mtls_url)
    if url.scheme != "https" or not url.hostname or url.path.strip("/") or url.query:
        raise UnusableSettings("YINZHENG_MTLS_URL must be an https address without a path")
    if settings.mtls_url.rstrip("/") == settings.issuer:
        raise UnusableSettings(
            "YINZHENG_MTLS_URL is the public address itself",
            next_step="name a second host or port, or leave it empty: then the proxy asks there",
        )
    if not settings.proxies:
        raise UnusableSettings(
            "YINZHENG_MTLS_URL needs YINZHENG_TRUSTED_PROXIES: nobody else may hand on certificates"
        )


def _refuse_in_production(settings: Settings) -> None:
    if not settings.public_url.startswith("https://"):
        raise UnusableSettings("in production YINZHENG_PUBLIC_URL must begin with https://")
    if not settings.master_key.exists():
        raise UnusableSettings(
            "in production the master key must exist before the first start",
            next_step="python -m server master-key FILE",
        )
