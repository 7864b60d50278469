"""What a path tells about a change: CI, builds, migrations, lock files, permissions, generated code, tests, key files.

Owns the tables and the matching of globs. Refuses to know contents. The decision that would surprise: a glob without a slash
is matched against the last part of the path anywhere, as in a .gitignore, and the built-in ones in any case of letters.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["low", "medium", "high"]
LEVELS: tuple[Level, ...] = ("low", "medium", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRule:
    """`what` names the files that `globs` mean, in the plural; `why` says why a change of one matters."""

    name: str
    level: Level
    what: str
    why: str
    globs: tuple[str, ...]


PATH_RULES: tuple[PathRule, ...] = (
    PathRule(
        name="secret_file",
        level="high",
        what="files that usually hold keys or passwords",
        why="what is committed once stays readable in the history",
        globs=(
            ".env", ".env.*", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "*.pem", "*.p12", "*.pfx", "*.jks", "*.keystore",
            "*.kdbx", ".netrc", ".pypirc", ".npmrc", ".htpasswd", "credentials.json", "service-account*.json", ".git-credentials",
        ),
    ),
    PathRule(
        name="ci",
        level="high",
        what="CI files",
        why="they run on every push with the project's own credentials",
        globs=(
            ".github/workflows/**", ".github/actions/**", ".gitlab-ci.yml", ".gitlab/ci/**", "Jenkinsfile*", ".circleci/**",
            ".travis.yml", "azure-pipelines*.yml", ".azure-pipelines/**", ".buildkite/**", ".drone.yml", "appveyor.yml",
            "bitbucket-pipelines.yml", ".woodpecker.yml", ".woodpecker/**", ".ci/**", ".teamcity/**", "cloudbuild*.yaml",
            ".pre-commit-config.yaml", ".husky/**", "action.yml",
        ),
    ),
    PathRule(
        name="build",
        level="medium",
        what="build files",
        why="they decide what is run and shipped, on every machine that builds",
        globs=(
            "Makefile", "*.mk", "GNUmakefile", "Dockerfile", "Dockerfile.*", "*.Dockerfile", "docker-compose*.y*ml",
            "compose.y*ml", "CMakeLists.txt", "*.cmake", "setup.py", "setup.cfg", "pyproject.toml", "tox.ini", "noxfile.py",
            "package.json", "*.gradle", "*.gradle.kts", "pom.xml", "build.xml", "*.csproj", "*.sln", "Rakefile", "Gemfile",
            "Cargo.toml", "build.rs", "go.mod", "BUILD", "BUILD.bazel", "WORKSPACE", "meson.build", "configure*", "justfile",
            "webpack.config.*", "vite.config.*", "rollup.config.*", "babel.config.*", "Podfile", "*.podspec", "*.gemspec",
            "*.tf", "Chart.yaml", "requirements*.in",
        ),
    ),
    PathRule(
        name="migration",
        level="medium",
        what="database migrations",
        why="they change stored data, and taking the code back does not take them back",
        globs=("migrations/**", "**/migrations/**", "**/alembic/versions/**", "alembic/versions/**", "**/db/migrate/**",
               "db/migrate/**", "**/flyway/**", "**/liquibase/**", "*.sql"),
    ),
    PathRule(
        name="lock_file",
        level="medium",
        what="lock files",
        why="they bring in other people's code that this diff does not show",
        globs=(
            "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock*", "poetry.lock", "Pipfile.lock",
            "uv.lock", "pdm.lock", "requirements*.txt", "requirements/*.txt", "constraints*.txt", "Cargo.lock", "go.sum",
            "composer.lock", "Gemfile.lock", "mix.lock", "pubspec.lock", "Podfile.lock", "flake.lock", "gradle.lockfile",
            "packages.lock.json", "conda-lock.y*ml", ".terraform.lock.hcl", ".gitmodules",
        ),
    ),
    PathRule(
        name="generated",
        level="medium",
        what="generated or vendored files",
        why="nobody reads them line by line; look at what they were made from",
        globs=(
            "vendor/**", "**/vendor/**", "third_party/**", "**/third_party/**", "node_modules/**", "**/node_modules/**",
            "dist/**", "**/dist/**", "**/generated/**", "**/__generated__/**", "*.min.js", "*.min.css", "*.map", "*_pb2.py",
            "*_pb2_grpc.py", "*.pb.go", "*.pb.cc", "*.pb.h", "*.generated.*", "*.g.dart", "*.designer.cs", "*_generated.*",
        ),
    ),
)  # fmt: skip

AUTH_WORDS = frozenset({
    "auth", "authn", "authz", "authenticate", "authentication", "authenticator", "authorize", "authorization",
    "authorise", "authorisation", "login", "logout", "signin", "signup", "sso", "saml", "oauth", "oauth2", "oidc",
    "jwt", "session", "sessions", "password", "passwords", "passwd", "permission", "permissions", "privilege",
    "privileges", "acl", "acls", "rbac", "iam", "role", "roles", "policy", "policies", "sudoers", "security",
    "crypto", "cryptography", "csrf", "cors", "codeowners",
})  # fmt: skip
AUTH_FILES = ("CODEOWNERS", "allowed_signers", "authorized_keys", "known_hosts", "sudoers", "sshd_config")
_TESTS = (
    "test/**", "tests/**", "**/test/**", "**/tests/**", "spec/**", "**/spec/**", "**/__tests__/**", "test_*", "*_test.*",
    "*.test.*", "*.spec.*", "*_spec.*", "*Test.java", "*Tests.java", "*Test.kt", "*Tests.cs", "*Test.php", "conftest.py",
)  # fmt: skip
_DOCUMENTS = ("*.md", "*.rst", "*.adoc", "*.txt", "docs/**", "doc/**", "LICENSE*")


def is_test(path: str) -> bool:
    return matches(path, _TESTS)


def is_auth(path: str) -> bool:
    """Does the path speak of who may do what? Tests and documents do not count."""
    if matches(path, AUTH_FILES):
        return True
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", path)
    words = set(re.split(r"[^a-z0-9]+", spaced.lower()))
    return bool(words & AUTH_WORDS) and not is_test(path) and not matches(path, _DOCUMENTS)


def is_lock(path: str) -> bool:
    return matches(path, next(rule.globs for rule in PATH_RULES if rule.name == "lock_file"))


def matches(path: str, globs: Sequence[str]) -> bool:
    """Is `path` meant by one of the built-in globs?"""
    return _any(tuple(globs)).fullmatch(path) is not None


@functools.cache
def _any(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(glob) for glob in globs), re.IGNORECASE | re.DOTALL)


def translate(glob: str) -> str:
    """A glob as a regular expression for whole paths: ``*`` and ``?`` within a name, ``**`` across folders, ``[a-z]``."""
    pattern, at = glob.lstrip("/"), 0
    out = [] if "/" in glob else ["(?:.*/)?"]
    while at < len(pattern):
        char = pattern[at]
        close = pattern.find("]", at + 2) if char == "[" else -1
        if pattern.startswith("**/", at):
            out.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("**", at):
            out.append(".*")
            at += 2
        elif close > 0:
            inner = pattern[at + 1 : close].replace("\\", "\\\\").replace("[", "\\[")
            out.append(f"[^{inner[1:]}]" if inner[0] == "!" else f"[{inner}]")
            at = close + 1
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char))
            at += 1
    return "(?:" + "".join(out) + ")"
