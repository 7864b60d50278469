"""The explained score: each rule on a real patch, what it says, and that no note and no sample ever repeats a secret."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from wfconsole.domain.codec import canonical
from wfconsole.views import secrets
from wfconsole.views.diff import document, parse
from wfconsole.views.risk import CustomRule, Risk, RiskFacts, custom_rule, document as risk_document, risk
from wfconsole.views.risk_rules import is_auth, is_test, matches, translate

Change = Callable[..., bytes]

# Put together from parts, so that nobody who searches this file for keys finds one.
EY = "eyJ"
KEYS = {
    "an AWS access key id": "AKIA" + "Q7ZX3MNBVCLKJHGF",
    "a GitHub token": "ghp" + "_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    "a GitLab token": "glpat" + "-" + "x9Y8z7W6v5U4t3S2r1Q0",
    "a Slack token": "xoxb" + "-" + "123456789012-abcdefGHIJKL",
    "a Google API key": "AIza" + "SyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q",
    "a Stripe live key": "sk_" + "live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "an API key": "sk-" + "proj-" + "Zx9Yw8Vu7Ts6Rq5Po4Nm3Lk2Ji1Hg0Fe",
    "a signed web token": f"{EY}hbGciOiJIUzI1NiJ9.{EY}zdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "a password in an address": "postgres://app:" + "s3cr3tpw" + "@db.internal/x",
    "a secret that is assigned": "client_" + "secret = '" + "f3A9x7Qm2Lz8Kp4W" + "'",
}


def judge(patch: bytes, facts: RiskFacts | None = None, *rules: CustomRule) -> Risk:
    summary, hunks = parse(patch)
    return risk(summary, hunks, facts or RiskFacts(), rules)


def said(found: Risk) -> dict[str, tuple[str, str]]:
    for note in found.notes:
        assert note.saw
        assert note.why
    return {note.rule: (note.level, note.saw) for note in found.notes}


def test_a_harmless_change_has_no_notes(change: Change) -> None:
    found = judge(change({"src/a.py": b"x = 1\n"}, {"src/a.py": b"x = 2\n", "src/b.py": b"y = 'hello world'\n"}))
    assert (found.level, found.score, found.notes) == ("low", 0, ())


@pytest.mark.parametrize(("kind", "text"), KEYS.items(), ids=KEYS)
def test_a_secret_in_an_added_line_is_told_by_kind_and_place_only(change: Change, kind: str, text: str) -> None:
    patch = change({"conf.py": b"a = 1\n"}, {"conf.py": b"a = 1\n\nx = f(" + text.encode() + b")\n"})
    found = judge(patch)
    level, saw = said(found)["secret"]
    assert (level, found.level) == ("high", "high")
    assert f"{kind} at conf.py:3" in saw
    hidden = text.partition("://app:")[2].partition("@")[0] or text.partition("'")[2].rstrip("'") or text
    assert hidden.encode() in patch
    summary, _ = parse(patch, mask=secrets.masked)
    shown = canonical([document(summary), risk_document(found)])
    assert hidden.encode() not in shown
    assert b"****" in shown


def test_a_private_key_is_hidden_whole_and_nothing_else_with_it(change: Change) -> None:
    body = "MIIEpAIBAAKCAQEA7bq2hQ0c9k3\n" * 3
    key = "-----BEGIN RSA PRIV" + "ATE KEY-----\n" + body + "-----END RSA PRIV" + "ATE KEY-----\n"
    patch = change({}, {"k": key.encode() + b"import os  # after it\n"})
    summary, _ = parse(patch, mask=secrets.masked)
    assert "MIIE" not in "".join(summary.files[0].sample)
    assert summary.files[0].sample[-1] == "+import os  # after it"
    assert "a private key at k:1" in said(judge(patch))["secret"][1]
    # The mark alone does not hide what comes after it from the reviewer.
    code = "# " + key.splitlines()[0] + "\nos.system('rm -rf x')\n"
    assert secrets.masked(code.splitlines())[1] == "os.system('rm -rf x')"


@pytest.mark.parametrize(
    "line",
    [
        "password = os.environ['DB_PASSWORD']", "token = get_token()", "secret: ${{ secrets.DEPLOY }}", "api_key = '<your key>'",
        "password = 'changeme'", "token_type = 'bearer'", "const secretName = 'my-app-secret';", "PASSWORD_FIELD = 'password'",
        "see https://example.org/a/b for tokens", "tokens = tokenize(text)", "git@host:path/x", "'secret': 'secret.key.path'",
        "auth_token: str = Field(default='token')", "http://user:${PASS}@host/", "the password is asked for at the start",
    ],
)  # fmt: skip
def test_what_is_no_secret_is_not_told_as_one(change: Change, line: str) -> None:
    assert "secret" not in said(judge(change({}, {"a.py": line.encode() + b"\n"})))
    assert secrets.masked([line]) == [line]


def test_masking_hides_the_secret_and_nothing_beside_it() -> None:
    token, key = KEYS["a GitHub token"], "-----BEGIN PRIV" + "ATE KEY-----"
    lines = [
        f"token = '{token}'; os.system('x')  # {token} end",
        f"k = '{key}\\nMIIEpAIBAAKCAQEA7bq2' + evil()",
        "password='f3A9x7Qm2' or 1",
    ]
    assert secrets.masked(lines) == [
        "token = '****'; os.system('x')  # **** end",
        f"k = '{key}****' + evil()",
        "password='****' or 1",
    ]


def test_removed_moved_and_locked_secrets_are_no_added_ones(change: Change) -> None:
    text = KEYS["a GitHub token"].encode() + b"\n"
    assert "secret" not in said(judge(change({"a": text}, {})))
    assert "secret" not in said(judge(change({"a": text}, {"b": text})))
    digest = b'"token": "f3A9x7Qm2Lz8Kp4WQm2Lz8"\n'
    assert "secret" not in said(judge(change({}, {"yarn.lock": digest})))
    assert "secret" in said(judge(change({}, {"yarn.locks": digest})))
    assert "secret" in said(judge(change({}, {"yarn.lock": text})))


def test_a_secret_far_inside_one_long_line_is_found(change: Change) -> None:
    text = "x" * 60_000 + " " + KEYS["a GitHub token"] + " " + "y" * 60_000
    patch = change({}, {"bundle.js": text.encode()})
    assert said(judge(patch))["secret"][0] == "high"


def test_many_secrets_are_counted_and_a_few_are_named(change: Change) -> None:
    lines = "".join(f"k{n} = '{KEYS['a Google API key']}'\n" for n in range(40))
    assert "40 added lines" in said(judge(change({}, {"a": lines.encode()})))["secret"][1]
    assert "and 35 more" in said(judge(change({}, {"a": lines.encode()})))["secret"][1]


@pytest.mark.parametrize(
    ("path", "rule", "level"),
    [
        (".github/workflows/release.yml", "ci", "high"), (".gitlab-ci.yml", "ci", "high"), ("sub/Jenkinsfile", "ci", "high"),
        ("Makefile", "build", "medium"), ("docker/Dockerfile", "build", "medium"), ("pyproject.toml", "build", "medium"),
        ("app/migrations/0002_x.py", "migration", "medium"), ("db/schema.sql", "migration", "medium"),
        ("package-lock.json", "lock_file", "medium"), ("requirements/dev.txt", "lock_file", "medium"),
        ("src/auth/tokens.py", "auth", "high"), ("lib/UserPermissions.java", "auth", "high"),
        (".github/CODEOWNERS", "auth", "high"),
        ("vendor/x/y.go", "generated", "medium"), ("api/service_pb2.py", "generated", "medium"),
        ("a/app.min.js", "generated", "medium"),
        (".env", "secret_file", "high"), ("deploy/server.pem", "secret_file", "high"),
    ],
)  # fmt: skip
def test_what_a_path_tells(change: Change, path: str, rule: str, level: str) -> None:
    found = said(judge(change({path: b"a = 1\n"}, {path: b"a = 2\n"})))
    assert found[rule][0] == level
    assert path in found[rule][1]


def test_a_key_file_that_goes_away_is_no_new_risk(change: Change) -> None:
    assert set(said(judge(change({".env": b"a\n"}, {})))) == {"deletion"}


def test_a_file_that_is_moved_away_is_judged_by_its_old_path_too(change: Change) -> None:
    found = said(judge(change({"src/auth/login.py": b"a\n"}, {"src/misc/x.py": b"a\n"})))
    assert "src/misc/x.py" in found["auth"][1]


def test_tests_and_documents_about_auth_are_not_auth_code() -> None:
    assert not is_auth("tests/test_login.py")
    assert not is_auth("docs/authentication.md")
    assert not is_auth("src/author.py")
    assert is_auth("src/loginForm.tsx")
    assert is_test("pkg/thing_test.go")
    assert not is_test("src/contest.py")


def test_bits_deletions_binaries_submodules_and_links(change: Change) -> None:
    patch = change(
        {"a": b"x\n", "gone": b"1\n", "l": ("120000", b"b")},
        {"a": ("100755", b"x\n"), "img": b"\0" * 50, "sub": ("160000", b"3" * 40), "l": ("120000", b"c"),
         "d/out": ("120000", b"../../etc")},
    )  # fmt: skip
    found = said(judge(patch))
    assert {rule: found[rule][0] for rule in ("executable", "deletion", "binary", "submodule", "link")} == {
        "executable": "medium", "deletion": "low", "binary": "medium", "submodule": "medium", "link": "high",
    }  # fmt: skip
    assert "d/out" in found["link"][1]
    assert said(judge(change({"l": b"text\n"}, {"l": ("120000", b"/etc/shadow")})))["link"][0] == "high"
    assert said(judge(change({}, {"d/l": ("120000", b"../b")})))["link"][0] == "low"


def test_large_changes_and_migrations_that_destroy(change: Change) -> None:
    assert said(judge(change({}, {"a": b"x\n" * 999}))).get("large_change") is None
    assert said(judge(change({}, {"a": b"x\n" * 1000})))["large_change"][0] == "medium"
    assert said(judge(change({}, {"a": b"x\n" * 5000})))["large_change"][0] == "high"
    assert said(judge(change({}, {"a": b"x" * 2**20})))["large_change"][0] == "medium"
    found = said(judge(change({}, {"migrations/1.sql": b"ok\nDROP TABLE users;\n"})))
    assert found["migration"][0] == "high"
    assert "migrations/1.sql:2" in found["migration"][1]


def test_tests_removed_or_skipped(change: Change) -> None:
    tests = b"def test_a():\n    pass\n\n\ndef test_b():\n    pass\n"
    assert said(judge(change({"tests/test_a.py": tests}, {})))["tests_removed"][0] == "high"
    found = said(judge(change({"tests/test_a.py": tests}, {"tests/test_a.py": tests[:25]})))
    assert found["tests_removed"] == ("medium", "1 tests fewer")
    # Moved into another file: nothing is lost, only a file is gone.
    moved = said(judge(change({"tests/test_a.py": tests}, {"tests/test_b.py": tests + b"# more\n"})))
    assert moved["tests_removed"] == ("medium", "1 test files deleted: tests/test_a.py")
    skipped = said(judge(change({"tests/test_a.py": tests}, {"tests/test_a.py": b"@pytest.mark.skip\n" + tests})))
    assert skipped["tests_skipped"] == ("medium", "1 added lines that skip tests: tests/test_a.py:1")
    assert "tests_skipped" not in said(judge(change({}, {"src/a.py": b"@pytest.mark.skip\n"})))


def test_text_that_reads_otherwise_than_it_runs(change: Change) -> None:
    trick = "if level != 'user\u202e \u2066// admin\u2069 \u2066' {\n"
    assert said(judge(change({}, {"a.js": trick.encode()})))["hidden_text"][0] == "high"
    assert "hidden_text" not in said(judge(change({}, {"a.js": "“quotes” \u2014 dots…\n".encode()})))


def test_given_facts_are_told() -> None:
    facts = RiskFacts(
        coverage_before=91.0, coverage_after=85.5, tests_run=0, tests_failed=2, drift=("python 3.11 / 3.12",),
        blocked=("rm -rf /",), network=("deploy: bridge",),
    )  # fmt: skip
    found = said(judge(b"", facts))
    assert found["coverage_fell"] == ("high", "coverage fell from 91.0 % to 85.5 %")
    assert {rule: level for rule, (level, _) in found.items()} == {
        "coverage_fell": "high", "tests_failed": "high", "no_tests": "medium", "drift": "high", "blocked": "high",
        "network": "medium",
    }  # fmt: skip
    assert "rm -rf /" in found["blocked"][1]
    for after, level in ((90.5, "low"), (88.0, "medium")):
        assert said(judge(b"", RiskFacts(coverage_before=91.0, coverage_after=after)))["coverage_fell"][0] == level
    for before, now in ((80.0, 80.0), (None, 1.0), (50.0, None), (50.0, 60.0)):
        assert judge(b"", RiskFacts(coverage_before=before, coverage_after=now)).notes == ()


def test_the_level_is_that_of_the_worst_note_and_the_score_is_bounded(change: Change) -> None:
    patch = change({}, {"Makefile": b"x\n", "gone": b""})
    assert (judge(patch).level, judge(patch).score) == ("medium", 5)
    facts = RiskFacts(tests_failed=1, drift=("a",), blocked=("b",), network=("c",))
    found = judge(patch, facts, CustomRule(level="high", why="w"))
    assert (found.level, found.score) == ("high", 100)
    assert [note.level for note in found.notes] == ["high"] * 4 + ["medium"] * 2


def test_rules_of_a_recipe(change: Change) -> None:
    patch = change({}, {"pay/charge.py": b"a\nAMOUNT = 5\n", "other.py": b"b\n"})
    by_path = custom_rule({"when": "pay/**", "level": "high", "why": "money"})
    found = judge(patch, None, by_path)
    assert (found.notes[0].rule, found.notes[0].level, found.notes[0].why) == ("recipe", "high", "money")
    assert "pay/charge.py" in found.notes[0].saw
    by_text = custom_rule({"when": r"/\bAMOUNT\b/", "level": "medium"})
    assert "pay/charge.py:2" in judge(patch, None, by_text).notes[0].saw
    assert judge(patch, None, custom_rule({"when": "*.go", "level": "high"})).notes == ()
    assert judge(b"", None, custom_rule({"level": "low", "why": "always"})).notes[0].why == "always"


@pytest.mark.parametrize(
    "rule",
    [
        None, {}, {"level": "huge"}, {"level": "high", "when": 3}, {"level": "high", "when": "//"},
        {"level": "high", "when": "/(/"},
        {"level": "high", "when": "/(a+)+$/"}, {"level": "high", "when": "[z-a]"},
    ],
)  # fmt: skip
def test_a_rule_that_is_none_is_refused(rule: object) -> None:
    with pytest.raises(ValueError, match=r"rule|glob|regular|repeat"):
        custom_rule(rule)


@pytest.mark.parametrize(
    ("glob", "path", "meant"),
    [
        ("*.py", "a/b/c.py", True), ("a/*.py", "a/b/c.py", False), ("a/**", "a/b/c.py", True), ("**/c.py", "c.py", True),
        ("**/x/**", "a/x/b", True), ("?.py", "ab.py", False), ("[a-c].py", "b.py", True), ("[!a-c].py", "b.py", False),
        ("a.b", "axb", False), ("/src/*", "src/a", True), ("a/**/b", "a/b", True), ("x[", "x[", True),
        ("*.py", "new\nline.py", True),
    ],
)  # fmt: skip
def test_globs(glob: str, path: str, meant: bool) -> None:
    assert matches(path, (glob,)) is meant
    assert translate(glob)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200))
def test_masking_keeps_the_number_of_lines_and_never_fails(text: str) -> None:
    for prefix in ("", "password = ", "AKIA", "+token: '"):
        assert len(secrets.masked([prefix + text, text])) == 2
        list(secrets.find(prefix + text))


@given(st.binary(max_size=300))
def test_any_added_bytes_can_be_judged(data: bytes) -> None:
    body = b"".join(b"+" + line + b"\n" for line in data.split(b"\n"))
    patch = b"diff --git a/tests/x b/tests/x\n--- a/tests/x\n+++ b/tests/x\n@@ -1 +1 @@\n" + body
    assert canonical(risk_document(judge(patch)))


def test_a_diff_of_5000_lines_is_parsed_and_judged_within_300_ms(change: Change) -> None:
    old, new = {}, {}
    for number in range(50):
        lines = [f"    result_{n} = compute(token_{n}, 'value {n}')  # secret sauce {n}\n" for n in range(100)]
        old[f"src/m{number}.py"] = "".join(lines).encode()
        new[f"src/m{number}.py"] = "".join(
            lines[::2] + [f"    other_{n} = call(password_{n})\n" for n in range(50)]
        ).encode()
    patch = change(old, new)
    began = time.process_time()
    summary, hunks = parse(patch, mask=secrets.masked)
    found = risk(summary, hunks, RiskFacts())
    canonical([document(summary), risk_document(found)])
    spent = time.process_time() - began
    assert summary.added + summary.removed == 5000
    assert spent < 0.3
