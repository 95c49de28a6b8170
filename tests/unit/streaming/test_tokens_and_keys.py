"""Tokens and keys as text: what opens, what does not, and what is never written down."""

from __future__ import annotations

import json

import pytest

from telarchy.streaming import keys, tokens
from telarchy.streaming.evidence import KeyUse
from telarchy.streaming.tokens import Verdict

NOW = 1_800_000_000
SECRET, OLD = "s3cret-ünïcode", "older"


@pytest.mark.parametrize(
    ("secrets", "stream", "shift", "after", "verdict"),
    [
        ([SECRET], "garden", 0, -1, Verdict.VALID),
        ([SECRET], "garden", 0, 0, Verdict.GRACE),
        ([SECRET], "garden", 0, tokens.GRACE_SECONDS - 1, Verdict.GRACE),
        ([SECRET], "garden", 0, tokens.GRACE_SECONDS, Verdict.EXPIRED),
        (["new", SECRET], "garden", 0, -1, Verdict.VALID),
        (["new"], "garden", 0, -1, Verdict.FORGED),
        ([], "garden", 0, -1, Verdict.FORGED),
        ([SECRET], "other", 0, -1, Verdict.FORGED),
        ([SECRET], "garden", 1, -1, Verdict.FORGED),  # a later end than was signed
    ],
)
def test_what_a_token_opens(
    secrets: list[str], stream: str, shift: int, after: int, verdict: Verdict
) -> None:
    given = tokens.signature(SECRET, "garden", NOW)
    assert tokens.verify(secrets, stream, given, str(NOW + shift), NOW + shift + after) is verdict


@pytest.mark.parametrize(
    "expires", ["", "1", "0800000000", "18000000000", "١٨٠٠٠٠٠٠٠٠", "1800000 00", "-800000000"]
)
def test_an_end_that_is_no_moment_is_forged(expires: str) -> None:
    assert tokens.verify([SECRET], "garden", "x" * 43, expires, NOW) is Verdict.FORGED


def test_a_token_is_a_path_that_nothing_needs_to_escape() -> None:
    path = tokens.sign("secret", "garden", NOW)
    assert path == "/p/UCskwaMjTFgRHBHUJV2rEK7jMV2gJZON9Ekvt52I5zk/1800000000"
    with pytest.raises(ValueError, match="ten digits"):
        tokens.sign("secret", "garden", 12)


def test_a_server_is_told_the_present_secret_first_and_no_empty_one() -> None:
    told = json.loads(tokens.tokens_json({"b": ("x", ""), "a": ("new", "old")}))
    assert told == {"streams": {"a": ["new", "old"], "b": ["x"]}}


def test_a_verifier_is_the_plain_digest_and_fits_its_key_only() -> None:
    known = keys.verifier("abc")
    assert known == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert keys.fits("abc", known) and keys.fits("abc", known.upper().replace("SHA256", "sha256"))
    assert not keys.fits("abd", known)


def test_keys_are_told_with_their_ends_and_in_one_order() -> None:
    one = keys.KeyLine(name="b", stream="garden", verifier=keys.verifier("b"), expires=NOW + 0.5)
    two = keys.KeyLine(name="a", stream="garden", verifier=keys.verifier("a"), revoked=True)
    content = keys.keys_json([one, two])
    assert content == keys.keys_json([two, one])
    told = json.loads(content)["keys"]
    assert [(key["name"], key["expires"], key["revoked"]) for key in told] == [
        ("a", None, True),
        ("b", NOW, False),
    ]
    assert len(keys.keys_digest(content)) == 16


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("", KeyUse()),
        ("1800000000 used\n", KeyUse(used=NOW)),
        (
            "1800000000 used\n1800000005 refused:expired\n",
            KeyUse(used=NOW, refused=NOW + 5, reason="expired"),
        ),
        ("1800000005 refused:busy\n1800000007 used\n", KeyUse(used=NOW + 7, refused=NOW + 5, reason="busy")),
        ("nonsense\n99999999999999 used\n-1 used\n1 stolen\n", KeyUse()),
    ],
)
def test_what_the_authority_wrote_is_read(text: str, use: KeyUse) -> None:
    assert keys.parse_key_use(text) == use
