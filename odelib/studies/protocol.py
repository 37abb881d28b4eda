"""What a study says of the protocol that was written before its runs, held against that protocol.

    protocol: {family: images, questions: 8}

Beside the study's file lies ``PROTOCOL.md``. A family is a list of numbered questions under a line such as
``*Images* (eight):``. A question names a setting with its first words and then, in backticks, the variant that may be
better and the other:

    1. clothes: is `parallel` better than `usual`?

``**The smallest effect that matters.**`` begins the paragraph that says what matters.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from odelib.names import choose
from odelib.studies.statistics import FEWEST
from odelib.studies.study import Claim, Protocol, Setting
from odelib.training.options import YamlFile, typed

PROTOCOL = "PROTOCOL.md"
RUNS = "runs.jsonl"
"""The file of a kept study: one finished run per line."""
_FAMILY = re.compile(r"\*(\w[\w ]*)\* \(")
_QUESTION = re.compile(r"\d+\. ")
_EFFECT = "**The smallest effect that matters.**"


def read_protocol(file: YamlFile, claims: tuple[Claim, ...], settings: Mapping[str, Setting]) -> Protocol | None:
    """The entry ``protocol`` of a study's file, checked against the ``PROTOCOL.md`` beside it.

    Args:
        file: The study's file.
        claims: Its claims, each of which the protocol must ask.
        settings: Its settings, with the seeds.

    Returns:
        The protocol; None where the file names none.

    Raises:
        ValueError: The entry has a mistake, ``PROTOCOL.md`` is absent, has no such family, or another number of
            questions, or does not ask a claim, or a variant of a claim has fewer than ``FEWEST`` seeds.
    """
    if file.values.get("protocol") is None:
        return None
    with file.place("protocol"):
        family, count = _entry(file.values["protocol"])
        path = file.path.with_name(PROTOCOL)
        questions: list[str] | None = None
        checksum = None
        if path.is_file():
            questions, checksum = _family(path, family, count)
        elif not file.path.with_name(RUNS).is_file():
            raise ValueError(f"there is no {path}: write the protocol there, or leave the entry out")
    for number, claim in enumerate(claims):
        with file.place("claims", str(number)):
            _check_claim(claim, settings, questions)
    return Protocol(family, count, checksum)


def _entry(entry: Any) -> tuple[str, int]:
    if not isinstance(entry, Mapping) or set(entry) != {"family", "questions"}:
        raise ValueError(
            f"protocol is {entry!r}, expected a family and its number, such as {{family: images, questions: 8}}"
        )
    count: int = typed(entry["questions"], int, "questions")
    return str(entry["family"]), count


def _family(path: Path, family: str, count: int) -> tuple[list[str], str]:
    """The questions of a family, each in one line, and the checksum."""
    families: dict[str, list[str]] = {}
    effects, own = "", None
    for paragraph in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        lines = paragraph.strip().splitlines()
        if lines and lines[0].startswith(_EFFECT):
            effects = " ".join(paragraph.split())
        for line in lines:
            if named := _FAMILY.search(line):
                own = families.setdefault(named[1].casefold(), [])
            elif own is not None and _QUESTION.match(line):
                own.append(line)
            elif own and line.startswith(" "):
                own[-1] += f" {line.strip()}"
            elif line.startswith(("#", "**")):
                own = None
    questions = families[choose(family.casefold(), families, f"family of {path}")]
    if len(questions) != count:
        raise ValueError(f"the family {family} has {len(questions)} questions in {path}, and questions is {count}")
    text = "\n".join((effects, *(" ".join(question.split()) for question in questions)))
    return questions, hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_claim(claim: Claim, settings: Mapping[str, Setting], questions: list[str] | None) -> None:
    for where in claim.settings:
        for variant in (claim.better, claim.than):
            count = len(settings[where].seeds[variant])
            if count < FEWEST:
                raise ValueError(
                    f"{variant} has {count} seeds in {where}, and a claim with a protocol needs at least {FEWEST}: add "
                    "seeds, or leave the claim or the protocol out"
                )
        if questions is not None and not any(_asks(line, where, claim.better, claim.than) for line in questions):
            raise ValueError(
                f"the protocol does not ask whether `{claim.better}` is better than `{claim.than}` in {where}: a "
                "numbered question that begins with the setting and names the two in this order would"
            )


def _asks(question: str, where: str, better: str, than: str) -> bool:
    text = question.partition(". ")[2]
    words, own = (re.findall(r"[^\W_]+", part.casefold()) for part in (text, where))
    return words[: len(own)] == own and re.findall(r"`([^`]+)`", text) == [better, than]
