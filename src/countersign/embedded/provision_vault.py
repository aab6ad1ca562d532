"""Makes the embedded PostgreSQL and OpenBao ready for the broker: a demo database, roles, policies, logins, least rights.

The policies are the very documents that the terraform module installs. The root token is used here and revoked at the end.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import Any

import hvac
import psycopg
from hvac.exceptions import InvalidRequest
from psycopg import sql

from countersign.embedded.openbao import EmbeddedOpenBao
from countersign.embedded.postgres import SUPERUSER, EmbeddedPostgres
from countersign.embedded.provision_identity import ProvisionedIdentity, provision_identity
from countersign.providers.documents import document
from countersign.providers.target.install import init

DATABASE = "orders"
ADMINISTRATOR = "bao_admin"
BROKER = "countersign_broker"
MOUNT, KV_MOUNT, KV_PATH = "database", "kv", "orders/config"
TOKEN_ROLE = "countersign"  # noqa: S105 -- the name of a role, not a secret
LONGEST = "12h"
USERNAME = '{{ .DisplayName | replace "token-" "" | replace "-" "_" }}'
"""The child token's display name is the lease's id; so the role is named by the lease, and a second read fails at CREATE ROLE."""
CREATE = Template(
    "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"
    " CONNECTION LIMIT $limit IN ROLE $group"
)
REVOKE = "SELECT countersign.expire_lease('{{name}}')"
LEASE_POLICIES = ["countersign-db-*", "countersign-path-*"]
_POLICY_PREFIX = "countersign"
_KV_READY_WITHIN_S = 10.0


@dataclass(frozen=True, kw_only=True)
class DatabaseRole:
    """A role of OpenBao's database engine: which group its logins are put in, and how many sessions each may have."""

    name: str
    group: str
    connection_limit: int = 5


DATABASE_ROLES = (
    DatabaseRole(name="orders-ro", group="orders_ro"),
    DatabaseRole(name="orders-rw", group="orders_rw"),
)


@dataclass(frozen=True, kw_only=True)
class ProvisionedVault:
    """What the broker and outside checkers get. Everything secret is left out of `repr`.

    Attributes:
        target_dsn: the broker's account at the target, which may only execute Countersign's functions.
        inspect_token: looks at tokens, leases and audit hashes at OpenBao; changes nothing.
        settings: the catalog target's `settings` for the demo database.
        owner_dsn: the database's superuser: for demos and tests only, never for the broker.
        identity: OpenBao as the identity issuer of the embedded stack.
    """

    address: str
    role_id: str
    secret_id: str = field(repr=False)
    target_dsn: str = field(repr=False)
    inspect_token: str = field(repr=False)
    owner_dsn: str = field(repr=False)
    settings: Mapping[str, Any]
    identity: ProvisionedIdentity


def provision_vault(
    postgres: EmbeddedPostgres,
    openbao: EmbeddedOpenBao,
    root_token: str,
    *,
    people: Iterable[str] = (),
    public_url: str = "http://localhost",
) -> ProvisionedVault:
    """Set up a fresh pair of servers; afterwards the root token is no more.

    Args:
        postgres: running, empty.
        openbao: running, just initialised.
        root_token: from its first start.
        people: who gets a password, to sign in at OpenBao's own OpenID Connect provider.
        public_url: where browsers reach the broker.
    """
    administrator_password, broker_password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    _demo_database(postgres, administrator_password, broker_password)
    init(postgres.dsn(DATABASE), administrator=ADMINISTRATOR, broker=BROKER)
    client = openbao.client(root_token)
    _policies(client)
    _database_engine(client, postgres, administrator_password)
    _kv_engine(client)
    role_id, secret_id = _broker_login(client)
    identity = provision_identity(client, address=openbao.address, people=people, public_url=public_url)
    inspect_token = client.auth.token.create(
        policies=[f"{_POLICY_PREFIX}-inspect"],
        no_default_policy=True,
        no_parent=True,
        ttl="24h",
        display_name="inspect",
    )["auth"]["client_token"]
    client.auth.token.revoke_self()
    return ProvisionedVault(
        address=openbao.address,
        role_id=role_id,
        secret_id=secret_id,
        target_dsn=postgres.dsn(DATABASE, BROKER, broker_password),
        inspect_token=inspect_token,
        owner_dsn=postgres.dsn(DATABASE),
        identity=identity,
        settings={"mount": MOUNT, "host": "127.0.0.1", "port": postgres.port, "dbname": DATABASE},
    )


def policy(name: str, **values: str) -> str:
    """Return a policy document of the terraform module with `${…}` filled in, as `templatefile` would."""
    return Template(document("vault", f"{name}.hcl")).substitute(values)


def _demo_database(postgres: EmbeddedPostgres, administrator_password: str, broker_password: str) -> None:
    administrator, broker = sql.Identifier(ADMINISTRATOR), sql.Identifier(BROKER)
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("SET log_statement = 'none'")
        connection.execute(
            sql.SQL(
                "CREATE ROLE {0} LOGIN CREATEROLE PASSWORD {1} IN ROLE pg_signal_backend, pg_read_all_stats"
            ).format(administrator, administrator_password)
        )
        connection.execute(sql.SQL("CREATE ROLE {0} LOGIN PASSWORD {1}").format(broker, broker_password))
        for role in DATABASE_ROLES:
            connection.execute(sql.SQL("CREATE ROLE {0} NOLOGIN").format(sql.Identifier(role.group)))
            connection.execute(
                sql.SQL("GRANT {0} TO {1} WITH ADMIN OPTION").format(sql.Identifier(role.group), administrator)
            )
        connection.execute(sql.SQL("CREATE DATABASE {0}").format(sql.Identifier(DATABASE)))
        # What leases do there is logged. OpenBao's statements hold passwords, and what administrators do is not ours to log.
        connection.execute(sql.SQL("ALTER DATABASE {0} SET log_statement = 'all'").format(sql.Identifier(DATABASE)))
        for quiet in (administrator, broker, sql.Identifier(SUPERUSER)):
            connection.execute(sql.SQL("ALTER ROLE {0} SET log_statement = 'none'").format(quiet))
        connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC"))
    with psycopg.connect(postgres.dsn(DATABASE)) as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, item text NOT NULL, state text NOT NULL)")
        connection.execute(
            "INSERT INTO orders VALUES (1001, 'typewriter ribbon', 'packed'), (1002, 'carbon paper', 'paid'),"
            " (1003, 'stamp pad', 'stuck')"
        )
        connection.execute("GRANT SELECT ON orders TO orders_ro")
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO orders_rw")


def _policies(client: hvac.Client) -> None:
    texts = {
        "broker": policy("broker"),
        "inspect": policy("inspect"),
        "path-orders-config": policy("kv-read", mount=KV_MOUNT, path=KV_PATH),
    }
    for role in DATABASE_ROLES:
        texts[f"db-wrapped-{MOUNT}-{role.name}"] = policy("db-wrapped", mount=MOUNT, role=role.name)
        texts[f"db-direct-{MOUNT}-{role.name}"] = policy("db-direct", mount=MOUNT, role=role.name)
    for name, text in texts.items():
        client.sys.create_or_update_policy(name=f"{_POLICY_PREFIX}-{name}", policy=text)


def _database_engine(client: hvac.Client, postgres: EmbeddedPostgres, administrator_password: str) -> None:
    client.sys.enable_secrets_engine("database", path=MOUNT)
    _write(client, f"sys/mounts/{MOUNT}/tune", default_lease_ttl=LONGEST, max_lease_ttl=LONGEST)
    _write(
        client,
        f"{MOUNT}/config/{DATABASE}",
        plugin_name="postgresql-database-plugin",
        connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{postgres.port}/{DATABASE}?sslmode=disable",
        username=ADMINISTRATOR,
        password=administrator_password,
        password_authentication="scram-sha-256",  # noqa: S106 -- the name of a method
        username_template=USERNAME,
        allowed_roles=[role.name for role in DATABASE_ROLES],
        max_open_connections=8,
    )
    for role in DATABASE_ROLES:
        _write(
            client,
            f"{MOUNT}/roles/{role.name}",
            db_name=DATABASE,
            creation_statements=[CREATE.substitute(limit=role.connection_limit, group=role.group)],
            revocation_statements=[REVOKE],
            renew_statements=[],
            default_ttl=LONGEST,
            max_ttl=LONGEST,
        )


def _kv_engine(client: hvac.Client) -> None:
    client.sys.enable_secrets_engine("kv", path=KV_MOUNT, options={"version": "2"})
    # A fresh engine of version 2 refuses writes for a moment, longer on a busy machine, while it sets itself up.
    deadline = time.monotonic() + _KV_READY_WITHIN_S
    while True:
        try:
            _write(client, f"{KV_MOUNT}/data/{KV_PATH}", data={"feature": "express-packing", "region": "north"})
        except InvalidRequest:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _broker_login(client: hvac.Client) -> tuple[str, str]:
    _write(
        client,
        f"auth/token/roles/{TOKEN_ROLE}",
        allowed_policies_glob=LEASE_POLICIES,
        orphan=True,
        renewable=False,
        token_type="service",  # noqa: S106 -- the name of a kind
        token_no_default_policy=True,
        token_explicit_max_ttl=LONGEST,
    )
    client.sys.enable_auth_method("approle")
    _write(
        client,
        "auth/approle/role/countersign",
        token_policies=[f"{_POLICY_PREFIX}-broker"],
        token_no_default_policy=True,
        token_period="20m",  # noqa: S106 -- a duration
        token_bound_cidrs=["127.0.0.1/32"],
        secret_id_bound_cidrs=["127.0.0.1/32"],
    )
    role_id = client.read("auth/approle/role/countersign/role-id")["data"]["role_id"]
    secret_id = _write(client, "auth/approle/role/countersign/secret-id")["data"]["secret_id"]
    return str(role_id), str(secret_id)


def _write(client: hvac.Client, path: str, **values: str | bool | int | Sequence[str] | Mapping[str, str]) -> Any:  # noqa: ANN401 -- hvac answers with untyped JSON
    return client.adapter.request("post", f"/v1/{path}", json=values)
