"""What building a template asks of the Docker engine: pull, import, build on top, run one command, ask and remove.

Owns the calls and turns their failures into WfconsoleError. Refuses to know templates. Blocking: callers use a thread.
Surprising: a pull that is silent for eight seconds counts as "no registry here"; the other way takes a minute, not a hang.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wfconsole.ports import WfconsoleError

if TYPE_CHECKING:
    import docker

PULL_SILENCE = 8
_IMPORT_TIMEOUT = 600
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@contextmanager
def translated() -> Iterator[None]:
    """Whatever else the engine or the way to it gets wrong is SANDBOX_UNAVAILABLE."""
    import requests
    from docker.errors import DockerException

    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise WfconsoleError(
            "SANDBOX_UNAVAILABLE", f"the Docker engine failed: {error}", "`wfconsole doctor` says what is wrong"
        ) from error


class Engine:
    """One connection to the engine that ``DOCKER_HOST`` or the default socket names, opened at first use."""

    def __init__(self) -> None:
        self._client: docker.DockerClient | None = None

    @property
    def client(self) -> docker.DockerClient:
        """Raises WfconsoleError SANDBOX_UNAVAILABLE when nothing answers."""
        if self._client is None:
            from docker.errors import DockerException

            from wfconsole.sandbox.client import LocalDocker

            try:
                client = LocalDocker.from_env(timeout=_IMPORT_TIMEOUT)  # asks for the version, so it answers
            except DockerException as error:
                raise WfconsoleError(
                    "SANDBOX_UNAVAILABLE",
                    f"the Docker engine does not answer: {error}",
                    "start Docker, or run `scripts/wfconsole doctor`, which starts one where root or sudo allows",
                ) from error
            self._client = client
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def machine(self) -> str:
        """The machine name as wheels spell it: x86_64, aarch64."""
        found = str(self.client.version().get("Arch", ""))
        return _MACHINES.get(found, found)

    def pull(self, reference: str) -> str | None:
        """The image id of a pulled image; None where no registry answers in time or has it."""
        import requests
        from docker.errors import DockerException

        from wfconsole.sandbox.client import LocalDocker

        client = LocalDocker.from_env(timeout=PULL_SILENCE)
        name, _, tag = reference.partition(":") if "@" not in reference else (reference, "", "")
        try:
            for event in client.api.pull(name, tag=tag or None, stream=True, decode=True):
                if "error" in event:
                    return None
            return str(client.images.get(reference).id)
        except (DockerException, requests.RequestException):
            return None
        finally:
            client.close()

    def load(self, tar: Path, changes: Sequence[str]) -> str:
        """Import a tar as an untagged image with one layer; its id."""
        text = self.client.api.import_image(src=str(tar), changes=list(changes))
        last: dict[str, Any] = json.loads(str(text).strip().splitlines()[-1])
        if "status" not in last:
            raise WfconsoleError("TEMPLATE_MISSING", f"docker import failed: {last.get('error', last)}")
        return str(last["status"])

    def build_on(self, context: Path) -> str:
        """Build a context tar; the id of the untagged image."""
        from docker.errors import BuildError

        try:
            with context.open("rb") as content:
                image, _ = self.client.images.build(fileobj=content, custom_context=True, rm=True, nocache=True)
        except BuildError as error:
            raise WfconsoleError("TEMPLATE_MISSING", f"docker build failed: {error}") from error
        return str(image.id)

    def tag(self, image: str, tag: str) -> None:
        self.client.images.get(image).tag(tag, "latest")

    def run(self, image: str, argv: Sequence[str], mounts: Mapping[Path, str], user: str) -> str:
        """Output of one command in a throw-away container without a network; stderr is part of it.

        Raises WfconsoleError TEMPLATE_MISSING when the command fails.
        """
        from docker.errors import APIError

        volumes = {str(source): {"bind": target, "mode": "rw"} for source, target in mounts.items()}
        container = self.client.containers.create(
            image,
            list(argv),
            network_mode="none",
            user=user,
            volumes=volumes,
            entrypoint=[],
            labels={"wfconsole.build": ""},
        )
        try:
            container.start()
            code = int(container.wait(timeout=_IMPORT_TIMEOUT)["StatusCode"])
            output = container.logs(stdout=True, stderr=True).decode(errors="backslashreplace")
        except APIError as error:
            raise WfconsoleError("TEMPLATE_MISSING", f"the image cannot run {argv[0]}: {error.explanation}") from error
        finally:
            container.remove(force=True, v=True)
        if code:
            raise WfconsoleError("TEMPLATE_MISSING", f"{argv[0]} ended with {code} in the new image: {output[-300:]}")
        return output

    def image(self, reference: str) -> tuple[str, Mapping[str, str]] | None:
        """Id and labels of an image, None when it is not there."""
        from docker.errors import ImageNotFound

        try:
            found = self.client.images.get(reference)
        except ImageNotFound:
            return None
        return str(found.id), dict(found.labels)

    def details(self, image: str) -> tuple[str, list[str]]:
        """(platform, layers) of an image that is there."""
        found = self.client.images.get(image).attrs
        return f"{found['Os']}/{found['Architecture']}", list(found["RootFS"].get("Layers") or ())

    def read(self, image: str, path: str) -> bytes | None:
        """A file of an image, read without running anything of it; None when it is not there."""
        from docker.errors import NotFound

        container = self.client.containers.create(image, ["-"], network_mode="none", labels={"wfconsole.build": ""})
        try:
            chunks, _ = container.get_archive(path)
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
                member = tar.next()
                content = tar.extractfile(member) if member is not None and member.isfile() else None
                return None if content is None else content.read()
        except NotFound:
            return None
        finally:
            container.remove(force=True, v=True)

    def forget(self, image: str) -> None:
        """Remove an image unless a container or another tag still uses it; that it stays then is no failure."""
        from docker.errors import APIError

        try:
            self.client.images.remove(image)
        except APIError:
            return
