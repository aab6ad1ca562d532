"""What identities and signatures rest on, broken one at a time: each mutant names the suites that must notice."""

from __future__ import annotations

from tests.mutants.rules import Mutant

TOKENS = "identity/tokens.py"
FETCH = "identity/fetch.py"
PROVIDER = "identity/provider.py"
FLOW = "identity/flow.py"
SIGNING_IN = "service/signing_in.py"
SESSIONS = "service/sessions.py"
LEAVING = "service/leaving.py"
PIPELINES = "service/pipelines.py"
BROWSER = "api/browser.py"
PASSKEYS = "auditlog/passkeys.py"
KEYRING = "auditlog/keyring.py"
SIGNATURES = "service/signatures.py"
JUDGEMENT = "service/judgement.py"
ISSUER = "service/issuer.py"
MEMORY = "service/memory.py"
ISSUERS = "domain/issuer.py"

SIGN_IN = ("sign-in", ("tests/api/test_sign_in_attacks.py", "tests/api/test_signing_in.py"))
GROUPS = ("groups", ("tests/api/test_groups_and_leaving.py",))
SIGNED = (
    "signatures",
    tuple(f"tests/signing/test_{part}.py" for part in ("attacks_over_http", "attacks_on_the_database", "passkey_page")),
)
REMEMBERED = ("memory", ("tests/signing/test_log_memory.py",))
RUNS = ("pipelines", ("tests/cli/test_pipelines.py",))


def broken(name: str, suite: tuple[str, tuple[str, ...]], *edits: tuple[str, str, str]) -> Mutant:
    """Name a mutant and the suite that must notice it."""
    return Mutant(name=name, edits=edits, suites=(suite,))


MUTANTS = (
    broken(
        "any algorithm is accepted",
        SIGN_IN,
        (TOKENS, "algorithm not in issuer.algorithms:", "False:"),
        (TOKENS, "        key.check_alg(algorithm)\n", ""),
        (TOKENS, "algorithms=[algorithm], registry=registry", "algorithms=[algorithm]"),
    ),
    broken("a token chooses its key", SIGN_IN, (TOKENS, "if POINTING & header.keys():", "if False:")),
    broken("a token for somebody else", SIGN_IN, (TOKENS, "or audience not in audiences:", "or False:")),
    broken("a token of another issuer", SIGN_IN, (TOKENS, 'if said.get("iss") != issuer.url:', "if False:")),
    broken("made for another party", SIGN_IN, (TOKENS, "or authorized not in {None, audience}:", "or False:")),
    broken("an expired token", SIGN_IN, (TOKENS, "if now >= expires_at + skew:", "if False:")),
    broken(
        "a token of the future",
        SIGN_IN,
        (TOKENS, "if max(issued_at, not_before or issued_at) > now + skew:", "if False:"),
    ),
    broken("an old token", SIGN_IN, (TOKENS, "if now - issued_at > OLDEST + skew:", "if False:")),
    broken(
        "a nonce of another sign-in",
        SIGN_IN,
        (TOKENS, 'if nonce is None or not hmac.compare_digest(text_of(said, "nonce") or "", nonce):', "if False:"),
    ),
    broken("a logout token signs in", SIGN_IN, (TOKENS, "elif BACK_CHANNEL in events_of(said):", "elif False:")),
    broken(
        "a state of another sign-in",
        SIGN_IN,
        (FLOW, 'if not hmac.compare_digest(query.get("state", "").encode(), self.state.encode()):', "if False:"),
    ),
    broken(
        "an answer of another issuer",
        SIGN_IN,
        (
            FLOW,
            "if (named is not None and named != issuer.url) or (named is None and endpoints.names_itself):",
            "if False:",
        ),
    ),
    broken(
        "a sign-in works twice",
        SIGN_IN,
        (SIGNING_IN, "            self._demand_first(tx, claims, waiting.secret)\n", ""),
    ),
    broken(
        "a token without its device key",
        SIGN_IN,
        (SIGNING_IN, "        _demand_possession(device, id_token, signature)\n", ""),
    ),
    broken(
        "a refresh token is good for ever",
        SIGN_IN,
        (
            SESSIONS,
            "if tx.end_session(session.id):\n                tx.record(RefreshReused",
            "if False:\n                tx.record(RefreshReused",
        ),
    ),
    broken(
        "a session that idles",
        SIGN_IN,
        ("domain/session.py", "IDLE = timedelta(minutes=30)", "IDLE = timedelta(days=30)"),
    ),
    broken("another site's page", SIGN_IN, (BROWSER, "        demand_own_page(request)\n", "")),
    broken(
        "a form without its token",
        SIGN_IN,
        (BROWSER, "if not hmac.compare_digest(given.encode(), form_token_of(cookie).encode()):", "if False:"),
    ),
    broken("an answer of any size", SIGN_IN, (FETCH, "if size > LARGEST_ANSWER:", "if False:")),
    broken("an issuer that drips", SIGN_IN, (FETCH, "if time.monotonic() > deadline:", "if False:")),
    broken(
        "an issuer that calls itself otherwise",
        SIGN_IN,
        (PROVIDER, 'if document.get("issuer") != self.issuer.url:', "if False:"),
    ),
    broken("a weak key", SIGN_IN, (PROVIDER, "key.public_key.key_size < SMALLEST_RSA_BITS", "False")),
    broken("made up key ids make us ask", SIGN_IN, (PROVIDER, "return lately or (", "return (")),
    broken("groups by an issuer's old word", GROUPS, (ISSUERS, "and now - word.at <= bound", "")),
    broken(
        "a removal at the issuer is not heard",
        GROUPS,
        (ISSUERS, "(needed - confirmed) | denied", "needed - confirmed - denied"),
    ),
    broken(
        "who left keeps his leases",
        GROUPS,
        (
            LEAVING,
            "grants, requests = self.control.end_person(tx, rules, principal.person, actor=ACTOR, reason=reason)",
            "grants, requests = 0, 0",
        ),
    ),
    broken(
        "a logout token is good twice",
        GROUPS,
        (
            LEAVING,
            "if not tx.show_token(issuer=issuer.id, hashed=shown, expires_at=claims.expires_at + 2 * issuer.max_skew):",
            "if False:",
        ),
    ),
    broken(
        "no second factor",
        GROUPS,
        (
            "domain/entitlement.py",
            "if self.second_factor and not principal.factors",
            "if False and not principal.factors",
        ),
    ),
    broken(
        "a pipeline's token is good twice",
        RUNS,
        (
            PIPELINES,
            'if not show(issuer=claims.issuer.id, hashed=hashed(f"jti {jti}"), expires_at=until):',
            "if False:",
        ),
    ),
    broken(
        "a stranger behind a run",
        RUNS,
        (
            PIPELINES,
            "if human is None or not roster.is_active(human.person):",
            "if human is None:\n            continue\n        if not roster.is_active(human.person):",
        ),
    ),
    broken(
        "a token approves where a signature is asked for",
        SIGNED,
        (SIGNATURES, "return entitlement.signature is SignatureRule.REQUIRED", "return False"),
    ),
    broken(
        "an unsigned approval counts at the draw",
        SIGNED,
        (
            JUDGEMENT,
            "if hindrance is None and is_required(self.entitlement) and fault_of(said, self.rules) is not None:",
            "if False:",
        ),
    ),
    broken("another person's key", SIGNED, (KEYRING, "if key.person != person:", "if False:")),
    broken(
        "a signature over something else",
        SIGNED,
        (
            PASSKEYS,
            "expected_challenge=challenge,",
            'expected_challenge=unbase64url(json.loads(client_data)["challenge"]),',
        ),
    ),
    broken(
        "present and not verified",
        SIGNED,
        (PASSKEYS, "if not parse_authenticator_data(authenticator_data).flags.uv:", "if False:"),
        (
            PASSKEYS,
            "none to compare with\n            require_user_verification=True,",
            "none to compare with\n            require_user_verification=False,",
        ),
    ),
    broken(
        "signed at another page",
        SIGNED,
        (PASSKEYS, 'if origin not in passkey.origins or framed is not False or "topOrigin" in said:', "if False:"),
        (PASSKEYS, "expected_origin=list(passkey.origins),", "expected_origin=[json.loads(client_data)['origin']],"),
    ),
    broken("a cloned authenticator", SIGNED, (SIGNATURES, "if (counter or seen) and counter <= seen:", "if False:")),
    broken("one person vouches", SIGNED, ("domain/passkey.py", "VOUCHERS = 2", "VOUCHERS = 1")),
    broken("any key vouches", SIGNED, (KEYRING, "and not key.vouches:", "and False:")),
    broken(
        "a removed key still counts",
        SIGNED,
        (
            KEYRING,
            "keys = {name: key for name, key in self.keys.items() if name != passkey_id}",
            "keys = dict(self.keys)",
        ),
    ),
    broken(
        "draws are counted by their column",
        REMEMBERED,
        (ISSUER, "            grant = self.memory.as_logged(grant)\n", ""),
    ),
    broken("a grant is what a row says", REMEMBERED, (ISSUER, "            self.memory.demand_opened(grant)\n", "")),
    broken(
        "a log with another past", REMEMBERED, (MEMORY, "if (grown.size, grown.root()) != (size, root):", "if False:")
    ),
    broken("a log that was cut", REMEMBERED, (MEMORY, "if head.size < known.size:", "if False:")),
    broken(
        "a draw is not remembered before it is made",
        REMEMBERED,
        (
            ISSUER,
            "            self.memory.keep()  # from here on the intent is remembered, whatever becomes of the database\n",
            "",
        ),
    ),
)
