"""Writes the draft of a letter from the run's inputs: subject and body as outputs, both as draft.txt for its reader."""

import json
import os
import sys
import textwrap

WIDTH = 72


def body(inputs: dict[str, str]) -> str:
    """The letter: how it addresses its reader, the brief in paragraphs of at most 72 columns, the signature."""
    parts = [f"Hello {inputs['recipient']}," if inputs["recipient"] else "Hello,"]
    for part in inputs["brief"].replace("\r\n", "\n").split("\n\n"):
        words = " ".join(part.split())
        if words:
            parts.append(textwrap.fill(words, WIDTH, break_long_words=False, break_on_hyphens=False))
    if inputs["signature"]:
        parts.append(inputs["signature"])
    return "\n\n".join(parts) + "\n"


def main() -> None:
    inputs = json.load(sys.stdin)
    letter = {"subject": " ".join(inputs["subject"].split()), "body": body(inputs)}
    with open("draft.txt", "w", encoding="utf-8") as draft:
        draft.write(f"{letter['subject']}\n\n{letter['body']}")
    with open(os.environ["WFCONSOLE_OUTPUT"], "w", encoding="utf-8") as out:
        json.dump(letter, out)


if __name__ == "__main__":
    main()
