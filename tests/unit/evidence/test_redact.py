"""Secrets are found however they are written, and nothing else is touched."""

import base64
import json
from html import escape
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irkit.config import parse
from irkit.evidence.redact import REMOVED, Redactor

SECRETS = st.text(st.characters(exclude_categories=("Cs",)), min_size=6, max_size=40)


@given(SECRETS, st.text(max_size=20), st.text(max_size=20))
def test_a_secret_is_found_however_it_is_written(secret, before, after):
    redactor = Redactor([secret])
    for form in (
        secret,
        json.dumps(secret)[1:-1],
        escape(secret),
        quote(secret, safe=""),
        base64.b64encode(secret.encode()).decode(),
    ):
        text = f"{before} {form} {after}"
        assert REMOVED in redactor.text(text)
        cleaned = redactor.body(text.encode(errors="surrogatepass"))
        assert form.rstrip("=").encode() not in cleaned or form.rstrip("=") in REMOVED


def test_a_reply_stays_json():
    reply = json.dumps({"a": 'pass"word\\', "b": [1, 'xpass"word\\x']}).encode()
    cleaned = Redactor(['pass"word\\']).body(reply)
    assert json.loads(cleaned) == {"a": REMOVED, "b": [1, f"x{REMOVED}x"]}


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2_" * 8,
        "glpat-" + "a1B2c" * 4,
        "xoxb-1234567890-abcdefghij",
        "AKIA" + "ABCD1234" * 2,
        "hooks.slack.com/services/T00000000/B00000000/abcdefghijklmnop",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLWhlcmU",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIB\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_is_shaped_like_a_token_goes(secret):
    text = f"failed with ({secret}) at 14:02"
    assert Redactor().text(text) == f"failed with ({REMOVED}) at 14:02"
    assert Redactor().body(text.encode()) == f"failed with ({REMOVED}) at 14:02".encode()


def test_headers_and_addresses_keep_what_is_no_secret():
    text = "Authorization: Bearer abcdefgh12345678 for https://oncall:hunter2@prom.example/api"
    assert Redactor().text(text) == (
        f"Authorization: {REMOVED} for https://{REMOVED}@prom.example/api"
    )


@given(st.dictionaries(st.sampled_from(["route", "code", "le"]), st.text("abc123/", max_size=9)))
def test_ordinary_replies_pass_as_the_same_object(labels):
    body = json.dumps([labels, [1772373600, "0.25"]]).encode()
    assert Redactor(["hunter2-hunter2"]).body(body) is body


def test_very_short_secrets_are_not_searched_for():
    assert Redactor(["up"]).text("up is up") == "up is up"


def test_the_secrets_of_a_config_are_known_wherever_they_stand(monkeypatch, tmp_path):
    monkeypatch.setenv("ONCALL_TOKEN", "person-secret-1")
    monkeypatch.delenv("NOT_SET", raising=False)
    config = parse(
        "people: {oncall: {token: env:ONCALL_TOKEN}, second: {token: env:NOT_SET}}",
        file=Path(tmp_path / "irkit.yaml"),
    )
    redactor = Redactor.of(config, [config])
    assert redactor.text("token person-secret-1") == f"token {REMOVED}"
    assert "person-secret-1" not in repr(redactor)
