"""Who is at the keyboard: the one place that asks the operating system for it."""

from __future__ import annotations

import getpass
import os
import socket

from wfconsole.domain.records import Actor


def current_actor() -> Actor:
    """The operating-system user at this host, and where an SSH session comes from."""
    client = os.environ.get("SSH_CONNECTION", "").split(" ")[0]
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return Actor(user=user, host=socket.gethostname(), surface="cli", ssh=client or None)
